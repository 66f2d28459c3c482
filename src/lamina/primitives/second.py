"""Second derivatives as users see them: where PyTorch computes a gradient by one operation, its result has a node named so.

That operation takes the input, too: so a recorded gradient depends on it, with a derivative of zero where the function is made of
straight pieces. Here: which nodes, and the link. Not here: any derivative (the rules).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.autograd import modes
from lamina.autograd.graph import Node, edge_of, make
from lamina.core.tensor import Tensor, more, version, wrap

_OWN = (
    "Tanh Sigmoid Hardtanh LeakyRelu Threshold PreluKernel RreluWithNoise Hardshrink Softshrink Hardswish Elu Gelu Softplus LogSigmoid "
    "Glu MseLoss HuberLoss SmoothL1Loss SoftMarginLoss BinaryCrossEntropy NllLoss NllLoss2D NativeLayerNorm NativeBatchNorm Convolution "
    "MaxPool2DWithIndices MaxPool3DWithIndices AvgPool2D AvgPool3D AdaptiveAvgPool2D AdaptiveAvgPool3D AdaptiveMaxPool2D "
    "AdaptiveMaxPool3D FractionalMaxPool2D FractionalMaxPool3D ReflectionPad1D ReflectionPad2D ReflectionPad3D ReplicationPad1D "
    "ReplicationPad2D ReplicationPad3D GridSampler2D GridSampler3D Cdist Pdist"
).split()
NAMES = {f"{name}Backward0": f"{name}BackwardBackward0" for name in _OWN} | {
    "CeluBackward0": "EluBackwardBackward0",
    "SoftmaxBackward0": "SoftmaxBackwardDataBackward0",
    "LogSoftmaxBackward0": "LogSoftmaxBackwardDataBackward0",
}
"""By the name of a node: that of the node of a gradient that it computes."""

RENAMED = {f"{name}Backward0": f"{name}BackwardBackward0" for name in ("Select", "Slice", "Diagonal", "Unfold")}
"""The same, where the rule is one operation here as well."""

_UNDEFINED = ("Convolution", "GridSampler", "NativeBatchNorm")  # no gradient at all where PyTorch's others give zeros


class SecondNode(Node):
    """Stands for PyTorch's operation: leads into the graph of the rule, or, where that has none, to the input."""

    __slots__ = ("_linked",)
    _linked: bool

    def _vjp(self, g: Any, create: bool) -> Sequence[Any]:
        if not self._linked:
            return (g,)
        if type(self).__name__.startswith(_UNDEFINED):
            return (None,)
        return (g.new_zeros(g.shape) if isinstance(g, Tensor) else np.zeros(g.shape, g.dtype),)


_made: dict[tuple[Any, str], type[Any]] = {}


def _named(cls: Any, name: str) -> type[Any]:
    """The class of nodes `cls` under another name."""
    found = _made.get((cls, name))
    if found is None:
        found = _made[cls, name] = type(name, (cls,), {"__slots__": (), "__module__": "builtins"})
    return found


def recorded(node: Node, results: Sequence[Any]) -> Sequence[Any]:
    """The gradients that `node` computed in a backward that is recorded, with nodes named and linked as PyTorch's."""
    family = type(node).__name__
    name = NAMES.get(family)
    if name is None:
        if family in RENAMED:
            _rename(results, RENAMED[family])
        return results
    mode = modes.current()
    if mode is not None and (not mode.grad or mode.listener is not None):
        return results
    return [_linked(r, edge, name) for r, edge in zip(results, node._edges, strict=False)]


def _rename(results: Sequence[Any], name: str) -> None:
    for r in results:
        if r is not None and r.__class__ is Tensor and isinstance(r._node, Node):
            made: Any = r._node
            made.__class__ = _named(type(made), name)


def _linked(r: Any, edge: Any, name: str) -> Any:
    if r.__class__ is not Tensor or edge is None:
        return r
    own = edge_of(r)
    out = wrap(r._array, r._kind)
    out._version_ = version(r)
    if r._more is not None and r._more.tangents:
        more(out).tangents = r._more.tangents
    out._node = made = make(_named(SecondNode, name), (edge if own is None else own,))
    made._linked = own is None
    return out
