"""The random stream against PyTorch's: every draw's bits, and the generator's whole state after it."""

from __future__ import annotations

import copy
import math
import pickle
import warnings

import ml_dtypes
import numpy as np
import pytest
import torch

import lamina
from lamina.core import draws, draws_discrete, draws_normal, draws_rejection
from lamina.core.generator import Generator

NUMPY = {
    torch.float16: np.float16,
    torch.bfloat16: ml_dtypes.bfloat16,
    torch.float32: np.float32,
    torch.float64: np.float64,
    torch.complex64: np.complex64,
    torch.complex128: np.complex128,
    torch.uint8: np.uint8,
    torch.int8: np.int8,
    torch.int16: np.int16,
    torch.int32: np.int32,
    torch.int64: np.int64,
    torch.bool: np.bool_,
    torch.uint16: np.uint16,
    torch.uint32: np.uint32,
    torch.uint64: np.uint64,
}
NUMPY = {key: np.dtype(value) for key, value in NUMPY.items()}
FLOATING = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
WIDE = [torch.float32, torch.float64]
INTEGER = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
SIZES = [0, 1, 2, 7, 15, 16, 17, 31, 33, 160, 624, 1249, 40_007]
SEEDS = [0, 1, 67280421310721, -3, 2**64 - 5]


def array(tensor):
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def bits(values):
    values = np.ascontiguousarray(values)
    return values.view(np.uint8)


def agree(theirs, ours, seeds=SEEDS, ulps=0):
    """Both functions of a generator give the same bits, and leave the same state, from each seed; twice in a row."""
    for seed in seeds:
        a, b = torch.Generator().manual_seed(seed), Generator().manual_seed(seed)
        for _ in range(2):
            expected, actual = array(theirs(a)), ours(b)
            assert actual.dtype == expected.dtype and actual.shape == expected.shape
            if ulps:
                np.testing.assert_array_max_ulp(actual, expected, ulps)
            else:
                differing = np.flatnonzero((bits(actual) != bits(expected)).ravel())
                assert not differing.size, (seed, actual.ravel()[:5], expected.ravel()[:5], differing[:5])
            np.testing.assert_array_equal(b.get_state_array(), a.get_state().numpy())


def refuse(theirs, ours):
    """Both raise the same type, with the same first sentence."""
    with pytest.raises(Exception) as expected:
        theirs(torch.Generator())
    with pytest.raises(expected.type) as actual:
        ours(Generator())
    first = str(expected.value).split("  (Could")[0]
    assert str(actual.value) == first


@pytest.mark.parametrize("dtype", [*FLOATING, torch.complex64, torch.complex128])
@pytest.mark.parametrize("size", SIZES)
def test_uniform(dtype, size):
    agree(
        lambda g: torch.rand(size, dtype=dtype, generator=g),
        lambda g: draws.uniform(g, size, dtype=NUMPY[dtype]),
    )


@pytest.mark.parametrize("dtype", FLOATING)
@pytest.mark.parametrize(
    "bounds",
    [(-1.3, 2.6), (-3, -1), (1, 1.0000002384185791), (-1e-3, 0), (0.3, 0.3), (-1.3, -1.29), (-0.1, 0.1), (5e4, 6e4)],
)
def test_uniform_bounds(dtype, bounds):
    agree(
        lambda g: torch.empty(50_000, dtype=dtype).uniform_(*bounds, generator=g),
        lambda g: draws.uniform(g, 50_000, *bounds, dtype=NUMPY[dtype]),
        seeds=[0, 5],
    )


@pytest.mark.parametrize("dtype", [*FLOATING, torch.complex64, torch.complex128])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mean, std", [(0.0, 1.0), (-0.3, 1.7), (2.0, 0.0)])
def test_normal(dtype, size, mean, std):
    agree(
        lambda g: torch.empty(size, dtype=dtype).normal_(mean, std, generator=g),
        lambda g: draws_normal.normal(g, size, mean, std, dtype=NUMPY[dtype]),
        seeds=SEEDS if size < 1000 else [0],
    )


def test_normal_large():
    agree(
        lambda g: torch.randn(3_000_001, generator=g),
        lambda g: draws_normal.normal(g, 3_000_001, dtype=np.dtype(np.float32)),
        seeds=[0],
    )


