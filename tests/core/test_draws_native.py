"""The native loops of normal draws give the bits of NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from lamina.compiler import draws as native_draws
from lamina.core import draws_normal
from lamina.core.generator import Generator

WAYS = {
    "float32": lambda g, n: draws_normal.normal(g, n, dtype=np.dtype(np.float32)),
    "float32 moved": lambda g, n: draws_normal.normal(g, n, 0.3, 2.7, dtype=np.dtype(np.float32)),
    "float16": lambda g, n: draws_normal.normal(g, n, 0.3, 2.7, dtype=np.dtype(np.float16)),
    "float64": lambda g, n: draws_normal.normal(g, n, dtype=np.dtype(np.float64)),
    "float64 moved": lambda g, n: draws_normal.normal(g, n, 0.3, 2.7, dtype=np.dtype(np.float64)),
    "scattered": lambda g, n: draws_normal.normal(g, n, dtype=np.dtype(np.float32), contiguous=False),
}


@pytest.mark.parametrize("n", [1, 15, 16, 37, 40_007])
@pytest.mark.parametrize("way", WAYS)
def test_native_loops_give_numpys_bits(way, n, monkeypatch):
    lent = native_draws.kernels()
    if lent is None:
        pytest.skip("no native code here")
    monkeypatch.setattr(draws_normal.Native, "lend", None)
    found = []
    for kernels in (None, lent):
        monkeypatch.setattr(draws_normal.Native, "kernels", kernels)
        generator = Generator().manual_seed(11)
        found.append((WAYS[way](generator, n), generator.get_state_array()))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_they_are_lent_when_much_was_drawn(monkeypatch):
    asked = []
    monkeypatch.setattr(draws_normal.Native, "_spent", 0)
    monkeypatch.setattr(draws_normal.Native, "kernels", None)
    monkeypatch.setattr(draws_normal.Native, "lend", lambda: asked.append(1))
    generator = Generator()
    draws_normal.normal(generator, 100, dtype=np.dtype(np.float32))
    assert not asked
    for _ in range(3):
        draws_normal.normal(generator, 1_100_000, dtype=np.dtype(np.float32))
    assert asked == [1]
