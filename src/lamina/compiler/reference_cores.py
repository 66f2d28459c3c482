"""What a Matmul, a convolution, a maximum of windows and a Scatter mean, in NumPy: slow and plain, beside reference.py's Loop.

Products are summed in float64, so that a kernel is measured by what it should give and not by another's rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from lamina.compiler.kernels import (
    Access,
    Conv,
    ConvInput,
    ConvWeight,
    Inst,
    Loop,
    Matmul,
    MaxPool,
    MaxPoolInput,
    Scatter,
    Window,
)
from lamina.compiler.reference import dtype_of, interpret, view

Core = Matmul | Conv | ConvInput | ConvWeight | MaxPool | MaxPoolInput | Scatter
Array = np.ndarray[Any, Any]


def interpret_core(kernel: Core, operands: Sequence[Array], functions: dict[str, Callable[..., Any]]) -> None:
    """Execute `kernel` on flat arrays, each beginning at the operand's address; `functions`: the transcendental operations."""
    given = dict(zip(("product", "place"), _results(kernel, operands), strict=False))
    body, more = [], list(operands)
    for inst in kernel.body:
        if inst.op in given:
            result = np.ascontiguousarray(given[inst.op].astype(dtype_of(inst.dtype)))
            strides = tuple(stride // result.itemsize for stride in result.strides)
            inst = Inst("load", (), inst.dtype, Access(len(more), strides, inst.dtype))
            more.append(result.reshape(-1))
        body.append(inst)
    dims = given["product"].shape
    interpret(Loop(dims, len(dims), tuple(body)), more, functions)


def _read(operands: Sequence[Array], access: Access, dims: tuple[int, ...]) -> Array:
    return np.array(view(operands, access, dims)).astype(np.int64 if "int" in access.dtype else np.float64)


def _results(kernel: Core, operands: Sequence[Array]) -> tuple[Array, ...]:
    with np.errstate(all="ignore"):
        match kernel:
            case Matmul():
                a = _read(operands, kernel.a, (*kernel.batch, kernel.m, kernel.k))
                return (a @ _read(operands, kernel.b, (*kernel.batch, kernel.k, kernel.n)),)
            case MaxPool():
                return _maxima(kernel, operands)
            case MaxPoolInput():
                return (_chosen(kernel, operands),)
            case Scatter():
                return (_added(kernel, operands),)
            case _:
                return (_convolved(kernel, operands),)


def _shapes(w: Window) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Of a convolution's input, weight and output."""
    return (w.batch, w.channels, *w.size), (w.filters, w.channels // w.groups, *w.kernel), (w.batch, w.filters, *w.out)


def taps(w: Window) -> Iterator[tuple[int, int, slice, slice]]:
    """Each tap (i, j), and which rows and columns of the padded input it meets, over all outputs."""
    (height, width), (down, along) = w.out, w.stride
    for i in range(w.kernel[0]):
        for j in range(w.kernel[1]):
            y, x = i * w.dilation[0], j * w.dilation[1]
            yield i, j, slice(y, y + (height - 1) * down + 1, down), slice(x, x + (width - 1) * along + 1, along)


def _padded(w: Window, x: Array, border: float = 0.0) -> Array:
    (p, q) = w.padding
    return np.pad(x, ((0, 0), (0, 0), (p, p), (q, q)), constant_values=border)


def _convolved(kernel: Conv | ConvInput | ConvWeight, operands: Sequence[Array]) -> Array:
    w = kernel.window
    x, weight, grad = (np.zeros(shape) for shape in _shapes(w))
    if not isinstance(kernel, ConvInput):
        x = _read(operands, kernel.input, x.shape)
    if not isinstance(kernel, ConvWeight):
        weight = _read(operands, kernel.weight, weight.shape)
    if not isinstance(kernel, Conv):
        grad = _read(operands, kernel.grad, grad.shape)
    x = _padded(w, x)
    for g in range(w.groups):
        c, f = (slice(g * n // w.groups, (g + 1) * n // w.groups) for n in (w.channels, w.filters))
        for i, j, rows, columns in taps(w):
            match kernel:
                case Conv():
                    grad[:, f] += np.einsum("nchw,fc->nfhw", x[:, c, rows, columns], weight[f, :, i, j])
                case ConvInput():
                    x[:, c, rows, columns] += np.einsum("nfhw,fc->nchw", grad[:, f], weight[f, :, i, j])
                case ConvWeight():
                    weight[f, :, i, j] += np.einsum("nfhw,nchw->fc", grad[:, f], x[:, c, rows, columns])
    if isinstance(kernel, ConvInput):
        (p, q), (height, width) = w.padding, w.size
        return x[:, :, p : p + height, q : q + width]
    return grad if isinstance(kernel, Conv) else weight


def _maxima(kernel: MaxPool, operands: Sequence[Array]) -> tuple[Array, Array]:
    w = kernel.window
    x = _read(operands, kernel.input, (w.batch, w.channels, *w.size))
    index = np.broadcast_to(np.arange(w.size[0] * w.size[1]).reshape(w.size), x.shape)
    x, index = _padded(w, x, -np.inf), _padded(w, index, -1)
    best = np.full((w.batch, w.channels, *w.out), -np.inf)
    place = np.full(best.shape, -1)
    for _, _, rows, columns in taps(w):
        pixel, here = x[:, :, rows, columns], index[:, :, rows, columns]
        # Where all are minus infinity, it is the first pixel that is one.
        wins = (here >= 0) & ((pixel > best) | np.isnan(pixel) | (place < 0))
        best, place = np.where(wins, pixel, best), np.where(wins, here, place)
    return best, place


def _chosen(kernel: MaxPoolInput, operands: Sequence[Array]) -> Array:
    outputs = (kernel.batch, kernel.channels, kernel.out[0] * kernel.out[1])
    grad = _read(operands, kernel.grad, (*outputs[:2], *kernel.out)).reshape(outputs)
    places = _read(operands, kernel.places, (*outputs[:2], *kernel.out)).reshape(outputs)
    sums = np.zeros((*outputs[:2], kernel.size[0] * kernel.size[1]))
    for n, c in np.ndindex(outputs[:2]):
        np.add.at(sums[n, c], places[n, c], grad[n, c])
    return sums.reshape(*outputs[:2], *kernel.size)


def _added(kernel: Scatter, operands: Sequence[Array]) -> Array:
    k = kernel
    indices = _read(operands, k.indices, (*k.batch, k.picks))
    values = _read(operands, k.values, (*k.batch, k.picks, k.width))
    indices = np.where(indices < 0, indices + k.rows, indices)
    live = (indices >= 0) & (indices < k.rows)
    if k.skip is not None:
        live &= indices != k.skip % max(k.rows, 1)
    sums = np.zeros((*k.batch, k.rows, k.width))
    for b in np.ndindex(k.batch):
        np.add.at(sums[b], indices[b][live[b]], values[b][live[b]])
    return sums
