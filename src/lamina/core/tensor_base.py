"""The base of Tensor, without content: its stub lists the methods that primitives/methods.py installs."""

from __future__ import annotations


class TensorBase:
    """What every tensor is, before the operations are installed."""

    __slots__ = ()
    __module__ = "torch._C"
