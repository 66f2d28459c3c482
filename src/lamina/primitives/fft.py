"""Discrete Fourier transforms: complex to complex, real to half of a complex spectrum, and back.

NumPy's, which computes in the precision of its input. Here: primitives with their gradients, PyTorch's functions over one, two and
n dimensions. Not here: transforms of windows (spectral.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.dtype import get_default_dtype
from lamina.core.size import wrap_dim
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives.conversion import to
from lamina.primitives.elementary import conj_
from lamina.primitives.linalg_common import like, real_dtype
from lamina.primitives.padding import constant_pad
from lamina.primitives.registry import primitive
from lamina.primitives.shape import slice_
from lamina.primitives.signature import parsed, scalar_name

Dims = tuple[int, ...]
SWAPPED = {"backward": "forward", "forward": "backward", "ortho": "ortho"}
"""The adjoint of a transform is the opposite one with the same factor: NumPy names the factor by the direction that has it."""

# ---- primitives ------------------------------------------------------------------------------------------------------


def _quietly() -> np.errstate:
    """NumPy's transforms are Python functions of its own, and would warn of infinities under their name."""
    return np.errstate(all="ignore")


def _c2c(x: Array, *, dims: Dims, norm: Any, forward: bool) -> Array:
    with _quietly():
        if len(dims) == 1:
            return (np.fft.fft if forward else np.fft.ifft)(x, axis=dims[0], norm=norm)
        return (np.fft.fftn if forward else np.fft.ifftn)(x, axes=dims, norm=norm)


c2c = primitive(
    "fft_c2c", _c2c,
    grads=(lambda g, dims, norm, forward: c2c(g, dims=dims, norm=SWAPPED[norm], forward=not forward),),
    node="FftC2C", holomorphic=False)  # fmt: skip


def _r2c(x: Array, *, dims: Dims, norm: Any, forward: bool, onesided: bool) -> Array:
    if not onesided:
        return _c2c(x, dims=dims, norm=norm, forward=forward)
    mode: Any = norm if forward else SWAPPED[norm]
    with _quietly():
        out: Array = (
            np.fft.rfft(x, axis=dims[0], norm=mode) if len(dims) == 1 else np.fft.rfftn(x, axes=dims, norm=mode)
        )
    return out if forward else out.conj()


def _r2c_back(g: Any, x_shape: Any, dims: Dims, norm: Any, forward: bool, onesided: bool) -> Any:
    if onesided:  # the other half of the spectrum is no result: its cotangent is 0
        last = dims[-1]
        missing = x_shape[last] - g.shape[last]
        g = constant_pad(g, pad=tuple((0, missing if d == last else 0) for d in range(g.ndim)), value=0)
    return c2c(g, dims=dims, norm=SWAPPED[norm], forward=not forward).real


r2c = primitive("fft_r2c", _r2c, grads=(_r2c_back,), node="FftR2C", holomorphic=False)


def _c2r(x: Array, *, dims: Dims, norm: Any, n: int) -> Array:
    with _quietly():
        if len(dims) == 1:
            return np.fft.irfft(x, n, axis=dims[0], norm=norm)
        return np.fft.irfft(np.fft.ifftn(x, axes=dims[:-1], norm=norm), n, axis=dims[-1], norm=norm)


