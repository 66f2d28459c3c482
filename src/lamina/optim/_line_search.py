"""A line search for the strong Wolfe conditions, as LBFGS uses it.

First the step is extrapolated until an interval is known to hold an acceptable point; then the interval is narrowed
by cubic interpolation. Source: Nocedal and Wright, Numerical Optimization, algorithms 3.5 and 3.6, with the
safeguards of Schmidt's minFunc.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from lamina.core.tensor import Tensor
from lamina.optim._support import Number


class Point(NamedTuple):
    """A place on the line: step length, loss, gradient, and slope along the line."""

    t: Number
    loss: float
    gradient: Tensor
    slope: Number


def strong_wolfe(
    evaluate: Callable[[Number], tuple[float, Tensor]],
    t: Number,
    direction: Tensor,
    loss: float,
    gradient: Tensor,
    slope: Number,
    decrease: float = 1e-4,
    flatness: float = 0.9,
    tolerance: float = 1e-9,
    max_steps: int = 25,
) -> tuple[float, Tensor, Number, int]:
    """(loss, gradient, step length, evaluations) of a point that is low enough and flat enough.

    Parameters
    ----------
    evaluate : callable
        Loss and flat gradient at a step length from the start.
    t : number
        The step length to try first.
    loss, gradient, slope
        Those of the start, t = 0.
    """
    start = Point(0, loss, gradient, slope)

    def look(t: Number) -> Point:
        value, grad = evaluate(t)
        return Point(t, value, grad, grad.dot(direction))

    def too_high(point: Point) -> bool:
        return bool(point.loss > start.loss + decrease * point.t * start.slope)

    def flat(point: Point) -> bool:
        return bool(abs(point.slope) <= -flatness * start.slope)

    previous, point = start, look(t)
    steps = 0
    while steps < max_steps:
        if too_high(point) or (steps > 1 and point.loss >= previous.loss):
            interval = [previous, point]
            break
        if flat(point):
            return point.loss, point.gradient, point.t, steps + 1
        if point.slope >= 0:
            interval = [previous, point]
            break
        farther = _cubic_minimum(previous, point, point.t + 0.01 * (point.t - previous.t), point.t * 10)
        previous, point = point, look(farther)
        steps += 1
    else:
        interval = [start, point]

    low = _lower(interval)
    width = direction.abs().max()
    stalled = False
    while steps < max_steps and not abs(interval[1].t - interval[0].t) * width < tolerance:
        left, right = sorted((interval[0].t, interval[1].t))
        t = _cubic_minimum(*interval, left, right)
        # Twice in a row close to an end of the interval, or at it: step away from that end.
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:
            if stalled or t >= right or t <= left:
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                stalled = False
            else:
                stalled = True
        else:
            stalled = False
        point = look(t)
        steps += 1
        if too_high(point) or point.loss >= interval[low].loss:
            interval[1 - low] = point
            low = _lower(interval)
            continue
        done = flat(point)
        if not done and point.slope * (interval[1 - low].t - interval[low].t) >= 0:
            interval[1 - low] = interval[low]
        interval[low] = point
        if done:
            break
    best = interval[low]
    return best.loss, best.gradient, best.t, steps + 1


def _lower(interval: list[Point]) -> int:
    return 0 if interval[0].loss <= interval[1].loss else 1


def _cubic_minimum(a: Point, b: Point, left: Number, right: Number) -> Number:
    """Where the cubic with the losses and slopes of `a` and `b` is least, kept within [left, right]."""
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1**2 - a.slope * b.slope
    if not square >= 0:
        return (left + right) / 2.0
    d2 = square.sqrt() if isinstance(square, Tensor) else math.sqrt(square)
    if a.t <= b.t:
        least = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    else:
        least = a.t - (a.t - b.t) * ((a.slope + d2 - d1) / (a.slope - b.slope + 2 * d2))
    return min(max(least, left), right)
