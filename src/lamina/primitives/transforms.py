"""Levels: operations on batches (vmap) and with tangents (forward mode), one primitive at a time.

A level is open while a transformed function runs. Each call of a primitive belongs to the innermost level that one of its
inputs takes part in; it is carried out on what lies below that level, where outer levels and the graph see it again. So the
transforms compose in any order. Here: levels, the rules for batches, the tangents of results. Not here: the public transforms
(func/, autograd/forward_ad.py).

A tangent follows from the gradient rule: for an elementwise primitive the rule itself is the product with the derivative; for
another one it is the adjoint of the adjoint (the rule is linear in its cotangent, so its own gradient is the product wanted).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np

from lamina.autograd import engine, modes
from lamina.autograd.graph import Node, edge_of, make
from lamina.core.tensor import LEAF, Tensor, more, wrap
from lamina.primitives import shape as s
from lamina.primitives.registry import Primitive, Slots, apply

_ids = count(1).__next__


class Level:
    """One open transform. `size`: of the batch, or 0 where the level is one of tangents."""

    __slots__ = ("id", "randomness", "size")

    def __init__(self, size: int = 0, randomness: str = "error") -> None:
        self.id, self.size, self.randomness = _ids(), size, randomness


@contextmanager
def opened(level: Level) -> Iterator[Level]:
    """Let `level` be the innermost one."""
    token = modes.change(transforms=(*modes.mode().transforms, level))
    try:
        yield level
    finally:
        modes.reset(token)


# ---- batches ---------------------------------------------------------------------------------------------------------


class Batched(Tensor):
    """A tensor that stands for each entry of a batch: it has the shape of one; `_value` has them all, along dimension 0."""

    __slots__ = ("_level", "_value")
    _overrides = False
    _level: Level
    _value: Tensor

    def item(self) -> Any:
        raise RuntimeError(
            "vmap: It looks like you're calling .item() on a Tensor. We don't support vmap over calling .item() on a Tensor, please "
            "try to rewrite what you're doing with other operations."
        )

    def tolist(self) -> Any:
        raise RuntimeError("vmap: .tolist() on a Tensor of a batch is not supported; return the tensor and convert it outside")

    def numpy(self, *, force: bool = False) -> Any:
        raise RuntimeError("vmap: .numpy() on a Tensor of a batch is not supported; return the tensor and convert it outside")

    def __bool__(self) -> bool:
        raise RuntimeError(
            "vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow. We don't support that yet, "
            "please shout over at https://github.com/pytorch/functorch/issues/257 ."
        )

    def __repr__(self) -> str:
        return f"BatchedTensor(lvl={self._level.id}, bdim=0, value={self._value!r})"


def batched(value: Tensor, level: Level) -> Batched:
    """The entries of `value` along dimension 0, as one tensor of `level`."""
    t: Batched = object.__new__(Batched)
    array = value._array
    t._array = array[0, ...] if array.shape[0] else np.zeros(array.shape[1:], array.dtype)
    t._kind, t._version_, t._more = value._kind, None, None
    t._node = value._node
    t._value, t._level = value, level
    return t


def in_batch(t: Any, level: Level) -> bool:
    return t.__class__ is Batched and t._level is level


def value_at(t: Any, level: Level) -> Any:
    """The whole batch behind `t`, along dimension 0; something outside the level is repeated."""
    if in_batch(t, level):
        return t._value
    return s.expand_(s.unsqueeze_(t, dim=0), size=(level.size, *t._array.shape))


def innermost(tensors: Sequence[Any], open_levels: Sequence[Level]) -> Level | None:
    """The innermost open level that one of the tensors takes part in."""
    for level in reversed(open_levels):
        for t in tensors:
            if t.__class__ is Batched and t._level is level:
                return level
            if isinstance(t, Tensor) and t._more is not None and t._more.tangents and level.id in t._more.tangents:
                return level
    return None


def transform(p: Primitive, tensors: Sequence[Any], params: dict[str, Any]) -> Any:
    """Carry out a call at the level that it belongs to; NotImplemented where it belongs to none."""
    mode = modes.mode()
    level = innermost(tensors, mode.transforms)
    if level is None:
        return NotImplemented
    below = mode.transforms[: mode.transforms.index(level)]
    token = modes.change(transforms=below)
    try:
        return _batch(p, tensors, params, level) if level.size or any(in_batch(t, level) for t in tensors) else _dual(p, tensors, params, level)
    finally:
        modes.reset(token)


def _batch(p: Primitive, tensors: Sequence[Any], params: dict[str, Any], level: Level) -> Any:
    rule = p.batch or BATCH.get(p.name)
    if p.elementwise:
        result = _elementwise(p, tensors, params, level)
    elif rule is not None:
        result = rule(p, tensors, params, level)
    else:
        result = _one_by_one(p, tensors, params, level)
    if isinstance(result, tuple):
        return tuple(None if r is None else batched(r, level) for r in result)
    return batched(result, level)


def _elementwise(p: Primitive, tensors: Sequence[Any], params: dict[str, Any], level: Level) -> Any:
    """Batches side by side: shapes are filled up with ones behind the batch dimension, so that entries broadcast."""
    rank = max(t._array.ndim for t in tensors if isinstance(t, Tensor))
    values = []
    for t in tensors:
        if in_batch(t, level):
            missing = rank - t._array.ndim
            t = t._value if not missing else t._value.reshape((level.size, *(1,) * missing, *t._array.shape))
        values.append(t)
    return apply(p, values, params)


def _one_by_one(p: Primitive, tensors: Sequence[Any], params: dict[str, Any], level: Level) -> Any:
    """The general way: entry after entry, and the results together."""
    results = []
    for i in range(level.size):
        entry = [s.select_(t._value, dim=0, index=i) if in_batch(t, level) else t for t in tensors]
        results.append(apply(p, entry, params))
    if not results:
        raise RuntimeError(f"vmap: a batch of size 0 is not supported by {p.name}")
    if isinstance(results[0], tuple):
        return tuple(
            None if parts[0] is None else s.stack_(*parts, dim=0) for parts in zip(*results, strict=True)
        )
    return s.stack_(*results, dim=0)


def _first(make_params: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
    """A rule for a primitive whose only batched input is the first: the same primitive with other parameters."""

    def rule(p: Primitive, tensors: Sequence[Any], params: dict[str, Any], level: Level) -> Any:
        if any(in_batch(t, level) for t in tensors[1:]):
            return _one_by_one(p, tensors, params, level)
        t = tensors[0]
        return apply(p, (t._value, *tensors[1:]), make_params(t, level.size, **params))

    return rule


def _shifted(*names: str) -> Callable[..., Any]:
    """Dimensions, given by number from the front, lie one further back."""

    def change(t: Any, size: int, **params: Any) -> dict[str, Any]:
        return {
            n: (tuple(d + 1 for d in v) if isinstance(v, tuple) else v + 1) if n in names else v for n, v in params.items()
        }

    return _first(change)


def _all_batched(change: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
    """A rule for primitives that take several tensors alike (cat, stack)."""

    def rule(p: Primitive, tensors: Sequence[Any], params: dict[str, Any], level: Level) -> Any:
        return apply(p, [value_at(t, level) for t in tensors], change(**params))

    return rule


def _product(p: Primitive, tensors: Sequence[Any], params: dict[str, Any], level: Level) -> Any:
    """Matrix products of a batch are products with one more leading dimension."""
    from lamina.primitives.matmul import matmul_

    x, y = tensors
    a, b = x, y
    n, m = x._array.ndim, y._array.ndim
    if in_batch(x, level):
        a = x._value
    if in_batch(y, level):
        b = y._value
    if n == 1:
        a = s.unsqueeze_(a, dim=a._array.ndim - 1)
    if m == 1:
        b = s.unsqueeze_(b, dim=b._array.ndim)
    rank = max(n, m, 2)
    if in_batch(x, level) and a._array.ndim < rank + 1:
        a = a.reshape((level.size, *(1,) * (rank + 1 - a._array.ndim), *a._array.shape[1:]))
    if in_batch(y, level) and b._array.ndim < rank + 1:
        b = b.reshape((level.size, *(1,) * (rank + 1 - b._array.ndim), *b._array.shape[1:]))
    out = matmul_(a, b)
    if n == 1:
        out = s.squeeze_(out, dims=(out._array.ndim - 2,))
    if m == 1:
        out = s.squeeze_(out, dims=(out._array.ndim - 1,))
    return out


def _linear(p: Primitive, tensors: Sequence[Any], params: dict[str, Any], level: Level) -> Any:
    x, w, b = tensors
    if in_batch(w, level) or in_batch(b, level):
        values = [value_at(t, level) for t in tensors]
        from lamina.primitives.matmul import matmul_

        return matmul_(values[0], values[1].mT) + values[2].unsqueeze(1)
    rows = x._value.reshape((-1, x._array.shape[-1]))
    return apply(p, (rows, w, b), params).reshape((level.size, *x._array.shape[:-1], w._array.shape[0]))


def _convolution(p: Primitive, tensors: Sequence[Any], params: dict[str, Any], level: Level) -> Any:
    """A batch of images is a longer batch; with weights of their own, entries go one by one."""
    if any(in_batch(t, level) for t in tensors[1:]):
        return _one_by_one(p, tensors, params, level)
    x = tensors[0]
    merged = x._value.reshape((-1, *x._array.shape[1:]))
    if "shape" in params:
        params = {**params, "shape": (merged._array.shape[0], *params["shape"][1:])}
    out = apply(p, (merged, *tensors[1:]), params)
    return out.reshape((level.size, x._array.shape[0], *out._array.shape[1:]))


def _index(p: Primitive, tensors: Sequence[Any], params: dict[str, Any], level: Level) -> Any:
    """x[indices] for each entry: where indices are batched, one more index counts the entries."""
    x, *indices = tensors
    at = tuple(d + 1 for d in params["at"])
    if not any(in_batch(i, level) for i in indices):
        if not _adjacent(params["at"]):
            return _one_by_one(p, tensors, params, level)
        return apply(p, (value_at(x, level), *indices), {"at": at})
    return _one_by_one(p, tensors, params, level)


def _adjacent(at: Sequence[int]) -> bool:
    return all(b - a == 1 for a, b in zip(at, at[1:], strict=False))


BATCH: dict[str, Callable[..., Any]] = {
    "sum": _shifted("dims"), "mean": _shifted("dims"),
    "view": _first(lambda t, n, shape: {"shape": (n, *shape)}),
    "unsafe_view": _first(lambda t, n, shape: {"shape": (n, *shape)}),
    "expand": _first(lambda t, n, size: {"size": (n, *size)}),
    "permute": _first(lambda t, n, dims: {"dims": (0, *(d + 1 for d in dims))}),
    "transpose": _shifted("dim0", "dim1"), "unsqueeze": _shifted("dim"), "squeeze": _shifted("dims"), "select": _shifted("dim"),
    "slice": _shifted("dim"), "diagonal": _shifted("dim1", "dim2"), "unfold": _shifted("dim"), "split": _shifted("dim"),
    "unbind": _shifted("dim"),
    "embed": _first(lambda t, n, shape, index: {"shape": (n, *shape), "index": (slice(None), *(index if isinstance(index, tuple) else (index,)))}),
    "clone": _first(lambda t, n, **params: {"order": "contiguous"}),
    "to_copy": _first(lambda t, n, **params: params),
    "cat": _all_batched(lambda dim: {"dim": dim + 1}), "stack": _all_batched(lambda dim: {"dim": dim + 1}),
    "mm": _product, "bmm": _product, "matmul": _product, "mv": _product, "dot": _product, "linear": _linear,
    "conv": _convolution, "conv_bias": _convolution, "conv_input": _convolution, "index": _index,
}  # fmt: skip


def _t(p: Primitive, tensors: Sequence[Any], params: dict[str, Any], level: Level) -> Any:
    value = tensors[0]._value
    return s.transpose_(value, dim0=1, dim1=2) if value._array.ndim == 3 else value


BATCH["t"] = _t


# ---- tangents --------------------------------------------------------------------------------------------------------


def tangent_of(t: Any, level: Level) -> Any:
    if isinstance(t, Tensor) and t._more is not None and t._more.tangents:
        return t._more.tangents.get(level.id)
    return None


def with_tangent(t: Tensor, tangent: Tensor, level: Level) -> Tensor:
    """`t` itself, carrying `tangent` at `level`."""
    about = more(t)
    about.tangents = {**(about.tangents or {}), level.id: tangent}
    return t


def _dual(p: Primitive, tensors: Sequence[Any], params: dict[str, Any], level: Level) -> Any:
    """The result, computed and recorded as without this level, and its tangent beside it."""
    # recorded on the given tensors, which keep their tangents: a later backward inside the level sees them again
    result = apply(p, tensors, params)
    outs = list(result) if isinstance(result, tuple) else [result]
    tangents = [tangent_of(t, level) for t in tensors]
    if not p.rules:
        return result
    moved: list[Any]
    if p.jvp is not None:
        moved = [p.jvp(tangents, tensors, outs[0], **params)]
    elif p.name in LINEAR:
        moved_result = apply(p, (tangents[0], *tensors[1:]), params)
        moved = list(moved_result) if isinstance(moved_result, tuple) else [moved_result]
    else:
        moved = _pushed(p, tensors, tangents, params, outs)
    for out, tangent in zip(outs, moved, strict=False):
        if tangent is not None and out is not None and out._kind.dtype.category > 1:
            if tangent._array.shape != out._array.shape:
                tangent = tangent.expand(out._array.shape)  # type: ignore[attr-defined]
            with_tangent(out, tangent, level)
    return result


LINEAR = frozenset((
    "view", "unsafe_view", "expand", "permute", "transpose", "t", "unsqueeze", "squeeze", "select", "slice", "diagonal", "unfold",
    "split", "unbind", "sum", "mean", "clone", "embed", "neg", "as_strided", "diagonal_adjoint", "unfold_adjoint", "view_as_real",
    "view_as_complex", "real", "imag", "to_copy",
))  # fmt: skip


def _pushed(p: Primitive, tensors: Sequence[Any], tangents: Sequence[Any], params: dict[str, Any], outs: list[Any]) -> list[Any]:
    """J t as the gradient, with respect to the cotangent u, of the pairing of J^T u with t."""
    token = modes.change(grad=True)
    try:
        leaves = [
            alias(t) if isinstance(t, Tensor) and tangent is not None else t for t, tangent in zip(tensors, tangents, strict=True)
        ]
        result = apply(p, leaves, params)
        again = list(result) if isinstance(result, tuple) else [result]
        roots, cotangents, places = [], [], []
        for i, out in enumerate(again):
            if out is not None and out._node is not None:
                u = wrap(np.zeros(out._array.shape, out._kind.np), out._kind)
                if out.__class__ is Batched:
                    u = batched(wrap(np.zeros(out._value._array.shape, out._kind.np), out._kind), out._level)
                u = _leaf(u)
                roots.append((edge_of_value(out), u))
                cotangents.append(u)
                places.append(i)
        if not roots:
            return [None] * len(outs)
        asked = [(leaf, tangent) for leaf, tangent in zip(leaves, tangents, strict=True) if tangent is not None]
        captures = {edge_of_value(leaf): i for i, (leaf, _) in enumerate(asked)}
        pulled = engine.run(roots, create=True, keep=True, captures=captures, accumulates=False)
        pairs = [(edge_of_value(g), _conj(t)) for g, (_, t) in zip(pulled, asked, strict=True) if g is not None and g._node is not None]
        moved: list[Any] = [None] * len(outs)
        if pairs:
            found = engine.run(
                pairs, create=True, keep=True, captures={edge_of_value(u): i for i, u in enumerate(cotangents)}, accumulates=False
            )
            for i, f in zip(places, found, strict=True):
                moved[i] = None if f is None else _conj(f)
        return moved
    finally:
        modes.reset(token)


def _conj(t: Any) -> Any:
    return t.conj() if t.is_complex() else t


def edge_of_value(t: Any) -> Any:
    """The edge of what a tensor stands for: of a batch, that of the whole batch."""
    while t.__class__ is Batched:
        t = t._value
    return edge_of(t)


def _leaf(t: Tensor) -> Tensor:
    inner = t
    while inner.__class__ is Batched:
        inner = inner._value  # type: ignore[attr-defined]
    inner._node = LEAF
    if t is not inner:
        t._node = LEAF
    return t


class AliasNode(Node):
    """The identity: one place in the graph that stands for a tensor."""

    __slots__ = ()

    def _vjp(self, g: Any, create: bool) -> Sequence[Any]:
        return (g,)


def alias(t: Tensor) -> Tensor:
    """`t` again, requiring grad at a place of its own; tangents and batches come along."""
    if t.__class__ is Batched:
        return batched(alias(t._value), t._level)  # type: ignore[attr-defined]
    made = wrap(t._array, t._kind)
    made._version_ = t._version_
    if t._more is not None and t._more.tangents:
        more(made).tangents = t._more.tangents
    made._node = make(AliasNode, (edge_of(t),))
    return made


# ---- writes ----------------------------------------------------------------------------------------------------------


def inplace(self: Tensor, name: str, compute: Callable[[Tensor], Tensor]) -> Any:
    """A write at an open level: into the whole batch, or with a new tangent."""
    mode = modes.mode()
    level = innermost((self,), mode.transforms)
    old = wrap(self._array, self._kind)
    old._node = None if self._node is LEAF else self._node
    if self._more is not None and self._more.tangents:
        more(old).tangents = self._more.tangents
    result = compute(self if self.__class__ is Batched else old)
    found = innermost((result,), mode.transforms)
    if found is None and level is None:
        return NotImplemented
    if in_batch(self, level) if level is not None else False:
        assert level is not None
        whole: Tensor = self._value  # type: ignore[attr-defined]
        below = mode.transforms[: mode.transforms.index(level)]
        token = modes.change(transforms=below)
        try:
            whole.copy_(value_at(result, level))  # type: ignore[attr-defined]
        finally:
            modes.reset(token)
        self._array = whole._array[0, ...] if whole._array.shape[0] else self._array
        self._node = whole._node
        return self
    if result.__class__ is Batched:
        raise RuntimeError(
            f"vmap: inplace arithmetic(self, *extra_args) is not possible because there exists a Tensor `other` in extra_args that has "
            "more elements than `self`. This happened due to `other` being vmapped over but `self` not being vmapped over in a vmap. "
            "Please try to use out-of-place operators instead of inplace arithmetic. If said operator is being called inside the "
            "PyTorch framework, please file a bug report instead."
        )
    carrier = found or level
    assert carrier is not None
    tangent = tangent_of(result, carrier)
    token = modes.change(transforms=())
    try:
        self.copy_(result)  # type: ignore[attr-defined]
    finally:
        modes.reset(token)
    about = more(self)
    kept = dict(about.tangents or {})
    if tangent is None:
        kept.pop(carrier.id, None)
    else:
        kept[carrier.id] = tangent
    about.tangents = kept or None
    return self


Slots.transform, Slots.inplace = staticmethod(transform), staticmethod(inplace)  # type: ignore[assignment]
