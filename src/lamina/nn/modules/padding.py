"""Padding layers: constant, zero, reflected, replicated and circular borders in one to three dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from lamina.core.tensor import Tensor
from lamina.nn import functional as F
from lamina.nn.modules.module import Module
from lamina.nn.modules.utils import _ntuple

_Padding = int | tuple[int, ...]
_one = _ntuple(2, "_one_dimension")
_two = _ntuple(4, "_two_dimensions")
_three = _ntuple(6, "_three_dimensions")


class _PadNd(Module):
    """Two numbers per padded dimension, the last dimension first; a single int means all of them."""

    _to_tuple = staticmethod(_one)
    _mode = "constant"
    padding: Sequence[int]

    def __init__(self, padding: _Padding) -> None:
        super().__init__()
        self.padding = self._to_tuple(padding)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPadNd(_PadNd):
    value: float

    def __init__(self, padding: _Padding, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadNd):
    """`value` around the last dimension: padding (left, right)."""


class ConstantPad2d(_ConstantPadNd):
    """`value` around the last two dimensions: padding (left, right, top, bottom)."""

    _to_tuple = staticmethod(_two)


class ConstantPad3d(_ConstantPadNd):
    """`value` around the last three dimensions: padding (left, right, top, bottom, front, back)."""

    _to_tuple = staticmethod(_three)


class ZeroPad1d(ConstantPad1d):
    """Zeros around the last dimension: padding (left, right)."""

    def __init__(self, padding: _Padding) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad2d(ConstantPad2d):
    """Zeros around the last two dimensions: padding (left, right, top, bottom)."""

    def __init__(self, padding: _Padding) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad3d(ConstantPad3d):
    """Zeros around the last three dimensions: padding (left, right, top, bottom, front, back)."""

    def __init__(self, padding: _Padding) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ReflectionPadNd(_PadNd):
    _mode = "reflect"


class ReflectionPad1d(_ReflectionPadNd):
    """The last dimension continued as in a mirror, the border itself not repeated."""


class ReflectionPad2d(_ReflectionPadNd):
    """The last two dimensions continued as in a mirror, the border itself not repeated."""

    _to_tuple = staticmethod(_two)


class ReflectionPad3d(_ReflectionPadNd):
    """The last three dimensions continued as in a mirror, the border itself not repeated."""

    _to_tuple = staticmethod(_three)


class _ReplicationPadNd(_PadNd):
    _mode = "replicate"


class ReplicationPad1d(_ReplicationPadNd):
    """The last dimension continued with its border element."""


class ReplicationPad2d(_ReplicationPadNd):
    """The last two dimensions continued with their border elements."""

    _to_tuple = staticmethod(_two)


class ReplicationPad3d(_ReplicationPadNd):
    """The last three dimensions continued with their border elements."""

    _to_tuple = staticmethod(_three)


class _CircularPadNd(_PadNd):
    _mode = "circular"
    _spatial = 1

    def _check_input_dim(self, input: Tensor) -> None:
        unbatched = self._spatial + 1
        if input.dim() not in (unbatched, unbatched + 1):
            raise ValueError(f"expected {unbatched}D or {unbatched + 1}D input (got {input.dim()}D input)")

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        return super().forward(input)


class CircularPad1d(_CircularPadNd):
    """The last dimension continued from its other end."""


class CircularPad2d(_CircularPadNd):
    """The last two dimensions continued from their other ends."""

    _to_tuple = staticmethod(_two)
    _spatial = 2


class CircularPad3d(_CircularPadNd):
    """The last three dimensions continued from their other ends."""

    _to_tuple = staticmethod(_three)
    _spatial = 3
