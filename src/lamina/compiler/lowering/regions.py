"""Copies between regions: what a view of an array shows, as a look at the same memory; diagonals, slices, turned and repeated arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np

from lamina.compiler.graph import Node, Ref, row_major
from lamina.compiler.loops import NotNative, Work
from lamina.compiler.lowering.rules import rule
from lamina.compiler.lowering.shapes import copied, filled, region
from lamina.primitives.registry import PRIMITIVES


def seen(ref: Ref, look: Callable[[Any], Any]) -> Ref:
    """What `look` sees of an array that lies as `ref` does. look: makes views only, for there is no memory under the array."""
    base = np.lib.stride_tricks.as_strided(np.empty(1, ref.dtype), ref.shape, ref.strides)
    view = look(base)
    offset = view.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    return Ref(ref.value, ref.offset + offset, view.shape, view.strides, ref.dtype)


def _result(node: Node) -> Ref:
    out = node.outputs[0]
    if out is None or 0 in out.shape:
        raise NotNative("nothing to write")
    return out


@rule("flip")
def flip(node: Node) -> Sequence[Work]:
    dims = node.params["dims"]
    return [copied(seen(node.inputs[0], lambda a: np.flip(a, dims)), _result(node))]


@rule("rot90")
def rot90(node: Node) -> Sequence[Work]:
    return [copied(seen(node.inputs[0], lambda a: np.rot90(a, node.params["k"], node.params["dims"])), _result(node))]


@rule("roll")
def roll(node: Node) -> Sequence[Work]:
    x, out = node.inputs[0], _result(node)
    shifts, dims = node.params["shifts"], node.params["dims"]
    if not dims:  # along the flattened array
        if any(r.strides != row_major(r.shape, r.dtype.itemsize) for r in (x, out)):
            raise NotNative("scattered elements")
        x, out = (Ref(r.value, r.offset, (r.size,), (r.dtype.itemsize,), r.dtype) for r in (x, out))
        dims = (0,)
    by = [0] * len(out.shape)
    for k, d in zip(shifts, dims, strict=True):
        by[d] += k
    parts = []
    for n, k in zip(out.shape, by, strict=True):
        k %= n
        parts.append([((0, n - k), (k, n)), ((n - k, n), (0, k))] if k else [((0, n), (0, n))])
    return [copied(region(x, [a for a, _ in part]), region(out, [b for _, b in part])) for part in product(*parts)]


@rule("repeat")
def repeat(node: Node) -> Sequence[Work]:
    """Each dimension as two: which repetition, and where in it."""
    x, out, times = node.inputs[0], _result(node), node.params["repeats"]
    lead = len(times) - len(x.shape)
    shape: list[int] = []
    source: list[int] = []
    target: list[int] = []
    for d, (k, s) in enumerate(zip(times, out.strides, strict=True)):
        n, step = (x.shape[d - lead], x.strides[d - lead]) if d >= lead else (1, 0)
        shape += (k, n)
        source += (0, step)
        target += (s * n, s)
    return [
        copied(
            x._replace(shape=tuple(shape), strides=tuple(source)),
            out._replace(shape=tuple(shape), strides=tuple(target)),
        )
    ]


@rule("shifted")
def shifted(node: Node) -> Sequence[Work]:
    x, out = node.inputs[0], _result(node)
    dim, fill = node.params["dim"], node.params["fill"]
    if not out.shape:
        return [copied(fill, out)]
    n = out.shape[dim]
    whole = [(0, size) for size in out.shape]
    early, late, last = ([*whole[:dim], ends, *whole[dim + 1 :]] for ends in ((0, n - 1), (1, n), (n - 1, n)))
    first = [*whole[:dim], (0, 1), *whole[dim + 1 :]]
    if node.params["reverse"]:
        return [copied(region(x, late), region(out, early)), copied(fill, region(out, last))]
    return [copied(region(x, early), region(out, late)), copied(fill, region(out, first))]


# ---- on a background -------------------------------------------------------------------------------------------------


@rule("diag_embed", "diagonal_adjoint")
def diagonal(node: Node) -> Sequence[Work]:
    x, out, p = node.inputs[0], _result(node), node.params
    return [filled(out, 0), copied(x, seen(out, lambda a: np.diagonal(a, p["offset"], p["dim1"], p["dim2"])))]


@rule("embed")
def embed(node: Node) -> Sequence[Work]:
    x, out = node.inputs[0], _result(node)
    if out.size * out.dtype.itemsize != out.value.nbytes:
        raise NotNative("a result with gaps")
    return [filled(out, 0), copied(x, seen(out, lambda a: a[node.params["index"]]))]


@rule("select_scatter", "slice_scatter", "diagonal_scatter")
def scattered(node: Node) -> Sequence[Work]:
    x, src = node.inputs
    out, look = _result(node), PRIMITIVES[node.name.removesuffix("_scatter")].forward
    return [copied(x, out), copied(src, seen(out, lambda a: look(a, **node.params["at"])))]


@rule("block_diag")
def block_diag(node: Node) -> Sequence[Work]:
    out = _result(node)
    works, row, column = [filled(out, 0)], 0, 0
    for block in node.inputs:
        m, n = block.shape
        works.append(copied(block, region(out, [(row, row + m), (column, column + n)])))
        row, column = row + m, column + n
    return works


@rule("unsafe_split")
def unsafe_split(node: Node) -> Sequence[Work]:
    x, dim, at, works = node.inputs[0], node.params["dim"], 0, []
    for n, out in zip(node.params["sizes"], node.outputs, strict=True):
        if out is not None:
            part = x._replace(offset=x.offset + at * x.strides[dim], shape=(*x.shape[:dim], n, *x.shape[dim + 1 :]))
            works.append(copied(part, out))
        at += n
    return works


# ---- slices of a base that has strides of its own --------------------------------------------------------------------


def _slice_of(ref: Ref, geometry: Any) -> Ref:
    size, stride, offset = geometry
    item = ref.dtype.itemsize
    return Ref(ref.value, ref.offset + offset * item, tuple(size), tuple(s * item for s in stride), ref.dtype)


@rule("put_slice")
def put_slice(node: Node) -> Sequence[Work]:
    out = _result(node)
    return [filled(out, 0), copied(node.inputs[0], _slice_of(out, node.params["geometry"]))]


@rule("clear_slice")
def clear_slice(node: Node) -> Sequence[Work]:
    out = _result(node)
    return [copied(node.inputs[0], out), copied(0, _slice_of(out, node.params["geometry"]))]


@rule("take_slice")
def take_slice(node: Node) -> Sequence[Work]:
    g, (shape, strides) = node.inputs[0], node.params["like"]
    if any(n > 1 and s != t * g.dtype.itemsize for n, s, t in zip(shape, g.strides, strides, strict=True)):
        raise NotNative("a cotangent that does not lie as its base")
    return [copied(_slice_of(g, node.params["geometry"]), _result(node))]