@pytest.mark.parametrize("dtype", FLOATING)
@pytest.mark.parametrize("size", [3, 16, 41])
def test_normal_into_strided_memory(dtype, size):
    agree(
        lambda g: torch.empty(size, 2, dtype=dtype)[:, 0].normal_(0.5, 3.0, generator=g).contiguous(),
        lambda g: draws_normal.normal(g, size, 0.5, 3.0, dtype=NUMPY[dtype], contiguous=False),
    )


@pytest.mark.parametrize("dtype", FLOATING)
@pytest.mark.parametrize("other", FLOATING)
@pytest.mark.parametrize("size", [5, 40])
def test_normal_of_tensors(dtype, other, size):
    mean, std = torch.linspace(-1, 1, size).to(dtype), torch.linspace(0.5, 2, size).to(other)
    agree(
        lambda g: torch.normal(mean, std, generator=g),
        lambda g: draws_normal.normal_tensors(g, array(mean), array(std), size, dtype=NUMPY[dtype]),
    )
    agree(
        lambda g: torch.normal(mean, 2.3, generator=g),
        lambda g: draws_normal.normal_tensors(g, array(mean), 2.3, size, dtype=NUMPY[dtype]),
    )
    agree(
        lambda g: torch.normal(0.7, std, generator=g),
        lambda g: draws_normal.normal_tensors(g, 0.7, array(std), size, dtype=NUMPY[other]),
    )


@pytest.mark.parametrize("dtype", FLOATING)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "name, theirs, ours",
    [
        ("log_normal_", (), draws_normal.log_normal),
        ("log_normal_", (0.3, 0.7), draws_normal.log_normal),
        ("exponential_", (), draws.exponential),
        ("exponential_", (1.7,), draws.exponential),
        ("exponential_", (math.inf,), draws.exponential),
        ("cauchy_", (), draws.cauchy),
        ("cauchy_", (0.3, 1.9), draws.cauchy),
        ("geometric_", (0.3,), draws.geometric),
        ("bernoulli_", (0.3,), draws.bernoulli),
        ("bernoulli_", (0.0,), draws.bernoulli),
        ("bernoulli_", (1.0,), draws.bernoulli),
    ],
)
def test_one_uniform_each(dtype, size, name, theirs, ours):
    agree(
        lambda g: getattr(torch.empty(size, dtype=dtype), name)(*theirs, generator=g),
        lambda g: ours(g, size, *theirs, dtype=NUMPY[dtype]),
        seeds=SEEDS if size < 100 else [0],
    )


@pytest.mark.parametrize("dtype", [*INTEGER, torch.bool])
def test_integer_types_of_continuous_draws(dtype):
    agree(
        lambda g: torch.empty(3000, dtype=dtype).bernoulli_(0.2, generator=g),
        lambda g: draws.bernoulli(g, 3000, 0.2, dtype=NUMPY[dtype]),
    )
    if dtype != torch.bool:
        agree(
            lambda g: torch.empty(3000, dtype=dtype).geometric_(0.003, generator=g),
            lambda g: draws.geometric(g, 3000, 0.003, dtype=NUMPY[dtype]),
        )


@pytest.mark.parametrize("dtype", FLOATING)
@pytest.mark.parametrize("target", [torch.float32, torch.int64, torch.bool, torch.bfloat16])
def test_bernoulli_of_tensor(dtype, target):
    p = torch.linspace(0, 1, 3000).to(dtype).reshape(30, 100)
    agree(
        lambda g: torch.empty(p.shape, dtype=target).bernoulli_(p, generator=g),
        lambda g: draws.bernoulli_tensor(g, array(p), dtype=NUMPY[target]),
    )
    agree(lambda g: torch.bernoulli(p, generator=g), lambda g: draws.bernoulli_tensor(g, array(p), dtype=NUMPY[dtype]))


def on_default(call):
    """A function of a generator, of a call that knows the default generator only."""

    def run(generator):
        torch.set_rng_state(generator.get_state())
        result = call()
        generator.set_state(torch.get_rng_state())
        return result

    return run


