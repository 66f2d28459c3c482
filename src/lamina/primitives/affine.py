"""The product of a linear layer, input @ weight.T + bias, as one node: PyTorch's addmm of a transposed weight.

PyTorch records two nodes, of the product and of the transpose. Here one stands for both, which computes as they would; whoever looks
closer (its next functions, its hooks, what it saved) finds the two. Here: this node, and which calls it carries out. Not here: the
forms with factors (addmm.py), input of other shapes (nn/functional/linear.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.autograd import modes
from lamina.autograd.graph import make
from lamina.core.strided import is_turned
from lamina.core.tensor import Tensor, version, wrap
from lamina.primitives.addmm import addmm_
from lamina.primitives.folded import Folded
from lamina.primitives.kernels import products
from lamina.primitives.matmul import PLAIN, mm_, of_turned
from lamina.primitives.registry import primitive
from lamina.primitives.shape import t_, unbroadcast


def _affine(z: Any, x: Any, w: Any) -> Any:
    product = products.dot(x, w.T)
    return np.add(product, z, product)


class AffineNode(Folded):
    """The node of `affine_`: PyTorch's of the product, and before it that of the transpose."""

    __slots__ = ()

    def _parted(self) -> Any:
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
        return self._become(addmm_.primitive.node, (bias, input, turned_node), saved, versions)

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
    node="Addmm", family=AffineNode)  # fmt: skip


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
