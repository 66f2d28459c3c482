"""Samples of the public functions that composites without rules of their own stand behind."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Sample = tuple[tuple[Any, ...], dict[str, Any]]


def samples(rng: np.random.Generator) -> dict[str, list[Sample]]:
    """For each function, by its path: (arguments, parameters) of calls."""

    def apart(*shape: int) -> Any:
        """Distinct numbers, none near zero or one."""
        n = math.prod(shape)
        return ((rng.permutation(n) - n // 2) * 0.3 + 0.137).reshape(shape)

    x, y, image, volume = apart(3, 4), apart(3, 4) + 0.05, apart(2, 4, 4, 6), apart(1, 2, 3, 4, 2)
    classes, weight = np.array([3, 0, 2]), np.abs(apart(4)) + 0.1
    ways = [{"reduction": r} for r in ("mean", "sum", "none")]
    index, offsets = np.array([2, 0, 1, 1, 2]), np.array([0, 2, 2])
    factors = {"theta": apart(2, 2, 3), "theta3": apart(1, 3, 4)}
    places, places3 = np.tanh(apart(2, 3, 2, 2)), np.tanh(apart(1, 2, 3, 2, 3))
    heads = [apart(1, 2, n, 4) * 0.3 for n in (3, 5, 5)]
    grids = [
        {"mode": mode, "padding_mode": padding, "align_corners": align}
        for mode, padding, align in (
            ("bilinear", "zeros", False),
            ("bilinear", "reflection", True),
            ("bicubic", "border", False),
        )
    ]
    functional: dict[str, list[Sample]] = {
        "elu": [((x,), {"alpha": 0.7})],
        "selu": [((x,), {})],
        "celu": [((x,), {"alpha": 1.3})],
        "silu": [((x,), {})],
        "mish": [((x,), {})],
        "gelu": [((x,), {"approximate": "tanh"})],
        "glu": [((x,), {"dim": d}) for d in (-1, 1)],
        "scaled_dot_product_attention": [((*heads,), {}), ((*heads, None), {"is_causal": True})],
        "pdist": [((apart(4, 3),), {"p": p}) for p in (1.0, 2.0, 3.0)],
        "embedding_bag": [((index, x, offsets), {"mode": mode}) for mode in ("sum", "mean", "max")],
        "bilinear": [((x, apart(3, 2), apart(2, 4, 2), apart(2)), {})],
        "mse_loss": [((x, y[:1]), way) for way in ways],
        "smooth_l1_loss": [((x, y), {**way, "beta": 0.5}) for way in ways],
        "huber_loss": [((x, y), {**way, "delta": 0.7}) for way in ways],
        "pad": [
            ((apart(1, *(4, 3, 5)[: dims + 1]), (1, 2) * dims), {"mode": mode}) for mode in ("reflect", "replicate") for dims in (1, 2)
        ]
        + [((volume, (1, 0, 2, 1, 1, 1)), {"mode": mode}) for mode in ("reflect", "replicate")],
        "interpolate": [
            ((image, (3, 7)), {"mode": mode, "antialias": True, "align_corners": align})
            for mode in ("bilinear", "bicubic")
            for align in (False, True)
        ]
        + [((image, (3, 7)), {"mode": "lanczos", "antialias": True})],
        "nll_loss": [((apart(4), np.array(2), None), {})]
        + [((apart(2, 4, 3), rng.integers(0, 4, (2, 3)), w), way) for w in (None, weight) for way in ways[:2]],
        "multi_margin_loss": [((x, classes), {**way, "p": p}) for way in ways for p in (1, 2)],
        "multilabel_margin_loss": [((x, np.array([[3, 0, -1, 1], [0, -1, 2, 2], [1, 2, 3, 0]])), way) for way in ways],
        "grid_sample": [((image, places), options) for options in grids] + [((volume, places3), {"align_corners": True})],
        "affine_grid": [
            ((factors["theta"], (2, 1, 3, 4)), {"align_corners": False}), ((factors["theta3"], (1, 1, 2, 3, 2)), {"align_corners": True}),
        ],
        "pixel_shuffle": [((image, 2), {})],
        "pixel_unshuffle": [((image, 2), {})],
        "channel_shuffle": [((image, 2), {})],
    }  # fmt: skip
    found = {f"nn.functional.{name}": rows for name, rows in functional.items()}
    reflected = np.tril(apart(4, 3) * 0.2, -1) + np.eye(4, 3)
    return found | {
        "torch.conv_tbc": [((apart(5, 2, 3), apart(2, 3, 4), apart(4)), {"pad": 1})],
        "torch.ormqr": [((reflected, apart(3) * 0.2, apart(4, 2)), {"transpose": t}) for t in (False, True)],
        "linalg.householder_product": [((reflected, apart(3) * 0.2), {})],
        "nn.utils.rnn.pack_padded_sequence": [((apart(3, 2, 4), np.array([3, 2])), {})],
    }