@pytest.mark.parametrize("dtype", FLOATING)
@pytest.mark.parametrize("p", [0.1, 0.5, 0.83])
def test_dropouts(dtype, p):
    functional, target, shape = torch.nn.functional, NUMPY[dtype], (4, 5, 6, 3)
    ones, shaped = torch.ones(shape, dtype=dtype), draws.feature_shape(shape)
    agree(on_default(lambda: functional.dropout(ones, p)), lambda g: draws.dropout_noise(g, shape, p, dtype=target))
    agree(
        on_default(lambda: functional.dropout2d(ones, p)),
        lambda g: np.broadcast_to(draws.dropout_noise(g, shaped, p, dtype=target), shape),
    )
    agree(on_default(lambda: torch.native_dropout(ones, p, True)[1]), lambda g: draws.dropout_mask(g, shape, p))
    x = torch.linspace(-2, 2, 360).to(dtype).reshape(shape)
    wide = np.dtype(np.float64) if dtype == torch.float64 else np.dtype(np.float32)
    for call, size in ((functional.alpha_dropout, shape), (functional.feature_alpha_dropout, shaped)):

        def ours(g, size=size):
            factor, addend = draws.alpha_dropout_terms(g, size, p, dtype=target)
            product = (array(x).astype(wide) * factor.astype(wide)).astype(target)
            return (product.astype(wide) + addend.astype(wide)).astype(target)

        agree(on_default(lambda call=call: call(x, p, training=True)), ours)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_native_dropout_draws_at_the_ends_too(p):
    ones = torch.ones(7)
    agree(on_default(lambda: torch.native_dropout(ones, p, True)[1]), lambda g: draws.dropout_mask(g, 7, p))


@pytest.mark.parametrize("dtype", WIDE)
def test_rrelu_noise(dtype):
    x = torch.linspace(-1, 1, 2001, dtype=dtype)
    noise = torch.empty_like(x)
    agree(
        lambda g: (torch.ops.aten.rrelu_with_noise(x, noise, 0.1, 0.33, True, g), noise)[1],
        lambda g: draws.rrelu_noise(g, array(x), 0.1, 0.33),
    )


RANDINT = [
    (0, 2), (0, 100), (-5, 120), (0, 2**8), (-200, 201), (0, 2**11), (-300, 2**15 - 1), (3, 2**24 + 1), (0, 2**28 - 1),
    (0, 2**28), (-(2**31), 2**31 - 1), (0, 2**32), (1, 2**32 + 2), (-(2**53) - 77, 2**53 + 9), (0, 2**63 - 1),
    (-(2**63), 2**63 - 1), (-(2**62), 2**62), (0, None), (1, None), (-7, None), (300, None), (-(2**63), None), (5, 5),
    (5, 3), (2**63 - 2, 2**63 - 1),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [*NUMPY])
@pytest.mark.parametrize("low, high", RANDINT)
def test_randint(dtype, low, high):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")

        def theirs(g):
            return torch.empty(1000, dtype=dtype).random_(low, high, generator=g)

        def ours(g):
            return draws_discrete.randint(g, 1000, low, high, dtype=NUMPY[dtype])

        try:
            theirs(torch.Generator())
        except Exception:
            refuse(theirs, ours)
        else:
            agree(theirs, ours, seeds=[0, 9])


@pytest.mark.parametrize("dtype", [*FLOATING, *INTEGER, torch.bool])
def test_random(dtype):
    agree(
        lambda g: torch.empty(5000, dtype=dtype).random_(generator=g),
        lambda g: draws_discrete.random(g, 5000, dtype=NUMPY[dtype]),
    )


@pytest.mark.parametrize("dtype", [*FLOATING, *INTEGER])
@pytest.mark.parametrize("n", [0, 1, 2, 10, 127, 256, 2049, 2050, 5000, 60_000, 300_000])
def test_randperm(dtype, n):
    def theirs(g):
        return torch.randperm(n, dtype=dtype, generator=g)

    def ours(g):
        return draws_discrete.randperm(g, n, dtype=NUMPY[dtype])

    try:
        theirs(torch.Generator())
    except Exception:
        refuse(theirs, ours)
    else:
        agree(theirs, ours, seeds=SEEDS if n < 10_000 else [0])


