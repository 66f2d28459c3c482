"""All samples of all families: for each primitive, (arrays and numbers, parameters) of calls.

A family's samples stand in a `samples_<family>.py` with a function `samples(rng)`; its arrays are float64 where a gradient is
wanted, and small. A third part of a row is what comes out, for what is not recorded. Here: collecting.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pkgutil
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from conventions import DRAWS
from recorded import digest, known

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


class Draws:
    """Random numbers that depend on what is asked for, not on what was asked before: a new sample leaves the others as they are."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def __getattr__(self, method: str) -> Any:
        def draw(*args: Any) -> Any:
            key = f"{method} {args}"
            self.asked[key] += 1
            return getattr(np.random.default_rng(zlib.crc32(f"{key} {self.asked[key]}".encode())), method)(*args)

        return draw


FAMILIES = [importlib.import_module(path.stem) for path in sorted(Path(__file__).parent.glob("samples_*.py"))]

SAMPLES: dict[str, list[Sample]] = {}
"""By primitive."""
GIVEN: dict[tuple[str, int], tuple[Any, ...]] = {}
"""By primitive and number of the sample: values that the row itself gives, as its third part."""

for family in FAMILIES:
    for name, rows in family.samples(Draws()).items():
        for args, params, *values in rows:
            listed = SAMPLES.setdefault(name, [])
            if values:
                GIVEN[name, len(listed)] = values[0] if isinstance(values[0], tuple) else (values[0],)
            listed.append((args, params))


class Composite:
    """A function of lamina's, by its path, as the checks look at a primitive: any argument may have a gradient."""

    variadic, view, rules = True, False, (True,)

    def __init__(self, name: str) -> None:
        self.name = name
        self.function = self.primitive = self
        self.called = functools.reduce(getattr, name.removeprefix("torch.").split("."), lamina)

    def __call__(self, *args: Any, **params: Any) -> Any:
        return self.called(*args, **params)


RECORDED = known()


def recorded(p: Primitive, number: int) -> dict[str, Any]:
    """What is recorded of a sample."""
    return RECORDED.get(p.name, {}).get(digest(*SAMPLES[p.name][number]), {})


def expected(p: Primitive, number: int) -> Any:
    """The values of a sample: what its row gives, what PyTorch gave, or what NumPy's or SciPy's function of that name does.

    Raises AssertionError when there is none of these.
    """
    if (p.name, number) in GIVEN:
        return GIVEN[p.name, number]
    values = recorded(p, number).get("values")
    if values is not None or p.name in DRAWS:
        return values
    function = getattr(np, p.name, None)
    if function is None and importlib.util.find_spec("scipy") is not None:
        function = getattr(importlib.import_module("scipy.special"), p.name.removeprefix("special_"), None)
    args, params = SAMPLES[p.name][number]
    assert function is not None and not params, (
        f"{p.name}: nothing says what sample {number} gives. "
        "Write it as the third part of its row (arguments, parameters, values), or let tests/oracle/record_primitives.py record it"
    )
    return (np.asarray(function(*args)),)


def primitives() -> list[Any]:
    """What is checked: primitives, and public functions that composites stand behind."""
    return [PRIMITIVES[name] for name in sorted(PRIMITIVES)] + [
        Composite(name) for name in sorted(SAMPLES) if "." in name
    ]
