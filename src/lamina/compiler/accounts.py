"""What a kernel does: how many operations, how many bytes. For `explain`; the choices of the back end are made by costs.py.

An operation of a loop's body counts once for each element it is computed at, a multiply-add of a product or convolution as two; loads,
stores, casts and choices are none. Of an operand those bytes count that the kernel looks at, each once, whatever a cache makes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

from lamina.compiler.kernels import (
    REDUCTIONS,
    SIZES,
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
)

_FREE = frozenset(("select", "cast", "and", "or", "xor", "not", "eq", "ne", "lt", "le", "gt", "ge"))
_NO_OPERATION = frozenset(("load", "gather", "store", "const", "index", "product", "place"))


class Account(NamedTuple):
    """Operations, bytes read, bytes written."""

    flops: int
    read: int
    written: int


def account(kernel: Any, sizes: Sequence[int]) -> Account:
    """What one run of `kernel` does. sizes: for each operand, the bytes there are from its address on."""
    dims, keep, own, operands = _parts(kernel)
    flops = own + _flops(kernel.body, dims, keep)
    looks = {(access, shape) for access, shape in operands}
    written: set[tuple[Access, tuple[int, ...]]] = set()
    for inst in kernel.body:
        if inst.op in ("load", "gather"):
            looks.add((inst.data if inst.op == "load" else inst.data[0], dims))
        elif inst.op == "store":
            written.add((inst.data, dims))
    return Account(flops, _bytes(looks, sizes), _bytes(written, sizes))


def _parts(kernel: Any) -> tuple[tuple[int, ...], int, int, list[tuple[Access, tuple[int, ...]]]]:
    """The dimensions of a kernel's body, how many are kept, its own operations, and its own operands with their shapes."""
    match kernel:
        case Loop():
            return kernel.dims, kernel.keep, 0, []
        case Matmul(batch, m, n, k):
            return (*batch, m, n), len(batch) + 2, 2 * prod(batch) * m * n * k, [
                (kernel.a, (*batch, m, k)), (kernel.b, (*batch, k, n)),
            ]  # fmt: skip
        case Conv() | ConvInput() | ConvWeight():
            w = kernel.window
            image, result = (w.batch, w.channels, *w.size), (w.batch, w.filters, *w.out)
            weight = (w.filters, w.channels // w.groups, *w.kernel)
            flops = 2 * prod(result) * prod(weight[1:])
            if isinstance(kernel, Conv):
                return result, 4, flops, [(kernel.input, image), (kernel.weight, weight)]
            if isinstance(kernel, ConvInput):
                return image, 4, flops, [(kernel.grad, result), (kernel.weight, weight)]
            return weight, 4, flops, [(kernel.grad, result), (kernel.input, image)]
        case MaxPool():
            w = kernel.window
            result = (w.batch, w.channels, *w.out)
            return result, 4, prod(result) * prod(w.kernel), [(kernel.input, (w.batch, w.channels, *w.size))]
        case MaxPoolInput():
            result = (kernel.batch, kernel.channels, *kernel.out)
            return (*result[:2], *kernel.size), 4, prod(result), [(kernel.grad, result), (kernel.places, result)]
        case Scatter():
            rows = (*kernel.batch, kernel.picks)
            looks = [(kernel.indices, rows), (kernel.values, (*rows, kernel.width))]
            return (*kernel.batch, kernel.rows, kernel.width), len(rows) + 1, prod(rows) * kernel.width, looks
        case _:
            raise NotImplementedError(f"what a {type(kernel).__name__} does is not counted here")


def _flops(body: Sequence[Inst], dims: Sequence[int], keep: int) -> int:
    """The operations of a body: in a reducing loop, those on what a row gave are done once for each row."""
    rows, elements = prod(dims[:keep]), prod(dims)
    each: list[bool] = []  # whether an instruction is another one at each element of a row
    flops = 0
    for inst in body:
        if inst.op == "load":
            varies = any(inst.data.strides[keep:])
        elif inst.op == "index":
            varies = inst.data >= keep
        else:
            varies = inst.op not in REDUCTIONS and any(each[a] for a in inst.args)
        each.append(varies)
        if inst.op not in _NO_OPERATION and inst.op not in _FREE:
            flops += elements if varies or inst.op in REDUCTIONS else rows
    return flops


def _bytes(looks: set[tuple[Access, tuple[int, ...]]], sizes: Sequence[int]) -> int:
    total: dict[int, int] = {}
    for access, shape in looks:
        count = prod(n for n, stride in zip(shape, access.strides, strict=True) if stride)
        seen = min(count * SIZES[access.dtype], sizes[access.operand])
        total[access.operand] = max(total.get(access.operand, 0), seen)
    return sum(total.values())