def _c2r_back(g: Any, dims: Dims, norm: Any, n: int) -> Any:
    """An entry that stands for two, itself and its mirror image, has twice the cotangent."""
    out = r2c(g, dims=dims, norm=SWAPPED[norm], forward=True, onesided=True)
    last = dims[-1]
    weights = np.ones(out.shape[last], real_dtype(g))
    weights[1 : n - n // 2] = 2
    return out * like(weights.reshape(tuple(-1 if d == last else 1 for d in range(out.ndim))), out)


c2r = primitive("fft_c2r", _c2r, grads=(_c2r_back,), node="FftC2R", holomorphic=False)

# ---- arguments -------------------------------------------------------------------------------------------------------


def _norm(norm: Any) -> str:
    if norm is None:
        return "backward"
    if norm not in SWAPPED:
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    return norm  # type: ignore[no-any-return]


def _floating(t: Tensor) -> Tensor:
    """`t` in a dtype that transforms are computed in. Raises RuntimeError for low precision."""
    d = t._kind.dtype
    if d.category < 2:
        return to(t, get_default_dtype())
    if d.is_low:
        raise RuntimeError(f"Unsupported dtype {scalar_name(d)}")
    return t


def _complex(t: Tensor) -> Tensor:
    t = _floating(t)
    return t if t.is_complex() else to(t, t._kind.dtype.to_complex())


def _dim(t: Tensor, dim: int) -> int:
    if not t._array.ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    return wrap_dim(dim, t._array.ndim)


def _checked(n: int) -> int:
    if n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")
    return n


def _resized(t: Tensor, sizes: dict[int, int]) -> Tensor:
    """Cut, or filled with zeros at the end, to the given sizes."""
    shape = t._array.shape
    pad = [(0, 0)] * len(shape)
    for d, n in sizes.items():
        if n < shape[d]:
            t = slice_(t, dim=d, part=slice(0, n))
        elif n > shape[d]:
            pad[d] = (0, n - shape[d])
    return constant_pad(t, pad=tuple(pad), value=0) if any(b for _, b in pad) else t


def _shape_and_dims(t: Tensor, s: Any, dim: Any) -> tuple[dict[int, int | None], Dims]:
    """For each dimension to transform the size given (None: its own), and the dimensions in order."""
    ndim = t._array.ndim
    s = None if s is None else (s,) if isinstance(s, int) else tuple(s)
    if dim is not None:
        dims = tuple(_dim(t, d) for d in ((dim,) if isinstance(dim, int) else dim))
        if len(set(dims)) != len(dims):
            raise RuntimeError("FFT dims must be unique")
        if s is not None and len(s) != len(dims):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
    elif s is not None:
        if len(s) > ndim:
            raise RuntimeError(f"Got shape with {len(s)} values but input tensor only has {ndim} dimensions.")
        dims = tuple(range(ndim - len(s), ndim))
    else:
        dims = tuple(range(ndim))
    return {d: None if n == -1 else n for d, n in zip(dims, s or (-1,) * len(dims), strict=True)}, dims


def _fitted(t: Tensor, sizes: dict[int, int | None]) -> Tensor:
    return _resized(t, {d: _checked(t._array.shape[d] if n is None else n) for d, n in sizes.items()})


# ---- one dimension ---------------------------------------------------------------------------------------------------


def _one(input: Tensor, n: int | None, dim: int, norm: Any, forward: bool) -> Tensor:
    input = _floating(input)
    d, mode = _dim(input, dim), _norm(norm)
    input = _fitted(input, {d: n})
    if input.is_complex():
        return c2c(input, dims=(d,), norm=mode, forward=forward)  # type: ignore[no-any-return]
    return r2c(input, dims=(d,), norm=mode, forward=forward, onesided=False)  # type: ignore[no-any-return]


@parsed
def fft(input: Tensor, n: int | None = None, dim: int = -1, norm: Any = None) -> Tensor:
    """The transform along a dimension, cut or filled with zeros to length n. norm: which direction has the factor 1/n."""
    return _one(input, n, dim, norm, True)


@parsed
def ifft(input: Tensor, n: int | None = None, dim: int = -1, norm: Any = None) -> Tensor:
    """The inverse of fft."""
    return _one(input, n, dim, norm, False)


def _real_input(input: Tensor, name: str, kind: str = "real input tensor") -> Tensor:
    if input.is_complex():
        raise RuntimeError(f"{name} expects a {kind}, but got {scalar_name(input._kind.dtype)}")
    return _floating(input)


@parsed
def rfft(input: Tensor, n: int | None = None, dim: int = -1, norm: Any = None) -> Tensor:
    """The first n // 2 + 1 entries of the transform of a real tensor: the others are their mirror images."""
    input = _real_input(input, "rfft")
    d, mode = _dim(input, dim), _norm(norm)
    return r2c(_fitted(input, {d: n}), dims=(d,), norm=mode, forward=True, onesided=True)  # type: ignore[no-any-return]


@parsed
def ihfft(input: Tensor, n: int | None = None, dim: int = -1, norm: Any = None) -> Tensor:
    """The inverse of hfft: half of a spectrum that is its own mirror image."""
    input = _real_input(input, "ihfft")
    d, mode = _dim(input, dim), _norm(norm)
    return conj_(r2c(_fitted(input, {d: n}), dims=(d,), norm=SWAPPED[mode], forward=True, onesided=True))  # type: ignore[no-any-return]


def _length(t: Tensor, d: int, n: int | None) -> int:
    """The length of a real result whose half spectrum is `t`."""
    return _checked(2 * (t._array.shape[d] - 1) if n is None else n)


@parsed
def irfft(input: Tensor, n: int | None = None, dim: int = -1, norm: Any = None) -> Tensor:
    """The inverse of rfft. n: the length of the result (default: 2 * (size - 1))."""
    input = _complex(input)
    d, mode = _dim(input, dim), _norm(norm)
    length = _length(input, d, n)
    return c2r(_resized(input, {d: length // 2 + 1}), dims=(d,), norm=mode, n=length)  # type: ignore[no-any-return]


@parsed
def hfft(input: Tensor, n: int | None = None, dim: int = -1, norm: Any = None) -> Tensor:
    """The (real) transform of a signal that is its own mirror image, given by its first half."""
    input = _complex(input)
    d, mode = _dim(input, dim), _norm(norm)
    length = _length(input, d, n)
    return c2r(conj_(_resized(input, {d: length // 2 + 1})), dims=(d,), norm=SWAPPED[mode], n=length)  # type: ignore[no-any-return]


# ---- n dimensions ----------------------------------------------------------------------------------------------------


def _several(input: Tensor, s: Any, dim: Any, norm: Any, forward: bool) -> Tensor:
    sizes, dims = _shape_and_dims(input, s, dim)
    mode = _norm(norm)
    input = _fitted(_complex(input), sizes)
    return c2c(input, dims=dims, norm=mode, forward=forward) if dims else input.clone()


@parsed
def fftn(input: Tensor, s: Any = None, dim: Any = None, norm: Any = None) -> Tensor:
    """The transform over several dimensions (default: all, or the last len(s)), cut or filled with zeros to sizes s."""
    return _several(input, s, dim, norm, True)


@parsed
def ifftn(input: Tensor, s: Any = None, dim: Any = None, norm: Any = None) -> Tensor:
    """The inverse of fftn."""
    return _several(input, s, dim, norm, False)


def _some(dims: Dims, name: str) -> None:
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")


@parsed
def rfftn(input: Tensor, s: Any = None, dim: Any = None, norm: Any = None) -> Tensor:
    """The transform of a real tensor over several dimensions; of the last only the first half."""
    input = _real_input(input, "rfftn", "real-valued input tensor")
    sizes, dims = _shape_and_dims(input, s, dim)
    _some(dims, "rfftn")
    return r2c(_fitted(input, sizes), dims=dims, norm=_norm(norm), forward=True, onesided=True)  # type: ignore[no-any-return]


def _halved(input: Tensor, s: Any, dim: Any, name: str) -> tuple[Tensor, Dims, int]:
    """A half spectrum in the sizes asked for, its dimensions, the length of the last in the real result."""
    input = _complex(input)
    sizes, dims = _shape_and_dims(input, s, dim)
    _some(dims, name)
    length = _length(input, dims[-1], sizes[dims[-1]])
    sizes[dims[-1]] = length // 2 + 1
    return _fitted(input, sizes), dims, length


@parsed
def irfftn(input: Tensor, s: Any = None, dim: Any = None, norm: Any = None) -> Tensor:
    """The inverse of rfftn."""
    input, dims, length = _halved(input, s, dim, "irfftn")
    return c2r(input, dims=dims, norm=_norm(norm), n=length)  # type: ignore[no-any-return]


@parsed
def hfftn(input: Tensor, s: Any = None, dim: Any = None, norm: Any = None) -> Tensor:
    """The (real) transform over several dimensions of a signal that is its own mirror image, given by its first half."""
    input, dims, length = _halved(input, s, dim, "hfftn")
    mode = _norm(norm)
    if len(dims) > 1:
        input = c2c(input, dims=dims[:-1], norm=mode, forward=True)
    return c2r(conj_(input), dims=dims[-1:], norm=SWAPPED[mode], n=length)  # type: ignore[no-any-return]


@parsed
def ihfftn(input: Tensor, s: Any = None, dim: Any = None, norm: Any = None) -> Tensor:
    """The inverse of hfftn."""
    if input.is_complex():
        raise RuntimeError(f"Only supports floating-point dtypes, but found: {scalar_name(input._kind.dtype)}")
    input = _floating(input)
    sizes, dims = _shape_and_dims(input, s, dim)
    _some(dims, "ihfftn")
    mode = _norm(norm)
    half = conj_(r2c(_fitted(input, sizes), dims=dims[-1:], norm=SWAPPED[mode], forward=True, onesided=True))
    return c2c(half, dims=dims[:-1], norm=mode, forward=False) if len(dims) > 1 else half  # type: ignore[no-any-return]


def _plane(function: Any, name: str, doc: str) -> Any:
    """The form over two dimensions of a function over several."""

    def plane(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: Any = None) -> Tensor:
        return function(input, s, dim, norm)  # type: ignore[no-any-return]

    plane.__name__ = plane.__qualname__ = name
    plane.__doc__ = doc
    return parsed(plane)


fft2 = _plane(fftn, "fft2", "The transform over two dimensions (default: the last).")
ifft2 = _plane(ifftn, "ifft2", "The inverse of fft2.")
rfft2 = _plane(rfftn, "rfft2", "The transform of a real tensor over two dimensions; of the second only the first half.")
irfft2 = _plane(irfftn, "irfft2", "The inverse of rfft2.")
hfft2 = _plane(hfftn, "hfft2", "The (real) transform over two dimensions of a signal that is its own mirror image.")
ihfft2 = _plane(ihfftn, "ihfft2", "The inverse of hfft2.")
