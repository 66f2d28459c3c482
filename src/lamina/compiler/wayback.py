"""The way back of a compiled call, beside autograd's own: what both make of the same cotangents.

Here: both runs, and what the search for a wrong kernel needs of them. Not here: the program of the way back (backward.py), when it is
compared (verify.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.autograd import engine
from lamina.autograd.graph import edge_of
from lamina.compiler.cases import Memory
from lamina.compiler.effects import distinct
from lamina.compiler.graph import Value
from lamina.core.strided import Array
from lamina.core.tensor import Tensor


class WayBack:
    """The gradients that flow through a compiled call from some of its results (backward.Joint), for cotangents that are drawn once."""

    def __init__(self, joint: Any, tensors: Sequence[Tensor]) -> None:
        self.joint, self.tensors = joint, tensors
        draws = np.random.default_rng(0)  # the program's own stream is left alone
        self.cotangents = [draws.standard_normal(shape).astype(dtype) for shape, dtype, _ in joint.kinds]
        self.saved: Sequence[Array] = ()

    def compiled(self, result: Any) -> list[tuple[str, Any]]:
        """Of the replay's result, by its program."""
        node = distinct(result)[0][self.joint.shown[0]]._node.node
        self.saved, _ = node._saved
        return self._told(node._vjp(list(self.cotangents), False))

    def eager(self, result: Any) -> list[tuple[str, Any]]:
        """Of the eager result, by autograd."""
        leaves = distinct(result)[0]
        ends = [edge_of(self.tensors[e]) if e.__class__ is int else e for e in self.joint.ends]
        captures: dict[Any, int] = {}
        first = [captures.setdefault(e, len(captures)) for e in ends]
        roots = [(edge_of(leaves[i]), g) for i, g in zip(self.joint.shown, self.cotangents, strict=True)]
        found = engine.run(roots, create=False, keep=True, captures=captures, accumulates=False, cut=True)
        return self._told([found[at] if at not in first[:i] else None for i, at in enumerate(first)])

    def _told(self, grads: Sequence[Any]) -> list[tuple[str, Any]]:
        return [
            (
                f"the gradient of {f'argument {e}' if e.__class__ is int else 'a leaf'}",
                None if g is None else np.array(g),
            )
            for e, g in zip(self.joint.ends, grads, strict=True)
        ]

    def value(self, at: int) -> Value | None:
        """The value of the graph that is the `at`-th gradient."""
        ref = self.joint.grads[at]
        return None if ref is None else ref.value

    def given(self) -> Memory:
        """The bytes that only this way reads: what the forward kept, and the cotangents."""
        kinds = {"saved": self.saved, "cotangent": self.cotangents}
        return {
            v: np.ascontiguousarray(kinds[v.origin.kind][v.origin.which]).reshape(-1).view(np.uint8).copy()
            for v in self.joint.program.graph.inputs
            if v.origin.kind in kinds
        }
