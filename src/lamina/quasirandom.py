"""`torch.quasirandom`: Sobol' points, which fill a cube more evenly than random ones.

Here: the engine, its scrambling from lamina's random stream. Not here: the direction numbers (Joe and Kuo's), which are SciPy's table.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

import lamina
from lamina.core.tensor import Tensor

__all__ = ["SobolEngine"]

Ints = np.ndarray[Any, np.dtype[np.int64]]


class SobolEngine:
    """Points of the Sobol' sequence in [0, 1)**dimension, one after the other. scramble: a random linear map of the bits and a shift.

    Raises ValueError for a dimension outside of 1 to 21201.
    """

    MAXBIT = 30
    MAXDIM = 21201

    def __init__(self, dimension: int, scramble: bool = False, seed: int | None = None) -> None:
        if dimension > self.MAXDIM or dimension < 1:
            raise ValueError(f"Supported range of dimensionality for SobolEngine is [1, {self.MAXDIM}]")
        self.dimension, self.scramble, self.seed = dimension, scramble, seed
        qmc = importlib.import_module("scipy.stats.qmc")  # a large import, for its table of direction numbers
        self._directions: Ints = np.array(qmc.Sobol(dimension, scramble=False, bits=self.MAXBIT)._sv, dtype=np.int64)
        shift = np.zeros(dimension, np.int64)
        if scramble:
            shift = self._scramble()
        self.shift = lamina.from_numpy(shift)
        self.quasi = self.shift.clone()
        self.num_generated = 0

    def _scramble(self) -> Ints:
        """Map the bits of the direction numbers; the shift."""
        generator = None
        if self.seed is not None:
            generator = lamina.Generator()
            generator.manual_seed(self.seed)
        weights = 2 ** np.arange(self.MAXBIT, dtype=np.int64)
        shift = lamina.randint(2, (self.dimension, self.MAXBIT), generator=generator).numpy() @ weights
        maps = lamina.randint(2, (self.dimension, self.MAXBIT, self.MAXBIT), generator=generator).tril().numpy()
        maps[:, np.arange(self.MAXBIT), np.arange(self.MAXBIT)] = 1
        rows = (
            maps @ weights[::-1]
        )  # row p of a map gives the p-th highest bit, as the parity of the bits that it selects
        chosen = rows[:, :, None] & self._directions[:, None, :]
        self._directions = np.einsum("dpj,p->dj", np.bitwise_count(chosen).astype(np.int64) & 1, weights[::-1])
        return shift

    def draw(self, n: int = 1, out: Tensor | None = None, dtype: Any = None) -> Tensor:
        """The next `n` points: (n, dimension), of `dtype` or the default one."""
        before = self.quasi.numpy()
        steps = n if self.num_generated else n - 1  # the first point is where the sequence starts
        at = np.arange(steps) + max(self.num_generated - 1, 0)
        columns = np.bitwise_count(at & ~(at + 1))  # the lowest bit of the position that is 0
        after = np.bitwise_xor.accumulate(np.vstack([before[None], self._directions.T[columns]]), axis=0)
        self.quasi = lamina.from_numpy(after[-1].copy())
        points = after[1:] if self.num_generated else after
        self.num_generated += n
        result = lamina.from_numpy(points).to(dtype or lamina.get_default_dtype()) / 2**self.MAXBIT
        if out is None:
            return result
        out.resize_(result.shape).copy_(result)
        return out

    def draw_base2(self, m: int, out: Tensor | None = None, dtype: Any = None) -> Tensor:
        """The next 2**m points. Raises ValueError where they and those before would not be a power of 2 together."""
        n = 2**m
        total = self.num_generated + n
        if total & (total - 1):
            raise ValueError(
                "The balance properties of Sobol' points require n to be a power of 2. "
                f"{self.num_generated} points have been previously generated, then: n={self.num_generated}+2**{m}={total}. "
                "If you still want to do this, please use 'SobolEngine.draw()' instead."
            )
        return self.draw(n, out=out, dtype=dtype)

    def reset(self) -> SobolEngine:
        """Begin again with the first point."""
        self.quasi = self.shift.clone()
        self.num_generated = 0
        return self

    def fast_forward(self, n: int) -> SobolEngine:
        """Leave out `n` points."""
        if n > 0:
            self.draw(n)
        return self

    def __repr__(self) -> str:
        options = ["scramble=True"] if self.scramble else []
        options += [f"seed={self.seed}"] if self.seed is not None else []
        return f"{type(self).__name__}({', '.join([f'dimension={self.dimension}', *options])})"