@pytest.mark.parametrize("dtype", FLOATING)
@pytest.mark.parametrize("shape", [(1,), (5,), (300,), (7, 11), (3, 1000), (0, 4)])
@pytest.mark.parametrize("count, replacement", [(1, False), (1, True), (4, False), (40, True)])
def test_multinomial(dtype, shape, count, replacement):
    if not replacement and count > shape[-1]:
        pytest.skip("more than there are")
    if dtype in (torch.float16, torch.bfloat16) and count == 4 and shape[-1] > 100:
        pytest.skip("ties, whose order PyTorch's topk leaves open")
    weights = torch.rand(shape, generator=torch.Generator().manual_seed(3)).to(dtype) + 0.01
    agree(
        lambda g: torch.multinomial(weights, count, replacement, generator=g),
        lambda g: draws_discrete.multinomial(g, array(weights), count, replacement),
    )


@pytest.mark.parametrize("dtype", FLOATING)
def test_poisson(dtype):
    rates = torch.tensor([0.0, 0.1, 1, 3, 9.9, 10, 12, 50, 300, 1e4] * 40).to(dtype)
    agree(lambda g: torch.poisson(rates, generator=g), lambda g: draws_rejection.poisson(g, array(rates)))


@pytest.mark.parametrize("dtype", WIDE)
def test_binomial(dtype):
    count = torch.tensor([0.0, -1, 1, 5, 20, 21, 100, 1000, 1e6], dtype=dtype).repeat_interleave(8).repeat(20)
    prob = torch.tensor([0.0, 1e-3, 0.1, 0.4, 0.5, 0.7, 0.99, 1], dtype=dtype).repeat(180)
    agree(
        lambda g: torch.binomial(count, prob, generator=g),
        lambda g: draws_rejection.binomial(g, array(count), array(prob)),
    )


@pytest.mark.parametrize("dtype", WIDE)
def test_gamma(dtype):
    alpha = torch.tensor([0.0, -1, 1e-3, 0.3, 1, 1.5, 3, 100, 1e5], dtype=dtype).repeat(113)
    agree(
        lambda g: torch._standard_gamma(alpha, generator=g), lambda g: draws_rejection.standard_gamma(g, array(alpha))
    )


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("shape", [(1,), (3,), (7, 5), (2, 3, 40)])
def test_dirichlet(dtype, shape):
    # The order in which PyTorch sums a row depends on its length; the stream does not.
    alpha = torch.rand(shape, dtype=dtype, generator=torch.Generator().manual_seed(3)) * 3 + 0.01
    agree(
        lambda g: torch._sample_dirichlet(alpha, generator=g),
        lambda g: draws_rejection.dirichlet(g, array(alpha)),
        ulps=4,
    )


