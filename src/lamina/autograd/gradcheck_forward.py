"""gradcheck's part for forward mode: tangents beside finite differences, without tangents, and in batches.

Not here: backward, the public functions (gradcheck.py), the differences themselves (differences.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import lamina
from lamina.autograd import forward_ad
from lamina.autograd.differences import GradcheckError, directions, numerical_jacobians, random_direction
from lamina.core.tensor import Tensor, wrap
from lamina.primitives.levels import Level, batched, value_at

Pushed = Callable[[dict[int, Any]], list[Any]]


class Forward:
    """A function at a point, whose tangents are looked at. chosen: which of its outputs are differentiable."""

    def __init__(self, func: Callable[..., Any], inputs: Sequence[Any], chosen: Sequence[int], watched: Sequence[Any]):
        self.func, self.inputs, self.chosen, self.watched = func, inputs, chosen, watched

    def pushed(self, tangents: dict[int, Any]) -> list[Any]:
        """The outputs' tangents from those of the inputs with these numbers; None: zero."""
        with forward_ad.dual_level():
            plain = [t.detach() if isinstance(t, Tensor) else t for t in self.inputs]
            for i, tangent in tangents.items():
                plain[i] = forward_ad.make_dual(plain[i], tangent)
            outs = self.func(*plain)
            outs = outs if isinstance(outs, (tuple, list)) else (outs,)
            return [forward_ad.unpack_dual(outs[i]).tangent for i in self.chosen]

    def zeros(self, but: int, tangent: Any) -> dict[int, Any]:
        """Tangents of zero for all inputs but one."""
        return {
            i: tangent if i == but else wrap(np.zeros(t._array.shape, t._array.dtype), t._kind) for i, t in self.watched
        }

    def compare(self, values: Callable[[], list[Any]], eps: float, close: Callable[[Any, Any], bool]) -> None:
        """Each tangent is the slope that finite differences give."""
        for i, t in self.watched:
            numerical = numerical_jacobians(values, t, len(self.chosen), eps)
            for flat, index in enumerate(np.ndindex(t._array.shape)):
                for direction in directions(t._array):
                    tangent = np.zeros(t._array.shape, t._array.dtype)
                    tangent[index] = direction
                    found = self.pushed(self.zeros(i, wrap(tangent, t._kind)))
                    for k, (jacobians, slope) in enumerate(zip(numerical, found, strict=True)):
                        for part, rows in jacobians.items():
                            wanted = rows[flat].imag if direction == 1j else rows[flat].real
                            given = np.zeros(wanted.shape) if slope is None else getattr(slope._array.reshape(-1), part)
                            if not close(given, wanted):
                                raise GradcheckError(
                                    "Jacobian computed with forward mode mismatch for "
                                    f"output {k} with respect to input {i},\nnumerical:{wrap(wanted)}\nanalytical:{wrap(given)}\n"
                                )

    def compare_direction(self, values: Callable[[], list[Any]], eps: float, close: Callable[..., bool]) -> None:
        """The same along one random direction for each input."""
        source = lamina.Generator()
        for i, t in self.watched:
            u = random_direction(source, t._array)
            before = t._array.copy()
            try:
                t._array[...] = before + eps * u
                plus = values()
                t._array[...] = before - eps * u
                minus = values()
            finally:
                t._array[...] = before
            found = self.pushed(self.zeros(i, wrap(u, t._kind)))
            for k, (a, b, slope) in enumerate(zip(plus, minus, found, strict=True)):
                wanted = (a - b) / (2 * eps)
                given = np.zeros_like(wanted) if slope is None else slope._array
                if not close(given, wanted):
                    raise GradcheckError(
                        "Jacobian computed with forward mode mismatch for "
                        f"output {k} with respect to input {i},\nnumerical:{wrap(wanted)}\nanalytical:{wrap(given)}\n"
                    )

    def check_zeros(self) -> None:
        """A tangent of zeros is as none; where all are zeros, so are the outputs'."""
        if len(self.watched) == 1:
            ((i, t),) = self.watched
            for out in self.pushed(self.zeros(-1, None)):
                if out is not None and out._array.any():
                    raise GradcheckError(
                        "Expected the tangents of all outputs to be zero when all input tangents are zero"
                    )
            return
        for i, _ in self.watched:
            tangents = {j: wrap(np.ones(t._array.shape, t._array.dtype), t._kind) for j, t in self.watched}
            without = {j: tangent for j, tangent in tangents.items() if j != i}
            tangents[i] = lamina.zeros_like(tangents[i])
            for k, (a, b) in enumerate(zip(self.pushed(tangents), self.pushed(without), strict=True)):
                if not np.allclose(0.0 if a is None else a._array, 0.0 if b is None else b._array):
                    raise GradcheckError(
                        f"Tangents of zeros for input {i} give another tangent of output {k} than no tangent does"
                    )

    def check_batched(self) -> None:
        """Tangents in a batch give what they give one by one."""
        for i, t in self.watched:
            weights = lamina.stack([
                lamina.testing.make_tensor(t._array.shape, dtype=t.dtype, device="cpu", low=-1, high=1) for _ in range(2)
            ])  # fmt: skip
            one_by_one = [self.pushed({i: w}) for w in weights]
            reached = [k for k, out in enumerate(one_by_one[0]) if out is not None]
            try:
                with Level(2) as level:
                    level.direct = True
                    found = self.pushed({i: batched(weights, level)})
                    together = [value_at(found[k], level) for k in reached]
            except RuntimeError as error:
                raise GradcheckError(
                    f"While computing batched gradients, got: {error}\n\ngradcheck or gradgradcheck failed while testing batched "
                    "gradient computation of forward mode (check_batched_forward_grad)"
                ) from error
            for k, batch in zip(reached, together, strict=True):
                if not lamina.allclose(batch, lamina.stack([single[k] for single in one_by_one])):
                    raise GradcheckError(
                        f"For output {k} and input {i}: the tangents of a batch differ from those one by one "
                        "(check_batched_forward_grad)"
                    )
