"""Forward mode: the tangent of a primitive's result from its inputs'.

A tangent follows from the gradient rules. For an elementwise primitive a rule is a product with the derivative, and so serves as it
is; what is linear in its inputs is applied to the tangents; in general the product is the adjoint of the adjoint (a rule is linear
in its cotangent). `jvp=` in a declaration says it directly: jvp(tangents, tensors, out, **params). Here: these ways. Not here: who
carries tangents (levels.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina.autograd import engine, modes
from lamina.autograd.graph import edge_of
from lamina.core.tensor import LEAF, Tensor, wrap
from lamina.primitives.batching import call
from lamina.primitives.levels import Level, alias, bare, tangent_of, with_tangent
from lamina.primitives.registry import PRIMITIVES, Primitive

_SPECIAL = {"zeta": "special_zeta"}  # as PyTorch names it


def dual(p: Primitive, tensors: Sequence[Any], params: dict[str, Any], level: Level) -> Any:
    """The result, computed and recorded as without `level`, with its tangent there."""
    token = modes.set_current(level.without())
    try:
        # on the given tensors, which keep their tangents: a backward inside the level sees them again
        result = p.function(*tensors, **params)
        outs: Sequence[Any] = result if isinstance(result, tuple) else (result,)
        if not p.rules or all(out is None or out._kind.dtype.category < 2 for out in outs):
            return result
        tangents = [tangent_of(t, level) for t in tensors]
        if any(getattr(rule, "absent", False) for rule in p.rules):
            raise NotImplementedError(
                f"Trying to use forward AD with {_SPECIAL.get(p.name, p.name)} that does not support it because it has not been implemented yet."
            )
        # what the tangents' own graph keeps has no tangent at this level
        tensors = [t if tangent is None else bare(t, level) for t, tangent in zip(tensors, tangents, strict=True)]
        for out, tangent in zip(
            outs, _moved(p, tensors, tangents, params, [bare(out, level) for out in outs]), strict=True
        ):
            if tangent is not None and out is not None and out._kind.dtype.category > 1:
                if tangent._kind is not out._kind:
                    tangent = tangent.to(out._kind.dtype)
                if tangent._array.shape != out._array.shape:
                    tangent = tangent.expand(out._array.shape)
                with_tangent(out, tangent, level)
        return result
    finally:
        modes.reset(token)


def _moved(
    p: Primitive, tensors: Sequence[Any], tangents: list[Any], params: dict[str, Any], outs: Sequence[Any]
) -> Sequence[Any]:
    """The tangents of the outputs; None: zero."""
    if p.jvp is not None:
        moved = p.jvp(tangents, tensors, outs if len(outs) > 1 or not p.outputs else outs[0], **params)
        return moved if isinstance(moved, tuple) else (moved,)
    rule = JVP.get(p.name)
    if rule is not None:
        return (rule(p, tensors, tangents, params),)
    if p.name in LINEAR:
        if tangents[0] is None:
            return (None,) * len(outs)
        moved = call(p, (tangents[0], *tensors[1:]), params)
        return moved if isinstance(moved, tuple) else (moved,)
    if p.elementwise and (
        p.holomorphic or not any(isinstance(t, Tensor) and t._kind.dtype.category == 3 for t in (*tensors, *outs))
    ):
        return (_elementwise(p, tensors, tangents, outs[0]),)
    return pushed(p, tensors, tangents, params, outs)


def _elementwise(p: Primitive, tensors: Sequence[Any], tangents: Sequence[Any], out: Tensor) -> Any:
    """The sum of the rules' products: the tangent in the place of the cotangent."""
    total = None
    for tangent, rule, pick in zip(tangents, p.rules, p.picks, strict=False):
        if tangent is None or rule is None:
            continue
        if tangent._kind.dtype.category == 2 == out._kind.dtype.category and tangent._kind is not out._kind:
            tangent = tangent.to(out._kind.dtype)
        names = [p.saves[j] for j in pick]
        term = rule(tangent, *[tensors[p.inputs.index(n)] if n in p.inputs else out for n in names])
        if term is not None:
            total = term if total is None else total + term
    return total


# ---- linear ones -----------------------------------------------------------------------------------------------------

LINEAR = frozenset((
    "alias", "unsafe_view", "expand", "permute", "transpose", "t", "unsqueeze", "squeeze", "squeeze_dim", "squeeze_dims", "select", "slice", "diagonal", "unfold",  # noqa: E501
    "split", "split_with_sizes", "unbind", "sum", "sum_all", "mean", "mean_all", "clone", "embed", "neg", "diagonal_adjoint",
    "unfold_adjoint", "view_as_real", "view_as_real_copy", "view_as_complex_copy", "real", "imag", "to_copy",
    "conj_physical", "gather", "gather_adjoint", "index_select", "index_select_adjoint", "take", "take_adjoint", "masked_select",
    "masked_select_adjoint", "embedding", "embedding_dense_backward", "index", "index_adjoint", "tril", "triu", "cumsum",
    "take_slice", "clear_slice", "put_slice", "avg_pool2d", "avg_pool3d", "avg_pool2d_grad", "avg_pool3d_grad",
    "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_avg_pool2d_grad", "adaptive_avg_pool3d_grad", "im2col", "col2im",
))  # fmt: skip
"""Linear in the first input; the others have no tangents, or the result does not depend on them smoothly."""


