"""The product of a linear layer, input @ weight.T + bias, as one node: PyTorch's addmm of a transposed weight.

PyTorch records two nodes, of the product and of the transpose. Here one stands for both, which computes as they would; whoever looks
closer (its next functions, its hooks, what it saved) finds the two. Here: this node, and which calls it carries out. Not here: the
forms with factors (addmm.py), input of other shapes (nn/functional/linear.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.autograd import engine, modes
from lamina.autograd.graph import make
from lamina.core.strided import is_turned
from lamina.core.tensor import Tensor, version, wrap
from lamina.primitives.addmm import addmm_
from lamina.primitives.kernels import products
from lamina.primitives.matmul import PLAIN, mm_, of_turned
from lamina.primitives.nodes import PrimitiveNode
from lamina.primitives.registry import primitive
from lamina.primitives.shape import t_, unbroadcast

new = object.__new__


def _affine(z: Any, x: Any, w: Any) -> Any:
    product = products.dot(x, w.T)
    return np.add(product, z, product)


class Folded(PrimitiveNode):
    """The node of `affine_`. It becomes PyTorch's two when somebody looks."""

    __slots__ = ()

    def _parted(self) -> Any:
        """The node of the product, before it that of the transpose: this node, unless a backward may be on its way through it."""
        bias, input, weight = self._edges
        turned_node = None
        if weight is not None:
            turned_node = make(t_.primitive.node, (weight,), (), (), (self._code, self._lasti) if self._code else None)
            turned_node._seq = self._seq - 1
        saved, versions = self._saved, self._versions
        if saved is not None:
            kept: dict[str, Any] = dict(zip(affine_.primitive.saves, zip(saved, versions, strict=True), strict=True))
            (w, held), x = kept["w"], kept["x"]
            facts: dict[str, Any] = {"z_shape": kept["z_shape"], "x": x, "y": (None, None)}
            if w is not None:
                turned = wrap(w._array.T, w._kind)
                turned._version_, turned._node = version(w), turned_node
                facts["y"] = turned, held
            facts |= {"alpha": (1, None), "beta": (1, None), "y_turned": (True, None)}
            facts["x_turned"] = x[0] is not None and is_turned(x[0]._array), None
            saved, versions = zip(*[facts[name] for name in addmm_.primitive.saves], strict=True)
        node = new(addmm_.primitive.node) if engine.active else self
        for name in ("_seq", "_code", "_lasti", "_extra", "_fix"):
            setattr(node, name, getattr(self, name))
        node.__class__ = addmm_.primitive.node
        node._edges, node._saved, node._versions = (bias, input, turned_node), saved, versions
        return node

    @property
    def next_functions(self) -> Any:
        return self._parted().next_functions

    def register_hook(self, hook: Callable[..., Any]) -> Any:
        return self._parted().register_hook(hook)

    def register_prehook(self, hook: Callable[..., Any]) -> Any:
        return self._parted().register_prehook(hook)

    def _register_hook_dict(self, hooks: Any) -> None:
        self._parted()._register_hook_dict(hooks)

    def __call__(self, *grads: Any) -> Any:
        return self._parted()(*grads)

    def _seen(self, what: str, raw: bool) -> Any:
        return self._parted()._seen(what, raw)

    def __dir__(self) -> list[str]:
        return dir(self._parted())

    def saved_values(self, create: bool) -> list[Any]:
        try:
            return super().saved_values(create)
        except RuntimeError as error:
            written = error
        self._parted().saved_values(create)  # it was written to since: told of the transpose, as PyTorch does
        raise written


affine_ = primitive(
    "affine", _affine,
    grads=(lambda g, z_shape: unbroadcast(g, z_shape),
           lambda g, w: mm_(g, w),
           lambda g, x: of_turned(g, x, False)),
    node="Addmm", family=Folded)  # fmt: skip


def affine(input: Any, weight: Any, bias: Any) -> Tensor | None:
    """input @ weight.T + bias of plain matrices and a plain vector that fit; None where more is to be looked at."""
    if (
        input.__class__ in PLAIN
        and weight.__class__ in PLAIN
        and bias.__class__ in PLAIN
        and (kind := input._kind) is weight._kind is bias._kind
        and kind.category == 2
        and kind.plain
        and modes.current() is None
    ):
        shape = weight._array.shape
        if (
            input._array.ndim == 2 == len(shape)
            and input._array.shape[1] == shape[1]
            and bias._array.shape == shape[:1]
        ):
            return affine_(bias, input, weight)  # type: ignore[no-any-return]
    return None
