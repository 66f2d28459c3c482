"""Samples of draws, in place and by parameters that are tensors, and of the slopes of those that have some."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.generator import Generator

Sample = tuple[tuple[Any, ...], dict[str, Any]]

IN_PLACE = (
    "bernoulli_",
    "cauchy_",
    "exponential_",
    "geometric_",
    "log_normal_",
    "normal_",
    "random_",
    "random_to",
    "random_any",
    "uniform_",
)


def samples(rng: np.random.Generator) -> dict[str, list[Sample]]:
    """For each primitive: (arrays, parameters) of calls."""
    chances, positive = rng.uniform(0.1, 0.9, (3, 2)), rng.uniform(0.5, 4.0, (3, 2))
    drawn = {"generator": Generator()}
    found: dict[str, list[Sample]] = {
        "bernoulli": [((chances,), drawn)],
        "poisson": [((positive,), drawn)],
        "normal_by_mean": [((chances,), {"std": 2.0} | drawn)],
        "normal_by_std": [((positive,), {"mean": 1.0} | drawn)],
        "normal_by_both": [((chances, positive), drawn)],
        "standard_gamma": [((positive,), drawn)],
        "standard_gamma_grad": [((positive, positive * 0.8 + 0.3), {})],
        "sample_dirichlet": [((positive,), drawn)],
        "dirichlet_grad": [((chances, positive, positive + 1.5), {})],
    }
    return found | {f"drawn_{name}": [((chances,), {"values": positive}, positive)] for name in IN_PLACE}
