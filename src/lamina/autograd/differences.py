"""Finite differences: Jacobians by moving one element of an input at a time, in place.

Here: the numbers that gradcheck compares with. Not here: the comparison (gradcheck.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import lamina
from lamina.core.device import BY_NUMPY


class GradcheckError(RuntimeError):
    """A gradient is not what finite differences say, or breaks a rule of gradients."""

    __module__ = "torch.autograd.gradcheck"


def perturbed_alike(a: Any, b: Any, like: Any, how: str) -> None:
    """Raises AssertionError for an output whose shape or dtype depends on values."""
    for what in ("shape", "dtype"):
        one, other = getattr(a, what), getattr(b, what)
        if one != other or other != getattr(like, what):
            shown = (
                [lamina.Size(one), lamina.Size(other)]
                if what == "shape"
                else [BY_NUMPY[one].dtype, BY_NUMPY[other].dtype]
            )
            raise AssertionError(
                f"Expected `func` to return outputs with the same {what} when inputs are perturbed {how}, but got: {what}s {shown[0]} "
                f"and {shown[1]}."
            )


def directions(array: Any) -> Iterator[complex]:
    yield 1.0
    if array.dtype.kind == "c":
        yield 1j


def moved(t: Any, eps: float) -> Iterator[tuple[int, complex, float]]:
    """Move one element of `t` in place by +-eps, along each direction: yields (flat index, direction, sign)."""
    array = t._array
    for flat, index in enumerate(np.ndindex(array.shape)):
        before = array[index].copy()
        for direction in directions(array):
            for sign in (1.0, -1.0):
                array[index] = before + sign * eps * direction
                try:
                    yield flat, direction, sign
                finally:
                    array[index] = before


def numerical_jacobians(values: Callable[[], list[Any]], t: Any, count: int, eps: float) -> list[dict[str, Any]]:
    """For each output the Jacobians of its parts by `t`."""
    found: list[dict[str, Any]] = [{} for _ in range(count)]
    kind = t._array.dtype
    plus: list[Any] = []
    for flat, direction, sign in moved(t, eps):
        now = values()
        if sign > 0:
            plus = now
            continue
        for jacobians, a, b in zip(found, plus, now, strict=True):
            index = tuple(int(n) for n in np.unravel_index(flat, t._array.shape))
            perturbed_alike(b, a, a, f"on index {index} by {eps}")
            slope = (np.subtract(a, b, dtype=None if a.dtype.kind in "fc" else np.float64) / (2 * eps)).reshape(-1)
            for part in ("real", "imag") if slope.dtype.kind == "c" else ("real",):
                wide = np.result_type(kind, slope.real.dtype)
                rows = jacobians.setdefault(part, np.zeros((t._array.size, slope.size), wide))
                rows[flat] += direction * getattr(slope, part) if direction != 1.0 else getattr(slope, part)
    return found


def random_direction(generator: Any, array: Any) -> Any:
    """A random direction of unit length, no part of it negative."""
    parts = [lamina.rand(array.shape, generator=generator, dtype=lamina.float64)._array for _ in range(2)]
    v = parts[0] + 1j * parts[1] if array.dtype.kind == "c" else parts[0]
    length = np.sqrt((np.abs(v) ** 2).sum())
    return (v / length if length else v).astype(array.dtype)
