"""Rules for batches of what reads and writes by an index, and what has no rule by nature.

An index of its own for each entry is, for the whole batch, one index more: that counts the entries. Here: these rules. Not here:
the other rules (batching.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina.core.tensor import Tensor, wrap
from lamina.primitives import shape as s
from lamina.primitives.batching import Params, call, filled, one_by_one, register, shifted
from lamina.primitives.levels import Level, in_batch, value_at
from lamina.primitives.registry import PRIMITIVES, Primitive


class _Picks:
    """An indexing of all entries at once: indices with one that counts the entries, and where what they pick comes to lie.

    NumPy puts what indices pick where the first of them stands if they stand side by side, and in front otherwise.
    """

    def __init__(self, at: tuple[int, ...], indices: Sequence[Tensor], level: Level) -> None:
        self.rank = max(i._array.ndim for i in indices)
        self.at = (0, *[d + 1 for d in at])
        counting = np.arange(level.size or 0, dtype=np.int64).reshape((-1, *(1,) * self.rank))
        self.indices = [wrap(counting)] + [filled(i, self.rank, level) if in_batch(i, level) else i for i in indices]
        # where an entry's picks stand in its result
        self.first = at[0] if all(b - a == 1 for a, b in zip(at, at[1:], strict=False)) else 0
        self.split = self.at != tuple(range(len(self.at)))

    def order(self, ndim: int) -> tuple[int, ...]:
        """The dimensions of a result for all entries, in the order that entries' results have."""
        picked, rest = list(range(1, 1 + self.rank)), list(range(1 + self.rank, ndim))
        return (0, *rest[: self.first], *picked, *rest[self.first :])

    def arranged(self, t: Tensor) -> Tensor:
        """A result as NumPy has it, in the entries' order."""
        return s.permute_(t, dims=self.order(t._array.ndim)) if self.first else t

    def undone(self, t: Tensor) -> Tensor:
        """The inverse."""
        if not self.first:
            return t
        order = self.order(t._array.ndim)
        return s.permute_(t, dims=tuple(np.argsort(order).tolist()))  # type: ignore[no-any-return]


