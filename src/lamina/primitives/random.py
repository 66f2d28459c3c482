"""Random tensors: torch.rand, randn, randint ..., and the in-place draws of Tensor, in PyTorch's stream.

Here: public functions. Not here: the draws themselves (core/draws*.py), the generator (core/generator.py).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.autograd import modes, views
from lamina.core import device as devices
from lamina.core import draws, draws_discrete, draws_normal, draws_rejection, strided
from lamina.core import dtype as dtypes
from lamina.core.device import CPU, Kind
from lamina.core.factories import kind_of
from lamina.core.generator import Generator, default_generator
from lamina.core.size import check_room, refused
from lamina.core.strided import Array
from lamina.core.tensor import Tensor, meta_array, version, wrap
from lamina.core.version import users_place
from lamina.primitives.creation import empty_like, made, sized
from lamina.primitives.inplace import of_tensors, store, with_out, write
from lamina.primitives.levels import batch_levels
from lamina.primitives.out_dtypes import NAMES
from lamina.primitives.randomness import draw, filling, reported, spread
from lamina.primitives.registry import primitive


def generator_of(given: Any) -> Generator:
    """The generator that is given, or the default one. Raises RuntimeError for another device's."""
    if given is None:
        return default_generator
    if not isinstance(given, Generator):
        raise TypeError(f"argument 'generator' must be torch.Generator, not {type(given).__name__}")
    if given is not default_generator:
        given.used_by_name()
    return given


def _new(
    shape: tuple[int, ...], kind: Kind, draw: Callable[[tuple[int, ...]], Array], requires_grad: bool = False, out: Any = None, *,
    one_by_one: bool = False,
) -> Tensor:  # fmt: skip
    """A new leaf of draws (the meta device holds no values), or `out` filled with them. Inside vmap, perhaps one for each entry."""
    check_room(shape, kind.np.itemsize)

    def make(shape: tuple[int, ...]) -> Tensor:
        try:
            array = meta_array(shape, kind) if kind.device is devices.meta else reported(lambda: draw(shape))
        except ValueError as error:
            raise refused(error) from None
        return made(array, kind, requires_grad, out)

    return spread(shape, make, one_by_one=one_by_one)


def _maker(name: str, draw: Callable[..., Array]) -> Any:
    """The function `rand` or `randn`."""

    def function(
        *args: Any, size: Any = None, generator: Any = None, out: Any = None, dtype: Any = None, layout: Any = None,
        device: Any = None, requires_grad: bool = False, pin_memory: bool = False, names: Any = None,
    ) -> Tensor:  # fmt: skip
        shape = sized(args, size, name)
        kind = kind_of(dtype if out is None or dtype is not None else out.dtype, device)
        if kind.dtype.category < 2:
            raise NotImplementedError(f"\"{_KERNELS[name]}\" not implemented for '{NAMES[kind.dtype.name]}'")
        return _new(shape, kind, lambda shape: draw(generator_of(generator), shape, dtype=kind.np), requires_grad, out)

    function.__name__ = function.__qualname__ = name
    return function


_KERNELS = {"rand": "check_uniform_bounds", "randn": "normal_kernel_cpu"}


rand = _maker("rand", draws.uniform)
randn = _maker("randn", draws_normal.normal)


def _like(name: str, draw: Callable[..., Array], scattered: Callable[..., Array]) -> Any:
    """The function `rand_like` or `randn_like`. scattered: the draws where memory is not contiguous."""

    def function(
        input: Tensor, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
        pin_memory: bool = False, memory_format: Any = devices.preserve_format, generator: Any = None,
    ) -> Tensor:  # fmt: skip
        kind = kind_of(dtype or input.dtype, device if device is not None else input.device)
        if kind.dtype.category < 2:
            raise NotImplementedError(f"\"{_KERNELS[name[:-5]]}\" not implemented for '{NAMES[kind.dtype.name]}'")

        def drawn(shape: tuple[int, ...], memory: Array | None = None) -> Array:
            return (draw if memory is None else scattered)(generator_of(generator), shape, dtype=kind.np)

        return _new_like(input, kind, drawn, requires_grad, memory_format)

    function.__name__ = function.__qualname__ = name
    return function


