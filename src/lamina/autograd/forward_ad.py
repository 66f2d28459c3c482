"""Forward mode by hand: dual tensors, within a dual level. PyTorch's torch.autograd.forward_ad.

Here: levels and dual tensors. Not here: tangents of operations (primitives/tangents.py), `jvp` of functions (func/forward.py).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from lamina.autograd import (
    function_transforms,  # noqa: F401 (tells Function what to do at a level)
    modes,
)
from lamina.core.tensor import Tensor
from lamina.primitives.levels import AliasNode, Level, check_dual, fresh, tangent_of, with_tangent

__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual", "unpack_dual"]


class UnpackedDualTensor(NamedTuple):
    """The two parts of a dual tensor; the tangent is None where there is none."""

    primal: Tensor
    tangent: Tensor | None


class _DualLevel(Level):
    """A level that was entered by hand, of which one may be open."""

    __slots__ = ()


def __getattr__(name: str) -> Any:
    if name == "_current_level":
        return -1 if _current() is None else 0
    raise AttributeError(f"module 'torch.autograd.forward_ad' has no attribute {name!r}")


def _current() -> _DualLevel | None:
    return next((level for level in reversed(modes.mode().transforms) if level.__class__ is _DualLevel), None)


def enter_dual_level() -> int:
    """Open a dual level; returns its number, 0. Raises RuntimeError inside another."""
    if _current() is not None:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    _DualLevel().__enter__()
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """Close the dual level: tensors lose their tangents. Raises RuntimeError where none, or another, is open."""
    current = _current()
    if current is None and level in (None, -1):
        raise RuntimeError("Dual level must be a positive number.")
    if current is None or level not in (None, 0):
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This is not supported."
        )
    current.__exit__()


class dual_level(modes.Scoped):
    """A context manager, and decorator, in which dual tensors may be made."""

    __module__ = "torch.autograd.forward_ad"

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *error: object) -> None:
        exit_dual_level()


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """A view of `tensor` that carries `tangent`, which goes through every operation. Shapes: equal.

    Raises RuntimeError outside of a dual level and for a tensor that has a tangent, ValueError for integer tensors.
    """
    current = _current()
    if current is None:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first."
        )
    if level is not None and level < 0:
        raise RuntimeError("Dual level must be a positive number.")
    if level:
        raise RuntimeError("Invalid level given to _make_dual")
    check_dual(tensor, tangent)
    if tangent_of(tensor, current) is not None:
        raise RuntimeError(
            "Making a dual Tensor based on a Tensor that already has a forward gradient at the same level 0 is not supported."
        )
    if tangent_of(tangent, current) is not None:
        raise RuntimeError(
            "Setting a forward grad that itself has a forward gradient at the same level0 is not supported."
        )
    return with_tangent(fresh(tensor), tangent, current)


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """(primal, tangent) of a dual tensor; the tangent of any other is None."""
    current = _current()
    tangent = None if current is None else tangent_of(tensor, current)
    if not isinstance(tensor, Tensor):
        raise TypeError(f"_unpack_dual(): argument 'dual' (position 1) must be Tensor, not {type(tensor).__name__}")
    if tangent is None:
        return UnpackedDualTensor(tensor.view_as(tensor), None)
    assert current is not None
    primal = fresh(tensor)
    if primal._node.__class__ is AliasNode:
        primal._node.__class__ = Identity
    return UnpackedDualTensor(_without(primal, current), tangent)


class Identity(AliasNode):
    """Leads from the primal of a dual tensor to the tensor."""

    __slots__ = ()
    __module__ = "torch.autograd"

    def name(self) -> str:
        return "torch::autograd::Identity"


def _without(t: Any, level: Level) -> Any:
    """`t`, which nobody else has, without its tangent at `level`."""
    inner = t
    while hasattr(inner, "_value"):
        inner = inner._value
    inner._more.tangents = {n: tangent for n, tangent in inner._more.tangents.items() if n != level.id} or None
    return t


# ---- on and off ------------------------------------------------------------------------------------------------------


def _is_fwd_grad_enabled() -> bool:
    return modes.mode().forward_level


class _set_fwd_grad_enabled(modes.Scoped):
    """Whether tangents go through operations: from the call on, or within the context."""

    def __init__(self, mode: bool) -> None:
        self.mode, self.before = mode, _is_fwd_grad_enabled()
        modes.change(forward_level=mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        modes.change(forward_level=self.before)

    def clone(self) -> _set_fwd_grad_enabled:
        return _set_fwd_grad_enabled(self.mode)


set_fwd_grad_enabled = _set_fwd_grad_enabled
