"""The random stream without PyTorch: numbers it gave, its generator's state, and the exact arithmetic below them.

`tests/oracle/test_draws_oracle.py` compares every draw with PyTorch itself.
"""

from __future__ import annotations

import copy
import pickle
import threading
import zlib
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamina.core import draws, draws_discrete, draws_normal, draws_rejection
from lamina.core.generator import Generator
from lamina.core.libm import fma32, fma64

F16, F32, F64, C64, I64, U8 = map(np.dtype, ("f2", "f4", "f8", "c8", "i8", "u1"))
BF16 = np.dtype(ml_dtypes.bfloat16)

# From seed 0: the draw, its first numbers, the CRC of its bytes, the next word of the stream.
EXACT = {
    "rand": (
        lambda g: draws.uniform(g, 20_000, dtype=F32),
        [0.49625659, 0.768221796, 0.0884774327, 0.132030487],
        0x731B48B2,
        3213786524,
    ),
    "rand, double": (
        lambda g: draws.uniform(g, 9, dtype=F64),
        [0.9700530018065531, 0.707819864399788, 0.45938294312745087, 0.9207476841219603],
        0x0C572ECF,
        1646868794,
    ),
    "rand, half": (
        lambda g: draws.uniform(g, 20_000, dtype=F16),
        [0.496337891, 0.768066406, 0.0885009766, 0.132080078],
        0x5741BA4E,
        3213786524,
    ),
    "rand, complex": (
        lambda g: draws.uniform(g, 9, dtype=C64),
        [(0.49625658988952637 + 0.7682217955589294j), (0.08847743272781372 + 0.13203048706054688j)],
        0x47DC35D1,
        1646868794,
    ),
    "uniform_": (
        lambda g: draws.uniform(g, 20_000, -0.3, 1.7, dtype=F32),
        [0.692513168, 1.23644352, -0.123045146, -0.0359390378],
        0x0D01D1D7,
        3213786524,
    ),
    "uniform_, double": (
        lambda g: draws.uniform(g, 20_000, -0.3, 1.7, dtype=F64),
        [1.640106003613106, 1.1156397287995758, 0.6187658862549017, 1.5414953682439205],
        0xD8E1146E,
        1684370037,
    ),
    "randn, blocks": (
        lambda g: draws_normal.normal(g, 20_001, dtype=F32),
        [-1.12583983, -1.1523602, -0.250578582, -0.433878809],
        0x30279A96,
        3562152779,
    ),
    "randn, bfloat16": (
        lambda g: draws_normal.normal(g, 37, dtype=BF16),
        [-1.125, -1.15625, -0.25, -0.43359375],
        0xB1B60FDC,
        507984782,
    ),
    "normal_": (
        lambda g: draws_normal.normal(g, 20_001, -0.3, 1.7, dtype=F32),
        [-2.21392775, -2.25901246, -0.72598362, -1.03759396],
        0xFE26E25D,
        3562152779,
    ),
    "random_, int64": (
        lambda g: draws_discrete.random(g, 9, dtype=I64),
        [900450186894289455, 3969543146641149120, 1895649597198586619, 827948490035658087],
        0x68394C20,
        1646868794,
    ),
    "random_, uint8": (
        lambda g: draws_discrete.random(g, 9, dtype=U8),
        [172, 47, 117, 192],
        0xE5CA2A76,
        2678185683,
    ),
    "randint": (
        lambda g: draws_discrete.randint(g, 9, 0, 100, dtype=I64),
        [44, 39, 33, 60],
        0x8A1B8F39,
        2678185683,
    ),
    "randint, two words": (
        lambda g: draws_discrete.randint(g, 9, -(2**40), 2**40, dtype=I64),
        [-358231004625, -593374360384, 291447657211, -258354086553],
        0xD1031196,
        1646868794,
    ),
    "randperm": (
        lambda g: draws_discrete.randperm(g, 10, dtype=I64),
        [4, 1, 7, 5],
        0x7042CF3F,
        2678185683,
    ),
    "randperm, in blocks": (
        lambda g: draws_discrete.randperm(g, 60_000, dtype=I64),
        [36044, 10678, 57327, 55074],
        0xB049686D,
        1456227953,
    ),
    "bernoulli_": (
        lambda g: draws.bernoulli(g, 100, 0.3, dtype=F32),
        [0.0, 0.0, 0.0, 0.0],
        0x4760499F,
        2911199869,
    ),
    "bernoulli": (
        lambda g: draws.bernoulli_tensor(g, np.full(100, 0.3, F32), dtype=F32),
        [0.0, 0.0, 1.0, 1.0],
        0xCF032A44,
        2448976505,
    ),
    "dropout": (
        lambda g: draws.dropout_noise(g, (4, 25), 0.3, dtype=F32),
        [0.0, 0.0, 1.42857146, 0.0],
        0x15BAEC67,
        2911199869,
    ),
    "multinomial, replacement": (
        lambda g: draws_discrete.multinomial(g, np.arange(1, 6, dtype=F32), 8, True),
        [4, 4, 3, 4],
        0x8899E64A,
        4138900056,
    ),
}