def _new_like(input: Tensor, kind: Kind, draw: Any, requires_grad: bool, memory_format: Any) -> Tensor:
    """A new leaf of draws that lies in memory as `input` does, or as `memory_format` says; they come in the order of memory."""
    shape = input._array.shape
    memory = None
    if not input._array.flags.c_contiguous or memory_format not in (
        None,
        devices.preserve_format,
        devices.contiguous_format,
    ):
        memory = empty_like(input, memory_format=memory_format or devices.preserve_format)._array
    if memory is None or memory.flags.c_contiguous:
        return _new(shape, kind, draw, requires_grad)

    def lying(wanted: tuple[int, ...]) -> Array:  # inside vmap, more is wanted
        return draw(wanted) if wanted != shape else _lying_as(memory, lambda ordered: draw(ordered, memory))

    return _new(shape, kind, lying, requires_grad)


rand_like = _like("rand_like", draws.uniform, draws.uniform)
randn_like = _like("randn_like", draws_normal.normal, functools.partial(draws_normal.normal, contiguous=False))


def _whole(value: Any) -> Any:
    return value.item() if isinstance(value, Tensor) else value


def randint(
    *args: Any, low: Any = 0, high: Any = None, size: Any = None, generator: Any = None, out: Any = None, dtype: Any = None,
    layout: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Integers of [low, high): randint(high, size) or randint(low, high, size). Raises RuntimeError for an empty range."""
    numbers = list(args)
    if numbers and isinstance(numbers[-1], (tuple, list)):
        size = numbers.pop()
    if len(numbers) == 2:
        low, high = numbers
    elif len(numbers) == 1:
        if high is None:
            high = numbers[0]
        else:
            low = numbers[0]
    if size is None or high is None:
        raise TypeError(
            "randint() received an invalid combination of arguments: expected randint(high, size) or randint(low, high, size)"
        )
    shape = sized((), size, "randint")
    kind = kind_of(dtype if dtype is not None else out.dtype if out is not None else dtypes.int64, device)
    low, high = _whole(low), _whole(high)
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    source = generator_of(generator)
    return _new(
        shape, kind, lambda shape: draws_discrete.randint(source, shape, low, high, dtype=kind.np), requires_grad, out
    )


@of_tensors
def randint_like(
    input: Tensor, *args: Any, low: Any = 0, high: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, memory_format: Any = devices.preserve_format, pin_memory: bool = False, generator: Any = None,
) -> Tensor:  # fmt: skip
    """Integers of [low, high) in the shape and dtype of `input`."""
    if len(args) == 2:
        low, high = args
    elif args:
        high = args[0]
    if input._array.flags.c_contiguous and memory_format in (None, devices.preserve_format, devices.contiguous_format):
        return randint(
            low, high, tuple(input._array.shape), dtype=dtype or input.dtype,
            device=device if device is not None else input.device, requires_grad=requires_grad, generator=generator,
        )  # fmt: skip
    kind = kind_of(dtype or input.dtype, device if device is not None else input.device)
    low, high, source = _whole(low), _whole(high), generator_of(generator)

    def drawn(shape: tuple[int, ...], memory: Array | None = None) -> Array:
        return draws_discrete.randint(source, shape, low, high, dtype=kind.np)

    return _new_like(input, kind, drawn, requires_grad, memory_format)


def randperm(
    n: Any, *, generator: Any = None, out: Any = None, dtype: Any = dtypes.int64, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """The integers below `n` in random order."""
    kind = kind_of(dtype if dtype is not None else dtypes.int64, device)
    n = _whole(n)
    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
    source = generator_of(generator)
    return _new(
        (n,), kind, lambda _: draws_discrete.randperm(source, n, dtype=kind.np), requires_grad, out, one_by_one=True
    )


bernoulli_ = primitive(
    "bernoulli", lambda p, *, generator: draws.bernoulli_tensor(generator, p, dtype=p.dtype),
    grads=(lambda g: g * 0,))  # fmt: skip


@with_out
def bernoulli(input: Tensor, p: Any = None, *, generator: Any = None) -> Tensor:
    """0 or 1 for each element, 1 with the probability that `input` (or `p`) says."""
    source = generator_of(generator)
    if p is not None:
        return draw(
            (input,),
            lambda like: wrap(draws.bernoulli(source, like._array.shape, float(p), dtype=like._kind.np), like._kind),
        )
    if input._kind.dtype.category != 2:
        raise NotImplementedError(f"\"bernoulli_tensor_cpu_p_\" not implemented for '{NAMES[input.dtype.name]}'")
    return draw((input,), lambda input: bernoulli_(input, generator=source))


def noise(shape: tuple[int, ...], like: Tensor, p: float) -> Tensor:
    """A new tensor of 0 and 1, 1 with probability `p`, in the dtype of `like`; of its shape, it lies in memory as `like` does.

    The draws come in the order of memory.
    """
    kind = like._kind

    def draw(shape: tuple[int, ...]) -> Array:
        return draws.bernoulli(default_generator, shape, p, dtype=kind.np)

    return _new(shape, kind, lambda shape: _lying_as(like._array, draw) if shape == like._array.shape else draw(shape))


@of_tensors
def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Any = None, out: Any = None
) -> Tensor:
    """Indices drawn by the weights in `input`, (n) or (rows, n)."""
    source = generator_of(generator)
    if out is not None and out._kind.dtype is not dtypes.int64:
        raise RuntimeError(f"multinomial expects Long tensor out, got: {out._kind.dtype.alias[:-6]}")
    if input._array.ndim not in (1, 2) and not batch_levels():
        raise RuntimeError("prob_dist must be 1 or 2 dim")

    def compute(weights: Tensor) -> Tensor:
        array = weights._array
        rows = (
            array if array.ndim < 3 else array.reshape(-1, array.shape[-1])
        )  # more dimensions than two: those of batches
        found = draws_discrete.multinomial(source, rows, num_samples, replacement)
        return wrap(found.reshape((*array.shape[:-1], num_samples)), CPU[dtypes.int64])

    found = draw((input,), compute)
    return found if out is None else store(out, found, "multinomial")


poisson_ = primitive("poisson", lambda x, *, generator: draws_rejection.poisson(generator, x), grads=(lambda g: g * 0,))


def poisson(input: Tensor, generator: Any = None) -> Tensor:
    """Counts of a Poisson distribution with the rates in `input`."""
    return draw((input,), lambda input: poisson_(input, generator=generator_of(generator)))


def binomial(count: Tensor, prob: Tensor, generator: Any = None) -> Tensor:
    """Successes in `count` trials of probability `prob`."""

    def compute(count: Tensor, prob: Tensor) -> Tensor:
        shape = np.broadcast_shapes(count._array.shape, prob._array.shape)
        a, b = (np.broadcast_to(t._array, shape) for t in (count, prob))
        return wrap(draws_rejection.binomial(generator_of(generator), a, b), count._kind)

    return draw((count, prob), compute)


# ---- in-place draws --------------------------------------------------------------------------------------------------

_drawn = {
    name: primitive(
        f"drawn_{name}", lambda x, *, values: values.astype(x.dtype, copy=False), grads=(lambda g: g * 0,), node=node)
    for name, node in (
        ("normal_", "NormalBackward0"), ("uniform_", "UniformBackward0"), ("exponential_", "ExponentialBackward0"),
        ("cauchy_", "CauchyBackward0"), ("log_normal_", "LogNormalBackward0"), ("geometric_", "GeometricBackward0"),
        ("random_", "RandomBackward0"), ("random_to", "RandomBackward1"), ("random_any", "RandomBackward2"),
        ("bernoulli_", "BernoulliBackward2"),
    )
}  # fmt: skip


def _lying_as(like: Array, draw: Callable[[tuple[int, ...]], Array]) -> Array:
    """Draws in the shape of `like` that come in the order of its memory."""
    if like.flags.c_contiguous:
        return draw(like.shape)
    order = strided.stride_order(like)
    drawn = draw(tuple(like.shape[d] for d in order))
    return drawn.transpose(np.argsort(order))


def _fill(self: Tensor, name: str, draw: Callable[[tuple[int, ...]], Array], form: str | None = None) -> Tensor:
    """Write draws into `self`, in the order of its memory; they have no gradient. form: whose node is recorded, `name`'s by default."""

    def values() -> Array:
        return _lying_as(self._array, draw)

    if self._kind.device is devices.meta:
        return self
    if self._node is None and (self._more is None or (self._more.base is None and not self._more.tangents)):
        views.check_inplace(self, name, False)
        views.check_memory(self, name, ())
        found = reported(values)
        mode = modes.current()
        if mode is not None and mode.listener is not None:
            mode.listener.write(self._array, found)
        np.copyto(self._array, found, casting="unsafe")
        version(self).bump(name, users_place(3))
        views.written(self)
        return self
    return write(self, name, lambda old: _drawn[form or name](old, values=reported(values)))


@filling
def uniform_(self: Tensor, from_: float = 0, to: float = 1, *, generator: Any = None, **bounds: Any) -> Tensor:
    """Fill with uniform samples of [from, to)."""
    low, high = bounds.pop("from", from_), bounds.pop("to", to)
    if bounds:
        raise TypeError(f"uniform_() got an unexpected keyword argument '{next(iter(bounds))}'")
    return _fill(
        self,
        "uniform_",
        lambda shape: draws.uniform(generator_of(generator), shape, low, high, dtype=self._kind.np),
    )


@filling
def normal_(self: Tensor, mean: float = 0, std: float = 1, *, generator: Any = None) -> Tensor:
    """Fill with samples of N(mean, std**2)."""
    dense = bool(self._array.flags.c_contiguous)
    return _fill(
        self, "normal_",
        lambda shape: draws_normal.normal(generator_of(generator), shape, mean, std, dtype=self._kind.np, contiguous=dense),
    )  # fmt: skip


@filling
def log_normal_(self: Tensor, mean: float = 1, std: float = 2, *, generator: Any = None) -> Tensor:
    """Fill with samples whose logarithm is N(mean, std**2)."""
    return _fill(
        self,
        "log_normal_",
        lambda shape: draws_normal.log_normal(generator_of(generator), shape, mean, std, dtype=self._kind.np),
    )


@filling
def exponential_(self: Tensor, lambd: float = 1, *, generator: Any = None) -> Tensor:
    """Fill with samples of the exponential distribution."""
    return _fill(
        self,
        "exponential_",
        lambda shape: draws.exponential(generator_of(generator), shape, lambd, dtype=self._kind.np),
    )


@filling
def geometric_(self: Tensor, p: float, *, generator: Any = None) -> Tensor:
    """Fill with numbers of trials until the first success."""
    return _fill(
        self, "geometric_", lambda shape: draws.geometric(generator_of(generator), shape, p, dtype=self._kind.np)
    )


@filling
def cauchy_(self: Tensor, median: float = 0, sigma: float = 1, *, generator: Any = None) -> Tensor:
    """Fill with samples of the Cauchy distribution."""
    return _fill(
        self,
        "cauchy_",
        lambda shape: draws.cauchy(generator_of(generator), shape, median, sigma, dtype=self._kind.np),
    )


def bernoulli_fill(self: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """Fill with 0 and 1, 1 with probability `p` (a number or a tensor)."""
    source = generator_of(generator)
    if not isinstance(p, Tensor):
        return _fill_bernoulli(self, p, source)
    if batch_levels():
        return write(self, "bernoulli_", lambda old: bernoulli(p.expand(old.shape).to(old.dtype), generator=source))
    chances = np.broadcast_to(p._array, self._array.shape)
    order = strided.stride_order(self._array)
    ordered = chances if self._array.flags.c_contiguous else chances.transpose(order)
    return _fill(self, "bernoulli_", lambda shape: draws.bernoulli_tensor(source, ordered, dtype=self._kind.np))


@filling
def _fill_bernoulli(self: Tensor, p: float, source: Generator) -> Tensor:
    return _fill(self, "bernoulli_", lambda shape: draws.bernoulli(source, shape, p, dtype=self._kind.np))


@filling
def random_(self: Tensor, *args: Any, generator: Any = None, **bounds: Any) -> Tensor:
    """Fill with integers: random_() of the dtype's range, random_(to), random_(from, to)."""
    source, kind = generator_of(generator), self._kind.np
    low, high = bounds.get("from", 0), bounds.get("to")
    if len(args) == 1:
        high = args[0]
    elif len(args) == 2:
        low, high = args
    if not args and not bounds:
        return _fill(self, "random_", lambda shape: draws_discrete.random(source, shape, dtype=kind), "random_any")
    form = "random_to" if len(args) == 1 else None
    return _fill(self, "random_", lambda shape: draws_discrete.randint(source, shape, low, high, dtype=kind), form)


# ---- the state of the default generator ------------------------------------------------------------------------------


def manual_seed(seed: Any) -> Generator:
    """Restart the default stream; returns its generator."""
    return default_generator.manual_seed(int(seed))


def seed() -> int:
    """Restart the default stream from the operating system's randomness; returns the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the default stream was started from."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default stream: uint8, in PyTorch's layout."""
    return get_state(default_generator)


def set_rng_state(new_state: Tensor) -> None:
    """Continue the default stream from a state."""
    set_state(default_generator, new_state)


def get_state(self: Generator) -> Tensor:
    """The state as a uint8 tensor in PyTorch's layout."""
    return wrap(self.get_state_array(), CPU[dtypes.uint8])


def set_state(self: Generator, new_state: Tensor) -> None:
    """Continue from a state. Raises TypeError, RuntimeError for what is none."""
    if not isinstance(new_state, Tensor):
        raise TypeError(f"expected a torch.ByteTensor, but got {type(new_state).__name__}")
    if new_state._kind.dtype is not dtypes.uint8:
        raise TypeError("RNG state must be a torch.ByteTensor")
    self.set_state_array(new_state._array)


Generator.get_state, Generator.set_state = get_state, set_state  # type: ignore[attr-defined]
