"""Samples of recurrent layers: padded and packed, both directions, with and without biases and projection."""

from __future__ import annotations

from typing import Any

import numpy as np

Sample = tuple[tuple[Any, ...], dict[str, Any]]


def samples(rng: np.random.Generator) -> dict[str, list[Sample]]:
    def small(*shape: int) -> Any:
        return rng.uniform(-0.8, 0.8, shape)

    def rows(gates: int, cell: bool) -> list[Sample]:
        found = []
        for lengths, reverse in ((None, False), (None, True), ((3, 2, 2, 1), False), ((3, 2, 2, 1), True)):
            x = small(3, 3, 2) if lengths is None else small(8, 2)
            biases = (None, None) if reverse and lengths else (small(gates * 2), small(gates * 2))
            size = 1 if cell and not reverse else 2
            args = [x, small(gates * 2, 2), small(gates * 2, size), *biases, small(3, size)]
            if cell:
                args += [small(3, 2), small(1, 2) if size == 1 else None]
            found.append((tuple(args), {"lengths": lengths, "reverse": reverse}))
        return found

    plain = [(args, {"relu": i % 2 == 1, **params}) for i, (args, params) in enumerate(rows(1, False))]
    return {"fused _plain": plain, "fused _gru": rows(3, False), "fused _lstm": rows(4, True)}
