"""What the passes hand to `emit`: kernels, as data. One kernel is one native function over operands in memory.

Every kernel is a frozen value: equal kernels are one function, wherever in a step they stand, and their text is what the cache of
objects is keyed by. A kernel names its operands by position; which buffer stands there is the launch's affair (plan.py). Shapes and
strides are fixed. Here: these forms and what is computed from them alone. Not here: how they become LLVM IR (emit/), how they run
(runtime/), how a graph becomes kernels (passes/).

The function of a kernel, in C's terms: `void k(char **operands, char *scratch, int64_t lo, int64_t hi)` does units lo..hi-1 of the
kernel's `units`. Units are independent of each other and their number follows from the problem alone, never from the number of
threads: so the result has the same bits however they are spread. `scratch` is memory of the calling thread, of the size that the
kernel asks for, and of undefined content.
"""

from __future__ import annotations

from typing import Any, NamedTuple

SIZES = {
    "bool": 1, "uint8": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8,
    "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8,
}  # fmt: skip
"""Bytes of an element, by name of the dtype; what is not here has no native kernels."""


class NotNative(Exception):
    """This has no native form: the call stays in NumPy."""


class Access(NamedTuple):
    """How an operand is walked: the address of its element is base + sum(index[d] * strides[d]) elements."""

    operand: int
    strides: tuple[int, ...]  # in elements, one for each dimension of the iteration space; 0: broadcast
    dtype: str  # as stored: float16 and bfloat16 are widened when loaded, narrowed (to nearest even) when stored


class Inst(NamedTuple):
    """One scalar instruction of a loop's body. `args` are positions of earlier instructions."""

    op: str
    args: tuple[int, ...]
    dtype: str  # of the result: "bool", an integer, "float32" or "float64"
    data: Any = None


class Loop(NamedTuple):
    """A loop nest over `dims`. The first `keep` dimensions are kept, the others are reduced: together they make a "row".

    The body is straight-line code on scalars, executed for each index. Instructions, beside those of SCALAR_OPS:
      load     data: Access                        gather   data: (Access, strides): args are integers that, times these strides (in
      const    data: a Python number                        elements), are added to the address
      index    data: d: the index along dimension d
      store    data: Access; args: (value,)
      sum, prod, max, min, argmax, argmin, any, all: over all reduced dimensions of the row; the result depends on kept dimensions only
               and may be used by later instructions at every element of the row. max and min hand on NaN; argmax and argmin give the
               row-major position of the first greatest (least) in the row, of the first NaN where there is one. Sums of
               floats are accumulated in the instruction's dtype, in an order that depends on the dims alone.
    A store whose value (and Access) does not depend on the reduced dimensions is made once for each row. A value that depends on
    reductions is computed after them: the emitter splits the row into as many passes as that takes.
    Rows are independent: no store aliases what another row loads, except at the same address (in place), and except along dimensions
    that are `carried`: there a row goes on with what the row before it stored.
    """

    dims: tuple[int, ...]
    keep: int
    body: tuple[Inst, ...]


def carried(loop: Loop) -> frozenset[int]:
    """The kept dimensions along which the same elements are loaded and stored again and again: their indices come in order, one
    after the other, in one unit.
    """
    loaded = {inst.data for inst in loop.body if inst.op == "load"}
    again = [inst.data for inst in loop.body if inst.op == "store" and inst.data in loaded]
    kept = loop.dims[: loop.keep]
    return frozenset(d for d, n in enumerate(kept) if n > 1 and any(not access.strides[d] for access in again))


class Matmul(NamedTuple):
    """Matrix products over a batch, with an epilogue: for each b in `batch`: P[b] = A[b] (m x k) @ B[b] (k x n); then `body`.

    The body is a Loop's without reductions, over dims (*batch, m, n); its first instruction is Inst("product", (), dtype), P's
    element. It ends in at least one store.
    """

    batch: tuple[int, ...]
    m: int
    n: int
    k: int
    a: Access  # strides over (*batch, m, k)
    b: Access  # strides over (*batch, k, n)
    body: tuple[Inst, ...]


class Window(NamedTuple):
    """How a 2d convolution goes over its images; 1d is of height one.

    Output pixel (y, x) and tap (i, j) meet at input pixel (y * stride + i * dilation - padding, likewise x), zero outside of the image.
    """

    batch: int
    channels: int  # of the input
    filters: int  # channels of the output
    groups: int
    size: tuple[int, int]  # height and width of the input
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    @property
    def out(self) -> tuple[int, int]:
        """Height and width of the output."""
        parts = zip(self.size, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        height, width = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in parts)
        return height, width