F32, NAN = np.dtype(np.float32), math.nan
REFUSED = [
    (lambda g: torch.empty(3).normal_(0, -1), lambda g: draws_normal.normal(g, 3, 0, -1, dtype=F32)),
    (lambda g: torch.empty(3).normal_(0, NAN), lambda g: draws_normal.normal(g, 3, 0, NAN, dtype=F32)),
    (
        lambda g: torch.normal(torch.zeros(2), torch.tensor([1, NAN])),
        lambda g: draws_normal.normal_tensors(g, np.zeros(2, F32), np.array([1, NAN], F32), 2, dtype=F32),
    ),
    (lambda g: torch.empty(3).log_normal_(0, 0), lambda g: draws_normal.log_normal(g, 3, 0, 0, dtype=F32)),
    (lambda g: torch.empty(3).uniform_(2, 1), lambda g: draws.uniform(g, 3, 2, 1, dtype=F32)),
    (lambda g: torch.empty(3).uniform_(NAN, 1), lambda g: draws.uniform(g, 3, NAN, 1, dtype=F32)),
    (lambda g: torch.empty(3).uniform_(-3e38, 3e38), lambda g: draws.uniform(g, 3, -3e38, 3e38, dtype=F32)),
    (lambda g: torch.empty(3).half().uniform_(0, 1e6), lambda g: draws.uniform(g, 3, 0, 1e6, dtype=np.dtype("f2"))),
    (lambda g: torch.empty(3).long().uniform_(), lambda g: draws.uniform(g, 3, dtype=np.dtype("i8"))),
    (lambda g: torch.empty(3).long().normal_(), lambda g: draws_normal.normal(g, 3, dtype=np.dtype("i8"))),
    (lambda g: torch.empty(3).long().log_normal_(), lambda g: draws_normal.log_normal(g, 3, dtype=np.dtype("i8"))),
    (lambda g: torch.empty(3).exponential_(0), lambda g: draws.exponential(g, 3, 0, dtype=F32)),
    (lambda g: torch.empty(3).int().exponential_(), lambda g: draws.exponential(g, 3, dtype=np.dtype("i4"))),
    (lambda g: torch.empty(3).int().cauchy_(), lambda g: draws.cauchy(g, 3, dtype=np.dtype("i4"))),
    (lambda g: torch.empty(3).cauchy_(0, -1.5), lambda g: draws.cauchy(g, 3, 0, -1.5, dtype=F32)),
    (lambda g: torch.empty(3).geometric_(1), lambda g: draws.geometric(g, 3, 1, dtype=F32)),
    (lambda g: torch.empty(3).bool().geometric_(0.5), lambda g: draws.geometric(g, 3, 0.5, dtype=np.dtype("?"))),
    (lambda g: torch.empty(3).bernoulli_(1.5), lambda g: draws.bernoulli(g, 3, 1.5, dtype=F32)),
    (
        lambda g: torch.bernoulli(torch.tensor([NAN])),
        lambda g: draws.bernoulli_tensor(g, np.array([NAN], F32), dtype=F32),
    ),
    (lambda g: torch.bernoulli(torch.tensor([1])), lambda g: draws.bernoulli_tensor(g, np.array([1]), dtype=F32)),
    (lambda g: torch.poisson(torch.tensor([-1.0])), lambda g: draws_rejection.poisson(g, np.array([-1.0], F32))),
    (lambda g: torch.poisson(torch.tensor([1])), lambda g: draws_rejection.poisson(g, np.array([1]))),
    (lambda g: torch.randperm(3, dtype=torch.bool), lambda g: draws_discrete.randperm(g, 3, dtype=np.dtype("?"))),
    (lambda g: torch.randperm(-1), lambda g: draws_discrete.randperm(g, -1, dtype=np.dtype("i8"))),
]


@pytest.mark.parametrize("theirs, ours", REFUSED)
def test_refusals(theirs, ours):
    refuse(theirs, ours)


@pytest.mark.parametrize(
    "weights, count, replacement",
    [
        ([1, 2], 1, False),
        ([1.0, 2], 0, False),
        ([1.0, 2], 3, False),
        ([1.0, -2], 1, False),
        ([0.0, 0], 1, False),
        ([0.0, 0], 2, True),
        ([NAN, 1], 2, False),
        ([math.inf, 1], 2, True),
        ([-1.0, 1], 2, True),
        (1.0, 2, True),
        ([[[1.0]]], 1, True),
        ([[0.0, 0], [1, 1]], 2, True),
    ],
)
def test_multinomial_refusals(weights, count, replacement):
    tensor = torch.tensor(weights)
    refuse(
        lambda g: torch.multinomial(tensor, count, replacement),
        lambda g: draws_discrete.multinomial(g, tensor.numpy(), count, replacement),
    )


def test_states_travel_both_ways():
    a, b = torch.Generator().manual_seed(11), Generator().manual_seed(11)
    for words in (0, 1, 5, 617, 1, 623, 624, 625, 3):
        for normals in (1, 2, 3, 16):
            torch.rand(words, generator=a), torch.randn(normals, generator=a)
            draws.uniform(b, words, dtype=F32), draws_normal.normal(b, normals, dtype=F32)
            theirs, ours = a.get_state(), b.get_state_array()
            np.testing.assert_array_equal(ours, theirs.numpy())
            a, b = torch.Generator(), Generator()
            a.set_state(torch.from_numpy(ours))
            b.set_state_array(theirs.numpy())
            assert a.initial_seed() == b.initial_seed() == 11
            for copied in (pickle.loads(pickle.dumps(b)), copy.deepcopy(b), copy.copy(b), b.clone_state()):
                np.testing.assert_array_equal(copied.get_state_array(), ours)


