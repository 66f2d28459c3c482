"""Dropout in its variants. Each draws what PyTorch draws: one Bernoulli number per element, or per channel.

Here: the noise and its scaling. Not here: the generator (primitives/random.py).
"""

from __future__ import annotations

import math

import lamina
from lamina.core.tensor import Tensor
from lamina.core.warn import warn
from lamina.nn.functional._checks import check_tensor, scalar_name
from lamina.primitives.argument_types import asks
from lamina.primitives.inplace import of_tensors
from lamina.primitives.random import noise as drawn_noise

_ALPHA = 1.7580993408473766  # minus the limit of selu at minus infinity


def _check_p(p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _noise(input: Tensor, p: float, by_channel: bool) -> Tensor:
    """Ones with probability 1 - p, else zeros: as `input`, or one per sample and channel."""
    if not by_channel:
        return drawn_noise(input._array.shape, input, 1 - p)
    if input.dim() < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    channels = lamina.empty(
        (*input._array.shape[:2], *(1,) * (input.dim() - 2)), dtype=input.dtype, device=input.device
    )
    return channels.bernoulli_(1 - p)


def _drop(input: Tensor, p: float, training: bool, inplace: bool, by_channel: bool) -> Tensor:
    if p == 0 or not training or input.numel() == 0:
        return input
    if p == 1:
        noise = lamina.zeros((), dtype=input.dtype, device=input.device)
    else:
        if not (input.is_floating_point() or input.is_complex()):
            raise RuntimeError(f"result type Float can't be cast to the desired output type {scalar_name(input)}")
        noise = _noise(input, p, by_channel).div_(1 - p)
    return input.mul_(noise) if inplace else input * noise


def drop_channels(input: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
    """`dropout` of whole channels of (N, C, *)."""
    return _drop(input, p, training, inplace, by_channel=True)


def _alpha_drop(input: Tensor, p: float, training: bool, inplace: bool, by_channel: bool) -> Tensor:
    if p == 0 or not training or input.numel() == 0:
        return input
    if p == 1:
        noise = lamina.zeros((), dtype=input.dtype, device=input.device)
        return input.mul_(noise) if inplace else input * noise
    noise = _noise(input, p, by_channel)
    scale = 1.0 / math.sqrt((_ALPHA * _ALPHA * p + 1) * (1 - p))
    shift = noise.add(-1).mul_(_ALPHA * scale).add_(_ALPHA * scale * p)
    noise.mul_(scale)
    return input.mul_(noise).add_(shift) if inplace else input * noise + shift


@of_tensors
def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`input` with each element zeroed with probability `p`, the others divided by 1 - p.

    Not training, p = 0 or nothing in it: `input` itself. Raises ValueError unless 0 <= p <= 1.
    """
    _check_p(p)
    check_tensor(input, "dropout")
    return _drop(input, p, training, inplace, by_channel=False)


@of_tensors
def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout to selu's lower limit, rescaled so that mean 0 and variance 1 are kept."""
    _check_p(p)
    check_tensor(input, "alpha_dropout")
    return _alpha_drop(input, p, training, inplace, by_channel=False)


@of_tensors
def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """`alpha_dropout` of whole channels."""
    _check_p(p)
    check_tensor(input, "feature_alpha_dropout")
    return _alpha_drop(input, p, training, inplace, by_channel=True)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of `(N, C, L)` or `(C, L)`."""
    _check_p(p)
    check_tensor(input, "dropout1d")
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input. Note that dropout1d exists to "
            "provide channel-wise dropout on inputs with 1 spatial dimension, a channel dimension, and an optional "
            "batch dimension (i.e. 2D or 3D inputs)."
        )
    return _drop_unbatched(input, p, training, inplace, batched=input.dim() == 3)


@of_tensors
@asks("dim")
def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of `(N, C, H, W)`; 3 dimensions are read as `(N, C, L)`, with a warning."""
    _check_p(p)
    check_tensor(input, "dropout2d")
    _warn_rank(input, 2)
    if input.dim() == 3:
        warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior is desired "
            "- input is interpreted as shape (N, C, L), where C is the channel dim. This behavior will change in a "
            "future release to interpret the input as one without a batch dimension, i.e. shape (C, H, W). To maintain "
            "the 1D channel-wise dropout behavior, please switch to using dropout1d instead.",
        )
    return _drop(input, p, training, inplace, by_channel=True)


@of_tensors
@asks("dim")
def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of `(N, C, D, H, W)` or `(C, D, H, W)`."""
    _check_p(p)
    check_tensor(input, "dropout3d")
    _warn_rank(input, 3)
    return _drop_unbatched(input, p, training, inplace, batched=input.dim() == 5)


def _drop_unbatched(input: Tensor, p: float, training: bool, inplace: bool, batched: bool) -> Tensor:
    if batched:
        return _drop(input, p, training, inplace, by_channel=True)
    sample = input.unsqueeze_(0) if inplace else input.unsqueeze(0)
    result = _drop(sample, p, training, inplace, by_channel=True)
    return result.squeeze_(0) if inplace else result.squeeze(0)


def _warn_rank(input: Tensor, spatial: int) -> None:
    if input.dim() in (spatial + 1, spatial + 2):
        return
    warn(
        f"dropout{spatial}d: Received a {input.dim()}-D input to dropout{spatial}d, which is deprecated and will "
        "result "
        "in an error in a future release. To retain the behavior and silence this warning, please use dropout instead. "
        f"Note that dropout{spatial}d exists to provide channel-wise dropout on inputs with {spatial} spatial "
        f"dimensions, a channel dimension, and an optional batch dimension (i.e. {spatial + 1}D or {spatial + 2}D "
        "inputs).",
    )