# The same, of draws whose last bits are the C library's: the numbers hold to a few units in the last place.
OF_LIBM = {
    "randn": (
        lambda g: draws_normal.normal(g, 5, dtype=F32),
        [1.54099607, -0.293428898, -2.17878938, 0.568431258],
        1879422756,
    ),
    "randn, double": (
        lambda g: draws_normal.normal(g, 17, dtype=F64),
        [-2.310411800234176, -0.6332746088675096, -1.2609246557194385, -0.726951062065411],
        2441405218,
    ),
    "randn, complex": (
        lambda g: draws_normal.normal(g, 3, dtype=C64),
        [(1.0896488428115845 - 0.20748557150363922j), (-1.5406367778778076 + 0.40194159746170044j)],
        1879422756,
    ),
    "log_normal_": (
        lambda g: draws_normal.log_normal(g, 5, dtype=F32),
        [59.2634163, 1.51155996, 0.0348194614, 8.47281265],
        1879422756,
    ),
    "exponential_": (
        lambda g: draws.exponential(g, 2000, 1.7, dtype=F32),
        [2.06372118, 0.723755717, 0.361790657, 1.49124622],
        3485445307,
    ),
    "cauchy_": (
        lambda g: draws.cauchy(g, 2000, dtype=F32),
        [10.5977297, 0.764767289, -0.128299341, 3.93307328],
        3485445307,
    ),
    "geometric_": (
        lambda g: draws.geometric(g, 2000, 0.3, dtype=F32),
        [1.0, 1.0, 3.0, 1.0],
        3485445307,
    ),
    "multinomial": (
        lambda g: draws_discrete.multinomial(g, np.arange(1, 6, dtype=F32), 4),
        [2, 4, 1, 3],
        2774094101,
    ),
    "poisson": (
        lambda g: draws_rejection.poisson(g, np.array([0, 0.5, 3, 9, 20, 1000], F32)),
        [0.0, 2.0, 4.0, 9.0],
        1982038771,
    ),
    "binomial": (
        lambda g: draws_rejection.binomial(g, np.array([5, 50, 1e6], F32), np.array([0.5, 0.7, 0.25], F32)),
        [4.0, 32.0, 249814.0],
        1646868794,
    ),
    "gamma": (
        lambda g: draws_rejection.standard_gamma(g, np.array([0.3, 1, 30], F32)),
        [5.90695163e-06, 0.118983701, 30.5488186],
        4138900056,
    ),
    "dirichlet": (
        lambda g: draws_rejection.dirichlet(g, np.array([0.3, 1, 3], F32)),
        [1.93276105e-06, 0.0389315896, 0.961066484],
        4138900056,
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_recorded(name):
    draw, first, crc, following = EXACT[name]
    generator = Generator().manual_seed(0)
    result = draw(generator)
    wide = result.astype(F32) if result.dtype in (F16, BF16) else result
    np.testing.assert_allclose(wide.ravel()[: len(first)], first, rtol=1e-8)
    assert zlib.crc32(result.tobytes()) == crc
    assert generator.words(1)[0] == following


@pytest.mark.parametrize("name", OF_LIBM)
def test_recorded_to_the_last_places(name):
    draw, first, following = OF_LIBM[name]
    generator = Generator().manual_seed(0)
    result = draw(generator)
    np.testing.assert_allclose(result.ravel()[: len(first)], first, rtol=1e-6 if result.itemsize == 4 else 1e-14)
    assert generator.words(1)[0] == following


@given(st.lists(st.integers(0, 700), max_size=6))
def test_stream_does_not_depend_on_how_it_is_cut(sizes):
    whole = draws.uniform(Generator().manual_seed(3), sum(sizes), dtype=F32)
    generator = Generator().manual_seed(3)
    parts = [draws.uniform(generator, size, dtype=F32) for size in sizes]
    np.testing.assert_array_equal(np.concatenate([whole[:0], *parts]), whole)


@given(st.integers(-(2**63), 2**64 - 1), st.lists(st.sampled_from([0, 1, 3, 16, 623, 624, 625]), max_size=4))
def test_state_round_trip(seed, sizes):
    generator = Generator().manual_seed(seed)
    for size in sizes:
        draws_normal.normal(generator, size % 4, dtype=F64)
        draws.uniform(generator, size, dtype=F32)
    state = generator.get_state_array()
    assert state.dtype == np.uint8 and state.shape == (5056,)
    restored = Generator()
    restored.set_state_array(state)
    for twin in (restored, generator.clone_state(), copy.deepcopy(generator), pickle.loads(pickle.dumps(generator))):
        assert twin.initial_seed() == seed % 2**64
        np.testing.assert_array_equal(twin.get_state_array(), state)
    expected = draws_normal.normal(generator, 5, dtype=F64)
    np.testing.assert_array_equal(draws_normal.normal(restored, 5, dtype=F64), expected)


def test_recorded_state():
    generator = Generator().manual_seed(0)
    draws.uniform(generator, 700, dtype=F32)
    draws_normal.normal(generator, 3, dtype=F32)
    state = generator.get_state_array()
    state[5024:5032] = 0  # the waiting normal sample: the C library's
    assert zlib.crc32(state.tobytes()) == 0x198A86DC


def test_threads_share_a_generator():
    generator, parts = Generator().manual_seed(1), []
    threads = [
        threading.Thread(target=lambda: parts.extend(draws.uniform(generator, 50_000, dtype=F64) for _ in range(4)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = draws.uniform(Generator().manual_seed(1), 800_000, dtype=F64).reshape(16, -1)
    assert sorted(part.tobytes() for part in parts) == sorted(row.tobytes() for row in alone)


def test_reading_ahead_is_undone_by_an_error():
    generator = Generator().manual_seed(0)
    with pytest.raises(KeyboardInterrupt), draws_rejection._Uniforms(generator) as uniform:
        uniform()
        raise KeyboardInterrupt
    fresh = Generator().manual_seed(0)
    fresh.words(2)
    np.testing.assert_array_equal(generator.get_state_array(), fresh.get_state_array())


@pytest.mark.parametrize("n", [0, 1, 2, 1000, 40_000])
def test_permutations_are_their_swaps(n):
    """The blockwise swaps against swaps in order; PyTorch takes the second algorithm from 214,748,364 numbers on."""
    words = Generator().manual_seed(4).words(max(n - 1, 0)).tolist()
    expected = list(range(n))
    for i, word in enumerate(words):
        j = i + word % (n - i)
        expected[i], expected[j] = expected[j], expected[i]
    assert draws_discrete._fisher_yates(Generator().manual_seed(4), n).tolist() == expected
    expected = list(range(n))
    for i, word in enumerate(Generator().manual_seed(4).words64(n).tolist()):
        j = word % (i + 1)
        expected[i], expected[j] = expected[j], expected[i]
    assert draws_discrete._inside_out(Generator().manual_seed(4), n).tolist() == expected


def test_fused_multiply_add_rounds_once():
    rng = np.random.default_rng(0)
    a = rng.standard_normal(3000)
    for scale in (1.0, 2.0**-27, 2.0**-53, 2.0**-54):
        b, c = 1.0 + scale, -1.5 * scale
        exact = [float(Fraction(x) * Fraction(b) + Fraction(c)) for x in a.tolist()]
        assert fma64(a, b, c).tolist() == exact
    # On a tie of float32 but for a bit far below: a double cannot hold it, and rounding twice would go to even.
    tie = np.array([1.0 + 2.0**-12], np.float32)
    assert fma32(tie, 1.0 + 2.0**-12, 2.0**-70).tolist() == [1.0 + 2.0**-11 + 2.0**-23]
    assert fma32(tie, 1.0 + 2.0**-12, -(2.0**-70)).tolist() == [1.0 + 2.0**-11]
