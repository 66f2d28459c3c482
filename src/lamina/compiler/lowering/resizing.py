"""Images of other sizes: one axis after the other, by the tables of places and weights that eager has too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.compiler.graph import Node, Origin, Ref, Value, row_major
from lamina.compiler.loops import WIDE, Body, NotNative, Work
from lamina.compiler.lowering.products import FLOATS
from lamina.compiler.lowering.rules import rule
from lamina.primitives.kernels import resize

MODES = {
    "upsample_nearest1d": "nearest", "upsample_nearest2d": "nearest_2d", "upsample_nearest3d": "nearest", "upsample_linear1d": "linear",
    "upsample_nearest_exact1d": "nearest_exact", "upsample_nearest_exact2d": "nearest_exact", "upsample_nearest_exact3d": "nearest_exact",
    "upsample_bilinear2d": "linear", "upsample_trilinear3d": "linear", "upsample_bicubic2d": "cubic",
}  # fmt: skip
MOST_TAPS = 16


def _constant(array: Any) -> Ref:
    array = np.ascontiguousarray(array)
    return Ref(Value(0, array.nbytes, Origin("constant", array)), 0, array.shape, array.strides, array.dtype)


def _along(x: Ref, out: Ref, axis: int, table: resize.Table, wide: str) -> Work:
    """The sum over taps of weight times pixel at the tap's place; no pixel is looked at with weight 0."""
    taps = table.places.shape[1]
    if taps > MOST_TAPS:
        raise NotNative("many taps")
    places = _constant(table.places.astype(np.int64))
    weights = None if table.weights is None else _constant(table.weights.astype(wide))
    rank = len(out.shape)
    walk = tuple(0 if d == axis else s for d, s in enumerate(x.strides))

    def column(ref: Ref, t: int) -> tuple[Ref, tuple[int, ...]]:
        return ref._replace(offset=t * ref.strides[1]), tuple(ref.strides[0] if d == axis else 0 for d in range(rank))

    body = Body()
    total: Any = None
    for t in range(taps):
        part = body.cast(body.gather(x, walk, (body.load(*column(places, t)),), (x.strides[axis],)), wide)
        if weights is not None:
            weight = body.load(*column(weights, t))
            part = body.mul(part, weight)
            if table.empty is not None:
                part = body.select(body.eq(weight, 0.0), 0.0, part)
        total = part if total is None else body.add(total, part)
    body.store(out, out.strides, total)
    return Work(out.shape, rank, body.insts)


def _resized(node: Node, tables: Sequence[tuple[int, resize.Table]]) -> list[Work]:
    """The axes in this order; what is between lies in memory of its own, in the dtype that is computed in."""
    x, out = node.inputs[0], node.outputs[0]
    assert out is not None
    if x.dtype.name not in FLOATS or 0 in x.shape or 0 in out.shape:
        raise NotNative(x.dtype.name)
    wide = WIDE.get(x.dtype.name, x.dtype.name)
    works = []
    for n, (axis, table) in enumerate(tables):
        into = out
        if n < len(tables) - 1:
            shape = (*x.shape[:axis], len(table.places), *x.shape[axis + 1 :])
            strides = row_major(shape, np.dtype(wide).itemsize)
            into = Ref(Value(0, strides[0] * shape[0], node), 0, shape, strides, np.dtype(wide))
        works.append(_along(x, into, axis, table, wide))
        x = into
    return works


def _precision(node: Node, mode: str) -> str:
    x = node.inputs[0]
    return resize.precision(len(x.shape), np.dtype(WIDE.get(x.dtype.name, x.dtype.name)), mode)


@rule(*MODES)
def resized(node: Node) -> Sequence[Work]:
    x, p, mode = node.inputs[0], node.params, MODES[node.name]
    tables = [
        (2 + i, resize.table(mode, x.shape[2 + i], n, p["align_corners"], p["scales"][i], _precision(node, mode)))
        for i, n in reversed(list(enumerate(p["outputs"])))
    ]
    return _resized(node, tables)


@rule(*(f"{name}_grad" for name in MODES))
def resized_grad(node: Node) -> Sequence[Work]:
    g, p, mode = node.inputs[0], node.params, MODES[node.name.removesuffix("_grad")]
    tables = [
        (2 + i, resize.transposed(mode, n, g.shape[2 + i], p["align_corners"], p["scales"][i], _precision(node, mode)))
        for i, n in enumerate(p["inputs"])
    ]
    return _resized(node, tables)
