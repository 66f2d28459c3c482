"""torch.normal: normal samples around numbers or tensors.

Here: the function and its nodes, whose gradients are zero as PyTorch's are. Not here: the draws (core/draws_normal.py), `randn`
and `normal_` (random.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core import draws_normal
from lamina.core.factories import kind_of
from lamina.core.generator import Generator
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives.creation import sized
from lamina.primitives.inplace import store
from lamina.primitives.random import _new, generator_of
from lamina.primitives.randomness import draw
from lamina.primitives.registry import primitive
from lamina.primitives.shape import unbroadcast


def _drawn(mean: Any, std: Any, generator: Generator) -> Array:
    like = mean if isinstance(mean, np.ndarray) else std
    shape = np.broadcast_shapes(np.shape(mean), np.shape(std))
    mean, std = (np.broadcast_to(v, shape) if isinstance(v, np.ndarray) else v for v in (mean, std))
    return draws_normal.normal_tensors(generator, mean, std, shape, dtype=like.dtype)


def _zero(g: Any) -> Any:
    return g * 0


def _zero_of_mean(g: Any, mean_shape: tuple[int, ...]) -> Any:
    return unbroadcast(g * 0, mean_shape)


def _zero_of_std(g: Any, std_shape: tuple[int, ...]) -> Any:
    return unbroadcast(g * 0, std_shape)


normal_by_mean = primitive(
    "normal_by_mean", lambda mean, *, std, generator: _drawn(mean, std, generator), grads=(_zero,), node="NormalBackward1",
    native=True)  # fmt: skip
normal_by_std = primitive(
    "normal_by_std", lambda std, *, mean, generator: _drawn(mean, std, generator), grads=(_zero,), node="NormalBackward2",
    native=True)  # fmt: skip
normal_by_both = primitive(
    "normal_by_both", lambda mean, std, *, generator: _drawn(mean, std, generator), grads=(_zero_of_mean, _zero_of_std), node="NormalBackward3",
    native=True)  # fmt: skip


def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Any = None, out: Any = None, dtype: Any = None,
    layout: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Samples of N(mean, std**2); mean and std are numbers (with `size`) or tensors."""
    source = generator_of(generator)
    if isinstance(mean, Tensor) or isinstance(std, Tensor):
        if isinstance(std, Tensor) and std._kind.dtype.category == 3:
            raise RuntimeError("normal expects standard deviation to be non-complex")
        found = draw((mean, std), lambda mean, std: _around(mean, std, source))
        return found if out is None else store(out, found, "normal")
    if size is None:
        raise TypeError("normal() received an invalid combination of arguments: numbers for mean and std need `size`")
    kind = kind_of(dtype if dtype is not None or out is None else out.dtype, device)
    shape = sized((), size, "normal")
    return _new(
        shape,
        kind,
        lambda shape: draws_normal.normal(source, shape, float(mean), float(std), dtype=kind.np),
        requires_grad,
        out,
    )


def _around(mean: Any, std: Any, source: Generator) -> Tensor:
    found: Tensor
    if not isinstance(std, Tensor):
        found = normal_by_mean(mean, std=float(std), generator=source)
    elif not isinstance(mean, Tensor):
        found = normal_by_std(std, mean=float(mean), generator=source)
    else:
        found = normal_by_both(mean, std, generator=source)
    return found