def _index(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    x, *indices = tensors
    at = params["at"]
    adjacent = all(b - a == 1 for a, b in zip(at, at[1:], strict=False))
    if not any(in_batch(i, level) for i in indices):
        out = call(p, (value_at(x, level), *indices), {"at": tuple([d + 1 for d in at])})
        rank = max(i._array.ndim for i in indices)
        return (
            out
            if adjacent or not rank
            else s.permute_(out, dims=(rank, *range(rank), *range(rank + 1, out._array.ndim)))
        )
    if not in_batch(x, level):  # all entries pick from one tensor
        rank = max(i._array.ndim for i in indices)
        out = call(p, (x, *[filled(i, rank, level) if in_batch(i, level) else i for i in indices]), {"at": at})
        first = at[0] if adjacent else 0
        return out if not first else s.permute_(out, dims=(first, *range(first), *range(first + 1, out._array.ndim)))
    picks = _Picks(at, indices, level)
    return picks.arranged(call(p, (value_at(x, level), *picks.indices), {"at": picks.at}))


def _index_adjoint(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    g, *indices = tensors
    picks = _Picks(params["at"], indices, level)
    changed = {"shape": (level.size, *params["shape"]), "at": picks.at}
    return call(p, (picks.undone(value_at(g, level)), *picks.indices), changed)


def _index_put(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    x, values, *indices = tensors
    picks = _Picks(params["at"], indices, level)
    picked = np.broadcast_shapes(*(i._array.shape for i in indices))
    rest = [n for d, n in enumerate(x._array.shape) if d not in params["at"]]
    shape = (*rest[: picks.first], *picked, *rest[picks.first :])
    full = s.expand_(filled(values, len(shape), level), size=(level.size, *shape))
    return call(p, (value_at(x, level), picks.undone(full), *picks.indices), {**params, "at": picks.at})


def _along(rule: Callable[..., Any], read: bool) -> Callable[..., Any]:
    """index_select and its kin: with an index of each entry's own, they are indexings."""

    def chosen(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
        t, index = tensors[:2]
        if not in_batch(index, level) or not t._array.ndim:
            return first_shifted(p, tensors, params, level)
        at = (params["dim"],)
        if read:
            return _index(PRIMITIVES["index"], (t, index.reshape(-1)), {"at": at}, level)
        return _index_adjoint(
            PRIMITIVES["index_adjoint"], (t, index.reshape(-1)), {"shape": params["shape"], "at": at}, level
        )

    return chosen


def first_shifted(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    """The dimension of the first lies one further back; the index is one for all entries."""
    t = tensors[0]
    if any(in_batch(other, level) for other in tensors[1:]) or not t._array.ndim:
        return one_by_one(p, tensors, params, level)
    changed = {**params, "dim": params["dim"] + 1}
    if "shape" in params:
        changed["shape"] = (level.size, *params["shape"])
    return call(p, (t._value, *tensors[1:]), changed)


def _added(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    """index_add, index_copy: with one index for all entries, everything else lies one dimension further back."""
    x, index, source = tensors
    if in_batch(index, level) or not x._array.ndim or not source._array.ndim:
        return one_by_one(p, tensors, params, level)
    return call(p, (value_at(x, level), index, value_at(source, level)), {**params, "dim": params["dim"] + 1})


def _gather_adjoint(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    changed = {"shape": (level.size, *params["shape"]), "dim": params["dim"]}
    if not params["shape"]:
        return one_by_one(p, tensors, params, level)
    return shifted("dim")(p, tensors, changed, level)


def _take(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    x, index = tensors
    return one_by_one(p, tensors, params, level) if in_batch(x, level) else call(p, (x, index._value), params)


def _embedding(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    weight, indices = tensors
    if not in_batch(weight, level):
        return call(p, (weight, indices._value), params)
    if params["padding_idx"] >= 0 or params["scale_grad_by_freq"]:
        return one_by_one(p, tensors, params, level)
    return _index(PRIMITIVES["index"], tensors, {"at": (0,)}, level)


def _embedding_adjoint(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    if params["padding_idx"] >= 0 or params["scale_grad_by_freq"]:
        return one_by_one(p, tensors, params, level)
    width = tensors[0]._array.shape[-1]
    return _index_adjoint(PRIMITIVES["index_adjoint"], tensors, {"shape": (params["rows"], width), "at": (0,)}, level)


register(_index, "index")
register(_index_adjoint, "index_adjoint")
register(_index_put, "index_put")
register(_along(_index, True), "index_select")
register(_along(_index_adjoint, False), "index_select_adjoint")
register(_added, "index_add", "index_copy")
register(_gather_adjoint, "gather_adjoint")
register(_take, "take")
register(_embedding, "embedding")
register(_embedding_adjoint, "embedding_dense_backward")


# ---- results of a shape that the values tell ---------------------------------------------------------------------------


def _refused(what: str) -> Callable[..., Any]:
    def rule(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
        raise RuntimeError(
            f"vmap: We do not support batching operators that can output dynamic shape. Attempted to vmap over {what}. Please file an "
            "issue at https://github.com/pytorch/pytorch/issues if you need this feature."
        )

    return rule


for _name, _what in (("nonzero", "aten::nonzero"), ("unique", "aten::_unique2"), ("unique_dim", "aten::unique_dim"),
                     ("unique_consecutive", "aten::unique_consecutive"), ("bincount", "aten::bincount")):  # fmt: skip
    register(_refused(_what), _name)


def _masked_select(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    if in_batch(tensors[1], level):
        raise RuntimeError(
            "vmap: Attempted to vmap over `mask` in torch.masked_select(self, mask) We cannot support this because for each batch this "
            "would return a differently shaped Tensor. Please file an issue at https://github.com/pytorch/pytorch/issues if you need "
            "this feature."
        )
    return one_by_one(p, tensors, params, level)


register(_masked_select, "masked_select")