def _bilinear(p: Primitive, tensors: Sequence[Any], tangents: Sequence[Any], params: dict[str, Any]) -> Any:
    """The product rule."""
    (x, y), (dx, dy) = tensors, tangents
    one = None if dx is None else call(p, (dx, y), params)
    two = None if dy is None else call(p, (x, dy), params)
    return one if two is None else two if one is None else one + two


def _jointly(p: Primitive, tensors: Sequence[Any], tangents: Sequence[Any], params: dict[str, Any]) -> Any:
    """Linear in all floating inputs together: zeros where there is no tangent."""
    return call(
        p,
        [
            t if t is None or t._kind.dtype.category < 2 else _or_zeros(d, t)
            for t, d in zip(tensors, tangents, strict=True)
        ],
        params,
    )


def _or_zeros(tangent: Any, like: Tensor) -> Tensor:
    return wrap(np.zeros(like._array.shape, like._kind.np), like._kind) if tangent is None else tangent


def _affine_product(p: Primitive, tensors: Sequence[Any], tangents: Sequence[Any], params: dict[str, Any]) -> Any:
    """beta * z + alpha * (x @ y)."""
    (_, x, y), (dz, dx, dy) = tensors, tangents
    product = _bilinear(PRIMITIVES["matmul"], (x, y), (dx, dy), {})
    if product is not None and params["alpha"] != 1:
        product = product * params["alpha"]
    if dz is not None and params["beta"] != 1:
        dz = dz * params["beta"]
    return dz if product is None else product if dz is None else product + dz


def _linear_layer(p: Primitive, tensors: Sequence[Any], tangents: Sequence[Any], params: dict[str, Any]) -> Any:
    (x, w, _), (dx, dw, db) = tensors, tangents
    turned = None if dw is None else dw.mT
    product = _bilinear(PRIMITIVES["matmul"], (x, w.mT), (dx, turned), {})
    return db if product is None else product if db is None else product + db


def _from_source(p: Primitive, tensors: Sequence[Any], tangents: Sequence[Any], params: dict[str, Any]) -> Any:
    """What was there before a copy does not count."""
    return tangents[1]


def _viewed(p: Primitive, tensors: Sequence[Any], tangents: Sequence[Any], params: dict[str, Any]) -> Any:
    """A tangent may lie otherwise in memory than its tensor: then its view is a copy."""
    return tangents[0].reshape(params["shape"])


def _as_complex(p: Primitive, tensors: Sequence[Any], tangents: Sequence[Any], params: dict[str, Any]) -> Any:
    return call(p, (tangents[0].contiguous(),), params)


def _convolution_bias(p: Primitive, tensors: Sequence[Any], tangents: Sequence[Any], params: dict[str, Any]) -> Any:
    name = p.name.removesuffix("_bias")
    out = _bilinear(PRIMITIVES[name], tensors[:2], tangents[:2], params)
    if tangents[2] is None:
        return out
    bias = tangents[2].reshape((-1, *(1,) * (tensors[0]._array.ndim - 2)))
    return bias if out is None else out + bias


JVP: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("mm", "bmm", "matmul", "mv", "dot", "conv", "conv_input", "conv_weight"), _bilinear),
    **dict.fromkeys(("cat", "stack", "index_put", "index_add", "index_copy", "scatter", "scatter_add", "masked_scatter"), _jointly),
    "addmm": _affine_product, "baddbmm": _affine_product, "linear": _linear_layer, "copy": _from_source, "fill": _from_source,
    "view": _viewed, "view_as_complex": _as_complex, "reshape_alias": _viewed, "conv_bias": _convolution_bias, "conv_input_bias": _convolution_bias,
}  # fmt: skip


# ---- the general way -------------------------------------------------------------------------------------------------


def pushed(
    p: Primitive, tensors: Sequence[Any], tangents: Sequence[Any], params: dict[str, Any], outs: Sequence[Any]
) -> list[Any]:
    """J t: the adjoint, at t, of the map u -> J^T u."""
    grad = modes.is_grad_enabled() and any(isinstance(t, Tensor) and t._node is not None for t in (*tensors, *tangents))
    token = modes.change(grad=True)
    try:
        leaves = [t if tangent is None else alias(t) for t, tangent in zip(tensors, tangents, strict=True)]
        result = call(p, leaves, params)
        again = result if isinstance(result, tuple) else (result,)
        moved: list[Any] = [None] * len(outs)
        places = [i for i, out in enumerate(again) if out is not None and out._node is not None]
        cotangents = [_leaf(again[i]) for i in places]
        asked = [(leaf, tangent) for leaf, tangent in zip(leaves, tangents, strict=True) if tangent is not None]
        roots = [(edge_of(again[i]), u) for i, u in zip(places, cotangents, strict=True)]
        captures: dict[Any, int] = {edge_of(leaf): i for i, (leaf, _) in enumerate(asked)}
        pulled = engine.run(roots, create=True, keep=True, captures=captures, accumulates=False) if roots else []
        pairs = [
            (edge_of(g), t) for g, (_, t) in zip(pulled, asked, strict=False) if g is not None and g._node is not None
        ]
        if pairs:
            captures = {u: i for i, u in enumerate(cotangents)}
            found = engine.run(pairs, create=True, keep=True, captures=captures, accumulates=False, record=grad)
            for i, f in zip(places, found, strict=True):
                moved[i] = f
        return moved
    finally:
        modes.reset(token)


def _leaf(like: Tensor) -> Tensor:
    """A cotangent to differentiate by. Its value does not matter."""
    u = wrap(np.zeros(like._array.shape, like._kind.np), like._kind)
    u._node = LEAF
    return u
