"""Samples of what works on images: pooling of 3 dimensions, uneven and random windows, resizing, places of a grid, prelu."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Sample = tuple[tuple[Any, ...], dict[str, Any]]

SIZES = {1: ((5,), (7,)), 2: ((4, 5), (6, 3)), 3: ((2, 3, 4), (3, 2, 5))}


def samples(rng: np.random.Generator) -> dict[str, list[Sample]]:
    """For each primitive: (arrays, parameters) of calls."""

    def apart(*shape: int) -> Any:
        """No two elements within a step of finite differences, none at 0."""
        n = math.prod(shape)
        return ((rng.permutation(n) - n // 2) * 0.3 + 0.137).reshape(shape)

    def call(*arrays: Any, **params: Any) -> Sample:
        return arrays, params

    volume, image = apart(1, 2, 4, 4, 5), apart(2, 2, 4, 6)
    places2, places3 = rng.integers(0, 24, (2, 2, 2, 3)), rng.integers(0, 80, (1, 2, 2, 2, 2))
    distinct2 = np.stack([rng.permutation(24)[:6].reshape(2, 3) for _ in range(4)]).reshape(2, 2, 2, 3)
    distinct3 = np.stack([rng.permutation(80)[:8].reshape(2, 2, 2) for _ in range(2)]).reshape(1, 2, 2, 2, 2)
    mean3 = {
        "kernel": (2, 3, 2),
        "stride": (2, 1, 2),
        "padding": (1, 0, 1),
        "ceil_mode": True,
        "count_include_pad": False,
        "divisor": None,
    }
    found: dict[str, list[Sample]] = {
        "avg_pool3d": [call(volume, **mean3)],
        "avg_pool3d_grad": [call(apart(1, 2, 3, 2, 3), shape=(1, 2, 4, 4, 5), **mean3)],
        "adaptive_avg_pool3d": [call(volume, outputs=(2, 3, 2))],
        "adaptive_avg_pool3d_grad": [call(apart(1, 2, 2, 3, 2), shape=(1, 2, 4, 4, 5), outputs=(2, 3, 2))],
        "adaptive_max_pool3d": [call(volume, outputs=(3, 2, 2))],
        "fractional_max_pool2d": [call(image, rng.random((2, 2, 2)), kernel=(2, 2), outputs=(2, 3))],
        "fractional_max_pool3d": [call(volume, rng.random((1, 2, 3)), kernel=(2, 2, 2), outputs=(2, 2, 3))],
        "max_unpool2d": [call(apart(2, 2, 2, 3), distinct2, space=(4, 6))],
        "max_unpool3d": [call(apart(1, 2, 2, 2, 2), distinct3, space=(4, 4, 5))],
        "grid_pick": [call(apart(2, 2, 6), np.array([[0, 5, -1], [3, 3, 1]]))],
        "grid_put": [call(apart(2, 2, 3), np.array([[0, 5, -1], [3, 3, 1]]), size=6)],
        "grid_whole": [call(apart(3, 4), nearest=nearest) for nearest in (False, True)],
        "grid_nothing": [call(apart(3, 4))],
        "grid_unmoved": [call(apart(3, 4), apart(2, 2))],
        "prelu_kernel": [call(apart(2, 3, 4), apart(1, 3, 1)), call(apart(5), apart(1))],
        "hardshrink": [call(apart(3, 4), 0.9)],
    }
    for padding in range(3):
        for align in (False, True):
            place = call(rng.random(7) * 3.7 - 1.83, size=5, padding=padding, align_corners=align)
            for name in ("grid_place", "grid_slope"):
                found.setdefault(name, []).append(place)
            options = {"sizes": (3, 4, 5), "padding": padding, "align_corners": align}
            corners = [np.floor(rng.random(6) * 8 - 2) for _ in range(3)]
            for dims in (2, 3):
                params = options | {"steps": (0, 1, 1)[:dims], "sizes": options["sizes"][:dims]}
                found.setdefault(f"grid_index_{dims}d", []).append(call(*corners[:dims], **params))
    for name in ("max_pool2d", "adaptive_max_pool2d", "fractional_max_pool2d", "max_unpool2d"):
        found[f"{name}_take"] = [call(image, places2)]
        found[f"{name}_grad"] = [call(apart(2, 2, 2, 3), places2, shape=(2, 2, 4, 6), disjoint=False)]
    for name in ("max_pool3d", "adaptive_max_pool3d", "fractional_max_pool3d", "max_unpool3d"):
        found[f"{name}_take"] = [call(volume, places3)]
        found[f"{name}_grad"] = [call(apart(1, 2, 2, 2, 2), places3, shape=(1, 2, 4, 4, 5), disjoint=False)]
    return found | _resized(apart)


def _resized(apart: Any) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    smooth = {1: ("linear1d",), 2: ("bilinear2d", "bicubic2d"), 3: ("trilinear3d",)}
    for dims, (inputs, outputs) in SIZES.items():
        flat = (f"nearest{dims}d", f"nearest_exact{dims}d")
        for name in flat + smooth[dims]:
            ways = [(False, (None,) * dims), (False, (1.3,) * dims)] + (
                [] if name in flat else [(True, (None,) * dims)]
            )
            options = [{"align_corners": align, "scales": scales} for align, scales in ways]
            found[f"upsample_{name}"] = [(((apart(2, 1, *inputs)),), {"outputs": outputs, **o}) for o in options]
            found[f"upsample_{name}_grad"] = [((apart(2, 1, *outputs),), {"inputs": inputs, **o}) for o in options]
    return found
