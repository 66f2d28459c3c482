"""Rules for batches of images: convolution, pooling, resizing. A batch of batches is a longer batch.

Filters that differ from entry to entry make more groups. Here: these rules. Not here: the other rules (batching.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lamina.primitives import shape as s
from lamina.primitives.batching import Params, call, one_by_one, register
from lamina.primitives.levels import Level, in_batch, value_at
from lamina.primitives.registry import PRIMITIVES, Primitive


def _merged(only: int = 9) -> Callable[..., Any]:
    """A batch of batches of images is a longer batch. only: how many of the inputs have one; others go one by one."""

    def rule(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
        if not level.size or any(in_batch(t, level) for t in tensors[only:]):
            return one_by_one(p, tensors, params, level)
        values = [_longer(value_at(t, level)) for t in tensors[:only]]
        if "shape" in params:
            params = {**params, "shape": (values[0]._array.shape[0], *params["shape"][1:])}
        result = call(p, (*values, *tensors[only:]), params)
        if isinstance(result, tuple):
            return tuple([None if r is None else _apart(r, level) for r in result])
        return _apart(result, level)

    return rule


def _longer(t: Any) -> Any:
    """Dimensions 0 and 1 as one."""
    a, b, *rest = t._array.shape
    return t.reshape((a * b, *rest))


def _apart(r: Any, level: Level) -> Any:
    return r.reshape((level.size, r._array.shape[0] // level.size, *r._array.shape[1:]))


def _joined(t: Any) -> Any:
    """Dimensions 1 and 2 as one."""
    first, a, b, *rest = t._array.shape
    return t.reshape((first, a * b, *rest))


def _filters(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    """Filters of their own for each entry: more groups. The images' channels lie side by side."""
    x, w = tensors[:2]
    groups = params["groups"]
    images = s.transpose_(value_at(x, level), dim0=0, dim1=1)
    n = images._array.shape[0]
    images = _joined(images)
    filters = value_at(w, level)
    filters = filters.reshape((level.size * w._array.shape[0], *w._array.shape[1:]))
    changed = {**params, "groups": groups * level.size}
    if "shape" in params:
        changed["shape"] = (n, params["shape"][1] * level.size, *params["shape"][2:])
    out = call(PRIMITIVES[p.name.removesuffix("_bias")], (images, filters), changed)
    out = s.transpose_(
        out.reshape((n, level.size, out._array.shape[1] // level.size, *out._array.shape[2:])), dim0=0, dim1=1
    )
    if len(tensors) == 3:
        bias = value_at(tensors[2], level)
        out = out + bias.reshape((level.size, 1, -1, *(1,) * (x._array.ndim - 2)))
    return out


def _convolution(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    if any(in_batch(t, level) for t in tensors[1:]):
        return (_filters if level.size else one_by_one)(p, tensors, params, level)
    return _merged(1)(p, tensors, params, level)


def _filters_gradient(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    """Gradients of filters, one for each entry: more groups."""
    if not level.size:
        return one_by_one(p, tensors, params, level)
    g, x = (s.transpose_(value_at(t, level), dim0=0, dim1=1) for t in tensors)
    g, x = _joined(g), _joined(x)
    shape = params["shape"]
    changed = {**params, "groups": params["groups"] * level.size, "shape": (shape[0] * level.size, *shape[1:])}
    return call(p, (g, x), changed).reshape((level.size, *shape))


register(_convolution, "conv", "conv_bias", "conv_input", "conv_input_bias")
register(_filters_gradient, "conv_weight")
register(
    _merged(), "im2col", "col2im", *(
        f"{kind}_pool{d}d{form}" for d in (2, 3) for kind in ("max", "avg", "adaptive_avg", "adaptive_max") for form in ("", "_grad", "_take")
    ), *(f"max_unpool{d}d{form}" for d in (2, 3) for form in ("", "_grad", "_take")),
    *(f"upsample_{kind}{form}" for form in ("", "_grad") for kind in (
        "nearest1d", "nearest2d", "nearest3d", "nearest_exact1d", "nearest_exact2d", "nearest_exact3d", "linear1d", "bilinear2d",
        "trilinear3d", "bicubic2d",
    )),
)  # fmt: skip