class Conv(NamedTuple):
    """A convolution and its epilogue, as a Matmul's: P[n, f, y, x] = the sum over the filter's channels and taps of input * weight."""

    window: Window
    input: Access  # strides over (batch, channels, height, width)
    weight: Access  # strides over (filters, channels / groups, *kernel)
    body: tuple[Inst, ...]  # over (batch, filters, *window.out)


class ConvInput(NamedTuple):
    """The gradient of a convolution's input: P[n, c, h, w], the sum over the outputs that the pixel went into."""

    window: Window
    grad: Access  # strides over (batch, filters, *window.out)
    weight: Access
    body: tuple[Inst, ...]  # over (batch, channels, *window.size)


class ConvWeight(NamedTuple):
    """The gradient of a convolution's weight: P[f, c, i, j], the sum over images and output pixels of grad * input."""

    window: Window
    grad: Access
    input: Access
    body: tuple[Inst, ...]  # over (filters, channels / groups, *kernel)


class MaxPool(NamedTuple):
    """The greatest pixel of each window of each channel; `window` as a Conv's, with as many filters and groups as channels.

    In the body Inst("product", ..) is the pixel, Inst("place", (), "int64") where in its channel's image it stands (row-major), as
    PyTorch gives it: the first of equals, the last NaN. Pixels outside of the image never win.
    """

    window: Window
    input: Access  # strides over (batch, channels, height, width)
    body: tuple[Inst, ...]  # over (batch, channels, *window.out)


class MaxPoolInput(NamedTuple):
    """The gradient of a maximum's input: P[n, c, h, w], the sum of the gradients of the windows that the pixel was chosen in."""

    batch: int
    channels: int
    size: tuple[int, int]
    out: tuple[int, int]
    grad: Access  # strides over (batch, channels, *out)
    places: Access  # int64: where in the channel's image
    body: tuple[Inst, ...]  # over (batch, channels, *size)


class Scatter(NamedTuple):
    """Rows added up by index: P[b, r] = the sum of the rows values[b, i], in order of i, whose indices[b, i] is r; then the body.

    Negative indices count from the end; rows that an index beyond the range stands for, or `skip`, are left out.
    """

    batch: tuple[int, ...]
    rows: int
    width: int
    picks: int
    indices: Access  # an integer's strides over (*batch, picks)
    values: Access  # strides over (*batch, picks, width)
    body: tuple[Inst, ...]  # over (*batch, rows, width)
    skip: int | None = None


SCALAR_OPS = {
    # arithmetic; arguments and result have one dtype
    "add": 2, "sub": 2, "mul": 2, "div": 2, "floor_div": 2, "trunc_div": 2, "mod": 2, "fmod": 2, "pow": 2, "atan2": 2, "maximum": 2,
    "minimum": 2, "copysign": 2, "fma": 3, "neg": 1, "abs": 1, "sign": 1, "sqrt": 1, "rsqrt": 1, "reciprocal": 1, "floor": 1, "ceil": 1, "round": 1,
    "trunc": 1, "exp": 1, "exp2": 1, "expm1": 1, "log": 1, "log2": 1, "log10": 1, "log1p": 1, "sin": 1, "cos": 1, "tan": 1, "asin": 1,
    "acos": 1, "atan": 1, "sinh": 1, "cosh": 1, "tanh": 1, "asinh": 1, "acosh": 1, "atanh": 1, "sigmoid": 1, "erf": 1, "erfc": 1,
    # integers and bool
    "and": 2, "or": 2, "xor": 2, "not": 1, "shl": 2, "shr": 2,
    # comparisons: bool of two of one dtype; tests of a float
    "eq": 2, "ne": 2, "lt": 2, "le": 2, "gt": 2, "ge": 2, "isnan": 1, "isinf": 1, "isfinite": 1,
    # (bool, x, y); to the instruction's dtype, as NumPy's astype (float to integer towards zero)
    "select": 3, "cast": 1,
}  # fmt: skip
"""The scalar instructions and how many arguments they take. maximum and minimum hand on NaN; floor_div and mod round to minus
infinity as Python's; round is to nearest even. Transcendental functions are within 2 ulp."""

REDUCTIONS = frozenset(("sum", "prod", "max", "min", "argmax", "argmin", "any", "all"))
