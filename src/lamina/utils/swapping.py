"""`swap_tensors`: two tensors change places, for all who hold them."""

from __future__ import annotations

from lamina.core.tensor import Tensor

_SLOTS = ("_array", "_kind", "_more", "_node", "_version_")


def swap_tensors(t1: Tensor, t2: Tensor) -> None:
    """Exchange class, values, history and attributes of two tensors. Raises RuntimeError where something refers to one weakly."""
    for t in (t1, t2):
        if t.__weakref__ is not None:
            raise RuntimeError("Cannot swap t1 because it has weakref associated with it")
    t1.__class__, t2.__class__ = t2.__class__, t1.__class__
    t1.__dict__, t2.__dict__ = t2.__dict__, t1.__dict__
    for slot in _SLOTS:
        mine, other = getattr(t1, slot), getattr(t2, slot)
        setattr(t1, slot, other)
        setattr(t2, slot, mine)
