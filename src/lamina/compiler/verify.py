"""Trust: a replay beside an eager run, on the same state.

The replay runs first; what it changed is put back; then the function itself runs, and what both left is compared: results, gradients,
memory written. So the program's state is always that of the eager run. Here: this comparison. Not here: what follows from a
difference (api.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from lamina.compiler.nonfinite import LateError
from lamina.compiler.replay import MISSED, Output, Replay
from lamina.core.generator import default_generator
from lamina.core.strided import Array
from lamina.core.strokes import attributes, carry_out, contents
from lamina.core.tensor import Tensor, more

TOLERANCE = {"float64": 1e-9, "float32": 1e-3, "float16": 2e-2, "bfloat16": 6e-2}
"""The norm of a difference over that of the eager result: sums are taken in another order, and a step's rounding may grow. A wrong
kernel is far above, whatever the model."""


class Rewind:
    """What a replay, or an eager run of the same call, may change: as it is now, to be put back."""

    def __init__(self, replay: Replay, tensors: Sequence[Tensor]) -> None:
        self.leaves = [leaf for leaf, _ in replay.effects.grads]
        self.grads = [None if leaf._more is None else leaf._more.grad for leaf in self.leaves]
        held = [(replay.memory[k], t._array) for k, t, _ in replay.held if id(replay.memory[k]) in replay.written]
        self.written = [
            owner if owner.dtype == array.dtype else array for owner, array in held
        ]  # bytes are compared as what they are
        self.written += [leaf._more.grad._array for _, leaf in replay.read_grads if _has_grad(leaf)]  # type: ignore[union-attr]
        self.written += [t._array for t in tensors]
        self.before = [a.copy() for a in self.written]
        self.state = default_generator.get_state_array()
        versions = [tensors[w] if w.__class__ is int else w for w, _ in replay.effects.versions]
        counters = [t._version_ for t in versions if t._version_ is not None]
        self._undoing = chain(
            contents(self.written, self.before),
            attributes([more(leaf) for leaf in self.leaves], "grad", self.grads),
            attributes(versions, "_version_", [t._version_ for t in versions]),
            attributes(counters, "n", [c.n for c in counters]),
            default_generator.undoing(),
        )

    def back(self) -> None:
        """All as it was. May be called again, and then does nothing."""
        carry_out(self._undoing)


def _has_grad(leaf: Tensor) -> bool:
    return leaf._more is not None and leaf._more.grad is not None


def verified(replay: Replay, tensors: Sequence[Tensor], eager: Callable[[], Any]) -> tuple[Any, str | None]:
    """The eager result (MISSED where the replay does not fit), and what differed in the replay, or None."""
    rewind = Rewind(replay, tensors)
    try:
        result = replay.run(*tensors)
    except LateError:  # what it wrote is not finite: here it can still be put back, and the operation found
        rewind.back()
        return eager(), None
    if result is MISSED:
        return MISSED, None
    found = _left(replay, result, rewind.leaves, rewind.written)
    rewind.back()
    true = eager()
    return true, _difference(found, _left(replay, true, rewind.leaves, rewind.written))


def _left(replay: Replay, result: Any, leaves: Sequence[Tensor], written: Sequence[Array]) -> list[tuple[str, Any]]:
    """Copies of all that a run left."""
    from lamina.utils import _pytree as pytree  # library above this room: only for the form of a result

    outs = [("the result", v._array.copy()) for v in pytree.tree_leaves(result) if isinstance(v, Tensor)]
    grads = [
        (
            f"the gradient of a leaf of shape {list(leaf._array.shape)}",
            None if leaf._more is None or leaf._more.grad is None else leaf._more.grad._array.copy(),
        )
        for leaf in leaves
    ]
    return outs + grads + [(f"memory of shape {list(a.shape)} that the run writes", a.copy()) for a in written]


def _difference(found: Sequence[tuple[str, Any]], true: Sequence[tuple[str, Any]]) -> str | None:
    if len(found) != len(true):
        return "another number of tensors"
    for (what, a), (_, b) in zip(found, true, strict=True):
        if (a is None) != (b is None):
            return f"{what} is there in one only"
        if a is None:
            continue
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"{what}: {a.dtype}{list(a.shape)} for {b.dtype}{list(b.shape)}"
        far = distance(a, b)
        if far > TOLERANCE.get(a.dtype.name, 0.0):
            return f"{what} is off by {far:.2g} (relative norm)"
    return None


def distance(a: Array, b: Array) -> float:
    """The norm of a - b over that of b; infinite where NaN or infinity stand elsewhere."""
    if a.dtype.kind not in "fcV":
        return 0.0 if np.array_equal(a, b) else float("inf")
    wide = np.complex128 if a.dtype.kind == "c" else np.float64
    x, y = a.astype(wide), b.astype(wide)
    finite = np.isfinite(x)
    if not np.array_equal(finite, np.isfinite(y)) or not np.array_equal(x[~finite], y[~finite], equal_nan=True):
        return float("inf")
    size = float(np.linalg.norm(y[finite]))
    return (
        float(np.linalg.norm(x[finite] - y[finite])) / max(size, 1e-30)
        if size
        else float(np.abs(x[finite]).max(initial=0.0))
    )


__all__ = ["Output", "distance", "verified"]
