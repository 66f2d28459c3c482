"""All samples of all families: for each primitive, (arrays and numbers, parameters) of calls.

A family's samples stand in a `samples_<family>.py` with a function `samples(rng)`; its arrays are float64 where a gradient is
wanted, and small. `references()`, where there is one, gives functions of NumPy or SciPy for values. Here: collecting.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import lamina.nn.functional
import lamina.primitives
from lamina.primitives.registry import PRIMITIVES, Primitive

Sample = tuple[tuple[Any, ...], dict[str, Any]]

for package in (
    lamina.primitives,
    lamina.nn.functional,
):  # whatever is declared, also in what loads when it is first used
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)

FAMILIES = [importlib.import_module(path.stem) for path in sorted(Path(__file__).parent.glob("samples_*.py"))]


def collected() -> dict[str, list[Sample]]:
    """Samples by primitive."""
    found: dict[str, list[Sample]] = {}
    for family in FAMILIES:
        for name, rows in family.samples(np.random.default_rng(0)).items():
            found.setdefault(name, []).extend(rows)
    return found


def references() -> dict[str, Callable[..., Any]]:
    return {name: f for family in FAMILIES if hasattr(family, "references") for name, f in family.references().items()}


SAMPLES, REFERENCES = collected(), references()


def primitives() -> list[Primitive]:
    return [PRIMITIVES[name] for name in sorted(PRIMITIVES)]