@pytest.mark.parametrize("seed", [0, 5, -1, -(2**63), 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 1.5, "a", None, True])
def test_seeds(seed):
    try:
        expected = torch.Generator().manual_seed(seed)
    except Exception:
        refuse(lambda g: g.manual_seed(seed), lambda g: g.manual_seed(seed))
    else:
        generator = Generator().manual_seed(seed)
        assert generator.initial_seed() == expected.initial_seed()
        np.testing.assert_array_equal(generator.get_state_array(), expected.get_state().numpy())


@pytest.mark.parametrize("state", [np.zeros(10, np.uint8), np.zeros(5056), np.zeros(5056, np.uint8)])
def test_state_refusals(state):
    refuse(lambda g: g.set_state(torch.from_numpy(state)), lambda g: g.set_state_array(state))


def test_default_seed():
    assert Generator().initial_seed() == torch.Generator().initial_seed()


def untempered(words):
    """The key from which MT19937 makes these words."""
    y = words ^ (words >> 18)
    y ^= (y << 15) & 0xEFC60000
    t = y
    for _ in range(4):
        t = y ^ ((t << 7) & 0x9D2C5680)
    y = t & 0xFFFFFFFF
    return y ^ (y >> 11) ^ (y >> 22)


@pytest.mark.parametrize("part", range(8))
def test_every_radius_and_every_angle(part):
    """Both generators are given keys that yield chosen words: all 2**24 uniforms of both kinds, 304 at a time."""
    low, high = part << 21, (part + 1) << 21
    ours, theirs = Generator(), torch.Generator()
    state = ours.get_state_array()
    state[8:12].view(np.int32)[0], state[16:24].view(np.uint64)[0] = 624, 1
    key, expected = state[24 : 24 + 624 * 8].view(np.uint64), torch.empty(608)
    for start in range(low, high, 304):
        numbers = np.arange(start, start + 304).reshape(38, 8) % 2**24
        words = np.concatenate([numbers, (numbers * 5 + 7) % 2**24], 1)  # each angle once too, for 5 is odd
        key[1:609] = untempered(words.ravel())
        ours.set_state_array(state)
        theirs.set_state(torch.from_numpy(state))
        expected.normal_(generator=theirs)
        actual = draws_normal.normal(ours, 608, dtype=F32)
        assert actual.tobytes() == expected.numpy().tobytes(), start


LAYOUTS = {
    "permuted": lambda lib: lib.zeros(3, 5, 4).permute(2, 0, 1), "turned": lambda lib: lib.zeros(6, 5).t(),
    "sliced": lambda lib: lib.zeros(6, 8)[:, ::2], "channels last": lambda lib: lib.zeros(2, 3, 4, 5).to(memory_format=lib.channels_last),
    "a few": lambda lib: lib.zeros(2, 3).t(),
}  # fmt: skip
INTO = {
    "normal_": lambda x, lib: x.normal_(), "uniform_": lambda x, lib: x.uniform_(), "exponential_": lambda x, lib: x.exponential_(),
    "cauchy_": lambda x, lib: x.cauchy_(), "log_normal_": lambda x, lib: x.log_normal_(), "geometric_": lambda x, lib: x.geometric_(0.3),
    "random_": lambda x, lib: x.random_(3, 900), "bernoulli_": lambda x, lib: x.bernoulli_(0.4),
    "bernoulli_ of a tensor": lambda x, lib: x.bernoulli_(lib.linspace(0, 1, x.numel()).reshape(x.shape)),
    "rand_like": lambda x, lib: lib.rand_like(x), "randn_like": lambda x, lib: lib.randn_like(x),
    "rand_like contiguous": lambda x, lib: lib.rand_like(x, memory_format=lib.contiguous_format),
    "randint_like": lambda x, lib: lib.randint_like(x, 900), "normal": lambda x, lib: lib.normal(x, 1.0),
    "dropout": lambda x, lib: lib.nn.functional.dropout(x + 1, 0.4),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", INTO)
def test_draws_come_in_the_order_of_memory(name, layout):
    found = []
    for lib in (lamina, torch):
        lib.manual_seed(5)
        found.append(INTO[name](LAYOUTS[layout](lib), lib))
    assert found[0].stride() == found[1].stride()
    np.testing.assert_array_equal(found[0].numpy(), found[1].numpy())
