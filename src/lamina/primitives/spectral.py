"""Transforms of overlapping windows of a signal, and back: stft, istft.

Composites. Here: framing, padding, adding up. Not here: the transforms (fft.py), window functions.
"""

from __future__ import annotations

import numpy as np

from lamina.core.device import KINDS
from lamina.core.factories import place_on
from lamina.core.tensor import Tensor, wrap
from lamina.core.warn import warn, warn_once
from lamina.primitives import elementwise as e
from lamina.primitives import rearrange
from lamina.primitives.argument_types import asks
from lamina.primitives.conversion import view_as_real
from lamina.primitives.fft import c2c, c2r, r2c
from lamina.primitives.gathering import index_select
from lamina.primitives.padding import constant_pad
from lamina.primitives.shape import slice_, unfold_adjoint
from lamina.primitives.signature import parsed

_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""NumPy's names for what stands beyond the ends of a signal."""


def _type(t: Tensor) -> str:
    return f"torch.{t._kind.dtype.alias}"


def _extended(t: Tensor, amount: int, mode: str) -> Tensor:
    """A signal with `amount` samples more at both ends."""
    n, ndim = t._array.shape[-1], t._array.ndim
    if mode == "constant":
        return constant_pad(t, pad=((0, 0),) * (ndim - 1) + ((amount, amount),), value=0)  # type: ignore[no-any-return]
    if mode not in _MODES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if mode == "reflect" and amount >= n:
        raise RuntimeError(
            f"Argument #4: Padding size should be less than the corresponding input dimension, but got: padding ({amount}, {amount}) "
            f"at dimension 2 of input {[1] * (3 - ndim) + list(t._array.shape)}"
        )
    places = np.pad(np.arange(n), amount, _MODES[mode])  # type: ignore[call-overload]
    return index_select(t, -1, wrap(places))  # type: ignore[no-any-return]


def _centred(window: Tensor, n_fft: int) -> Tensor:
    """A window in the middle of n_fft samples."""
    n = window._array.shape[0]
    left = (n_fft - n) // 2
    return window if n == n_fft else constant_pad(window, pad=((left, n_fft - n - left),), value=0)


_SUPPRESS = (
    "To suppress this warning and use a rectangular window, explicitly set `window=torch.ones(n_fft, device=<device>)`."
)


@parsed
@asks("dim")
def stft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None, window: Tensor | None = None,
    center: bool = True, pad_mode: str = "reflect", normalized: bool = False, onesided: bool | None = None,
    return_complex: bool | None = None, align_to_window: bool | None = None,
) -> Tensor:  # fmt: skip
    """Spectra of windows of a signal, hop_length apart.

    Shapes: (L) or (B, L) -> (B, n_fft // 2 + 1, frames); n_fft with onesided=False; with return_complex=False a last dimension of 2.
    center: the signal is extended, so that the first window's middle is its first sample.
    """
    if center:
        if align_to_window is not None:
            raise RuntimeError("stft align_to_window should only be set when center = false")
        input = _extended(input, n_fft // 2, pad_mode)
    if window is None:
        warn_once(
            "A window was not provided. A rectangular window will be applied,which is known to cause spectral leakage. Other windows such "
            "as torch.hann_window or torch.hamming_window are recommended to reduce spectral leakage."
            f"{_SUPPRESS}"
        )
    hop = n_fft // 4 if hop_length is None else hop_length
    size = n_fft if win_length is None else win_length
    has_complex = input.is_complex() or (window is not None and window.is_complex())
    if return_complex is None:
        if not has_complex:
            raise RuntimeError(
                "stft requires the return_complex parameter be given for real inputs, and will further require that "
                "return_complex=True in a future PyTorch release."
            )
        return_complex = True
    shown_window = "None" if window is None else f"{_type(window)}{{{list(window._array.shape)}}}"
    given = (
        f"stft({_type(input)}{list(input._array.shape)}, n_fft={n_fft}, hop_length={hop}, win_length={size}, window={shown_window}, "
        f"normalized={int(normalized)}, onesided={onesided if onesided is None else int(onesided)}, "
        f"return_complex={int(return_complex)}, align_to_window={align_to_window if align_to_window is None else int(align_to_window)}) : "
    )
    if input._kind.dtype.category < 2:
        raise RuntimeError(f"{given}expected a tensor of floating point or complex values")
    ndim = input._array.ndim
    if ndim not in (1, 2):
        raise RuntimeError(f"{given}expected a 1D or 2D tensor")
    if ndim == 1:
        input = rearrange.unsqueeze(input, 0)
    length = input._array.shape[1]
    if not 0 < n_fft <= length:
        raise RuntimeError(f"{given}expected 0 < n_fft < {length}, but got n_fft={n_fft}")
    if hop <= 0:
        raise RuntimeError(f"{given}expected hop_length > 0, but got hop_length={hop}")
    if not 0 < size <= n_fft:
        raise RuntimeError(f"{given}expected 0 < win_length <= n_fft, but got win_length={size}")
    if window is not None and window._array.shape != (size,):
        raise RuntimeError(
            f"{given}expected a 1D window tensor of size equal to win_length={size}, but got window with size {list(window._array.shape)}"
        )
    if size < n_fft:
        window = _centred(wrap(np.ones(size, input._kind.dtype.to_real().np)) if window is None else window, n_fft)
    if align_to_window:
        left = (n_fft - size) // 2
        input = constant_pad(input, pad=((0, 0), (left, n_fft - size - left)), value=0)
    frames = rearrange.unfold(input, 1, n_fft, hop)
    if window is not None:
        frames = e.mul(frames, window)
    onesided = not has_complex if onesided is None else onesided
    norm = "ortho" if normalized else "backward"
    if frames.is_complex():
        if onesided:
            raise RuntimeError("Cannot have onesided output if window or input is complex")
        out = c2c(frames, dims=(2,), norm=norm, forward=True)
    else:
        out = r2c(frames, dims=(2,), norm=norm, forward=True, onesided=bool(onesided))
    out = rearrange.transpose(out, 1, 2)
    if ndim == 1:
        out = rearrange.squeeze(out, 0)
    return out if return_complex else view_as_real(out)


@parsed
def istft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None, window: Tensor | None = None,
    center: bool = True, normalized: bool = False, onesided: bool | None = None, length: int | None = None,
    return_complex: bool = False,
) -> Tensor:  # fmt: skip
    """The signal whose stft comes nearest to `input`: overlapping windows added up, divided by the sum of their squares.

    Shapes: (frequencies, frames) or (B, frequencies, frames) -> (L) or (B, L). length: cut, or filled with zeros, to this length.
    """
    if window is None:
        warn_once(
            "A window was not provided. A rectangular window will be applied.Please provide the same window used by stft to make the "
            f"inversion lossless.{_SUPPRESS}"
        )
    hop = n_fft // 4 if hop_length is None else hop_length
    size = n_fft if win_length is None else win_length
    shown_window = "None" if window is None else f"{_type(window)}{{{list(window._array.shape)}}}"
    kind = f"CPU{input._kind.dtype.alias[:-6]}Type"
    given = (
        f"istft({kind}{list(input._array.shape)}, n_fft={n_fft}, hop_length={hop}, win_length={size}, window={shown_window}, "
        f"center={int(center)}, normalized={int(normalized)}, onesided={onesided if onesided is None else int(onesided)}, "
        f"length={length}, return_complex={int(return_complex)}) "
    )
    if not input.is_complex():
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with return_complex=True."
        )
    ndim = input._array.ndim
    if not input._array.size:
        raise RuntimeError(f"{given}: input tensor cannot be empty.")
    if ndim not in (2, 3):
        raise RuntimeError(f"{given}: expected a tensor with 3 or 4 dimensions, but got {ndim + 1}")
    x = rearrange.unsqueeze(input, 0) if ndim == 2 else input
    bins = x._array.shape[1]
    has_complex = window is not None and window.is_complex()
    onesided = bins != n_fft if onesided is None else onesided
    if onesided and bins != n_fft // 2 + 1:
        raise RuntimeError(
            f"{given}: expected the frequency dimension (3rd to the last) of the input tensor to match n_fft / 2 + 1 when onesided=True, "
            f"but got {bins}"
        )
    if not onesided and bins != n_fft:
        raise RuntimeError(
            f"{given}: expected the frequency dimension (3rd to the last) of the input tensor to match n_fft when onesided=False, but "
            f"got {bins}"
        )
    if not 0 < hop <= size:
        raise RuntimeError(f"{given}: expected 0 < hop_length <= win_length")
    if not 0 < size <= n_fft:
        raise RuntimeError(f"{given}: expected 0 < win_length <= n_fft")
    if window is not None and window._array.shape != (size,):
        raise RuntimeError(f"{given}: Invalid window shape. window has to be 1D and length of `win_length`")
    if window is None:
        window = place_on(np.ones(size, x._kind.dtype.to_real().np), KINDS[x._kind.dtype.to_real(), x._kind.device])
    window = _centred(window, n_fft)
    if return_complex and onesided:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    if has_complex and not return_complex:
        raise RuntimeError("Complex windows are incompatible with return_complex=False")
    x = rearrange.transpose(x, 1, 2)
    norm = "ortho" if normalized else "backward"
    if return_complex:
        frames = c2c(x, dims=(2,), norm=norm, forward=False)
    else:
        if not onesided:
            x = slice_(x, dim=2, part=slice(0, n_fft // 2 + 1))
        frames = c2r(x, dims=(2,), norm=norm, n=n_fft)
    batch, count = x._array.shape[:2]
    whole = n_fft + hop * (count - 1)
    frames = e.mul(frames, window)
    squares = rearrange.expand(e.mul(window, window), (1, count, n_fft))
    signal = unfold_adjoint(frames, shape=(batch, whole), dim=1, size=n_fft, step=hop)
    weight = unfold_adjoint(squares, shape=(1, whole), dim=1, size=n_fft, step=hop)
    start = n_fft // 2 if center else 0
    end = start + length if length is not None else whole - n_fft // 2 if center else whole
    part = slice(start, min(end, whole))
    signal, weight = slice_(signal, dim=1, part=part), slice_(weight, dim=1, part=part)
    if not weight._array.size or float(np.abs(weight._array).min()) <= 1e-11:
        raise RuntimeError(f"{given}window overlap add min: 1")
    signal = e.true_divide(signal, weight)
    if end > whole:
        warn("The length of signal is shorter than the length parameter. Result is being padded with zeros in the tail. "
                      "Please check your center and hop_length settings.")  # fmt: skip
        signal = constant_pad(signal, pad=((0, 0), (0, end - whole)), value=0)
    return rearrange.squeeze(signal, 0) if ndim == 2 else signal
