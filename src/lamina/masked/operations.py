"""Reductions and normalisations over the elements where `mask` is True; without a mask, over all.

An element that is masked out counts as the operation's identity (0 for a sum, -inf for a maximum), and its gradient is 0.
Not here: the operations themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lamina
from lamina import Tensor

_SUMS = ("sum", "cumsum")
_PRODUCTS = ("prod", "cumprod")
_LARGEST = ("amax", "argmax", "logaddexp", "logsumexp", "softmax", "log_softmax")
_LEAST = ("amin", "argmin", "softmin")


def _canonical_dim(dim: Any, ndim: int) -> tuple[int, ...]:
    """`dim` as sorted non-negative dimensions. Raises IndexError out of range, RuntimeError for one that is twice there."""
    if dim is None or (isinstance(dim, (tuple, list)) and len(dim) == 0):
        return tuple(range(ndim))
    dims = []
    rank = max(ndim, 1)
    for d in (dim,) if isinstance(dim, int) else dim:
        if d in dims:
            raise RuntimeError(f"dim={d} appears multiple times in the list of dims")
        if not -rank <= d < rank:
            raise IndexError(f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], but got {d})")
        dims.append(d % rank)
    return tuple(sorted(dims))


def _reduction_identity(op_name: str, input: Tensor, *args: Any) -> Tensor | None:
    """What does not count in the operation, as a tensor of `input`'s dtype; None where there is nothing of the kind."""
    dtype = input.dtype
    value: float
    if op_name in _SUMS:
        value = 0
    elif op_name in _PRODUCTS:
        value = 1
    elif op_name in _LARGEST:
        value = -lamina.inf if dtype.is_floating_point else lamina.iinfo(dtype).min
    elif op_name in _LEAST:
        value = lamina.inf if dtype.is_floating_point else lamina.iinfo(dtype).max
    elif op_name == "median":
        value = lamina.nan
        dtype = dtype if dtype.is_floating_point else lamina.float32
    elif op_name == "norm":
        value = lamina.inf if args and args[0] == -lamina.inf else 0
    elif op_name in ("mean", "var", "std"):
        return None
    else:
        raise NotImplementedError(f"identity of {op_name} on {dtype} input")
    return lamina.tensor(value, dtype=dtype, device=input.device)


def _input_mask(input: Tensor, *args: Any, mask: Tensor | None = None, **kwargs: Any) -> Tensor:
    """`mask` as bool of `input`'s shape. Raises ValueError without one, IndexError where it has more dimensions."""
    if mask is None:
        raise ValueError("_input_mask requires explicit mask")
    if mask.dim() > input.dim():
        raise IndexError("_input_mask expected broadcastable mask (got mask dimensionality higher than of the input)")
    mask = mask if mask.shape == input.shape else lamina.broadcast_to(mask.clone(), input.shape)
    return mask if mask.dtype == lamina.bool else mask.bool()


def _output_mask(op: Callable[..., Any], input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Where the result of `op` holds something: a reduction, where any element is selected."""
    name = op.__name__
    inside = _input_mask(input, *args, **kwargs)
    if name in ("softmax", "log_softmax", "softmin", "normalize", "cumsum", "cumprod"):
        return inside
    dim = args[1] if name == "norm" and len(args) > 1 else args[0] if name != "norm" and args else kwargs.get("dim")
    if name == "median" and dim is None:
        dim = -1
    return lamina.any(inside, _canonical_dim(dim, input.ndim), keepdim=bool(kwargs.get("keepdim")))


def _combine_input_and_mask(op: Callable[..., Any], input: Tensor, mask: Tensor | None, *args: Any) -> Tensor:
    """`input` with the identity of `op` where `mask` is False."""
    return _filled(op.__name__, input, mask, *args)


def _filled(name: str, input: Tensor, mask: Tensor | None, *args: Any) -> Tensor:
    if mask is None:
        return input
    identity = _reduction_identity(name, input, *args)
    if identity is None:
        raise NotImplementedError(f"{name}: no element is neutral in it")
    return lamina.where(_input_mask(input, mask=mask), input, identity)


def _dtype(input: Tensor, dtype: Any, sums: bool = False) -> Any:
    if dtype is not None:
        return dtype
    whole = not (input.dtype.is_floating_point or input.dtype.is_complex)
    return lamina.int64 if sums and whole else input.dtype


def sum(
    input: Tensor, dim: Any = None, *, keepdim: bool | None = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The sum over `dim` (all, where it is None or ()). Integers are summed as int64; without elements it is 0."""
    dtype = _dtype(input, dtype, sums=True)
    dims = _canonical_dim(dim, input.ndim)
    return lamina.sum(_filled("sum", input, mask), dims, bool(keepdim), dtype=dtype)


def prod(
    input: Tensor, dim: Any = None, *, keepdim: bool | None = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The product over `dim`; without elements it is 1."""
    dtype = _dtype(input, dtype, sums=True)
    result = _filled("prod", input, mask)
    for d in reversed(_canonical_dim(dim, input.ndim)):
        result = result.prod(dim=d, keepdim=bool(keepdim))
    return result.to(dtype)


def cumsum(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """Running sums along `dim`."""
    dtype = _dtype(input, dtype, sums=True)
    (d,) = _canonical_dim(dim, input.ndim)
    return lamina.cumsum(_filled("cumsum", input, mask), d, dtype=dtype).to(dtype)


def cumprod(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """Running products along `dim`."""
    dtype = _dtype(input, dtype, sums=True)
    (d,) = _canonical_dim(dim, input.ndim)
    return lamina.cumprod(_filled("cumprod", input, mask), d, dtype=dtype).to(dtype)


def _extreme(name: str, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def reduction(
        input: Tensor, dim: Any = None, *, keepdim: bool | None = False, dtype: Any = None, mask: Tensor | None = None
    ) -> Tensor:
        filled = _filled(name, input, mask)
        dims = _canonical_dim(dim, input.ndim)
        return function(filled, dims, bool(keepdim)).to(_dtype(input, dtype))

    reduction.__name__ = reduction.__qualname__ = name
    reduction.__doc__ = f"`{name}` over `dim`; the identity of the operation where no element is selected."
    return reduction


def _place(name: str, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def reduction(
        input: Tensor, dim: int | None = None, *, keepdim: bool | None = False, dtype: Any = None, mask: Tensor | None = None
    ) -> Tensor:  # fmt: skip
        return function(_filled(name, input, mask), dim, bool(keepdim)).to(_dtype(input, dtype))

    reduction.__name__ = reduction.__qualname__ = name
    reduction.__doc__ = (
        f"`{name}` over `dim` (all, where it is None) among the selected elements, in the dtype of `input`."
    )
    return reduction


amax, amin = _extreme("amax", lamina.amax), _extreme("amin", lamina.amin)
argmax, argmin = _place("argmax", lamina.argmax), _place("argmin", lamina.argmin)


def _floating(name: str, dtype: Any) -> None:
    if not (dtype.is_floating_point or dtype.is_complex):
        raise ValueError(
            f"{name}(): Could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: {dtype}"
        )


def _count(input: Tensor, dims: tuple[int, ...], mask: Tensor | None, dtype: Any) -> Tensor:
    """How many elements are selected along `dims`, which stay."""
    if mask is None:
        return sum(lamina.ones(input.shape, dtype=lamina.int64, device=input.device), dims, keepdim=True).to(dtype)
    return sum(_input_mask(input, mask=mask).to(lamina.int64), dims, keepdim=True).to(dtype)


def mean(
    input: Tensor, dim: Any = None, *, keepdim: bool | None = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The mean over `dim`; NaN where no element is selected. Raises ValueError for integers without `dtype`."""
    given, dtype = dtype, _dtype(input, dtype)
    if given is None:
        _floating("mean", dtype)
    dims = _canonical_dim(dim, input.ndim)
    if mask is None:
        return lamina.mean(input, dims, bool(keepdim), dtype=dtype)
    total = sum(input, dims, keepdim=True, dtype=dtype, mask=mask) / _count(input, dims, mask, dtype)
    return total if keepdim or not dims else total.squeeze(dims)


def median(
    input: Tensor, dim: int = -1, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The median along `dim`; NaN where no element is selected, which integers refuse by ValueError."""
    (d,) = _canonical_dim(dim, input.ndim)
    dtype = _dtype(input, dtype)
    if mask is None:
        return lamina.median(input, d, keepdim).values.to(dtype)
    whole = not input.is_floating_point()
    if whole and not _input_mask(input, mask=mask).any(d).all():
        raise ValueError("masked median expects no fully masked out rows if dtype is not floating point")
    filled = _filled("median", input.float() if whole else input, mask)
    return lamina.nanmedian(filled, d, keepdim).values.to(dtype)


def logsumexp(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """log(sum(exp(input))) over `dim`."""
    filled = _filled("logsumexp", input, mask)
    return lamina.logsumexp(filled, _canonical_dim(dim, input.ndim), keepdim=keepdim).to(_dtype(input, dtype))


def logaddexp(
    input: Tensor, other: Tensor, *, dtype: Any = None, input_mask: Tensor | None = None, other_mask: Tensor | None = None
) -> Tensor:  # fmt: skip
    """log(exp(input) + exp(other)), each with a mask of its own."""
    pair = _filled("logaddexp", input, input_mask), _filled("logaddexp", other, other_mask)
    return lamina.logaddexp(*pair).to(_dtype(input, dtype))


def norm(
    input: Tensor, ord: float | None = 2.0, dim: Any = None, *, keepdim: bool | None = False, dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The vector norm of order `ord` over `dim`."""
    filled = _filled("norm", input, mask, ord)
    dims = _canonical_dim(dim, input.ndim)
    return lamina.linalg.vector_norm(filled, ord, dims, bool(keepdim), dtype=_dtype(input, dtype))


def var(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, *, correction: float | None = None, keepdim: bool | None = False,
    dtype: Any = None, mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The variance over `dim`; the number of elements is lessened by `correction` (1), or by `unbiased`."""
    return _spread(input, dim, unbiased, correction, keepdim, dtype, mask, root=False)


def std(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, *, correction: float | None = None, keepdim: bool | None = False,
    dtype: Any = None, mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The standard deviation over `dim`: the root of `var`."""
    return _spread(input, dim, unbiased, correction, keepdim, dtype, mask, root=True)


def _spread(
    input: Tensor, dim: Any, unbiased: bool | None, correction: float | None, keepdim: bool | None, dtype: Any,
    mask: Tensor | None, *, root: bool,
) -> Tensor:  # fmt: skip
    if unbiased is not None and correction is not None:
        raise RuntimeError("Only one of unbiased and correction may be given")
    less = 1.0 if unbiased is None else float(unbiased)
    less = less if correction is None else float(correction)
    dtype = _dtype(input, dtype)
    if not (dtype.is_floating_point or dtype.is_complex):
        dtype = lamina.float32
    dims = _canonical_dim(dim, input.ndim)
    count = _count(input, dims, mask, dtype)
    centre = sum(input, dims, keepdim=True, dtype=dtype, mask=mask) / count
    away = input - centre
    squares = sum(away * away.conj(), dims, keepdim=bool(keepdim), dtype=dtype, mask=mask)
    if not keepdim and dims:
        count = count.reshape(squares.shape)
    if less != 0:
        count = lamina.maximum(count - less, count.new_zeros([]))
    result = (squares / count).to(dtype)
    return lamina.sqrt(result) if root else result


def softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """exp(input) over its sum along `dim`; NaN where no element is selected."""
    return lamina.nn.functional.softmax(_filled("softmax", input, mask), _one(dim, input), dtype=_dtype(input, dtype))


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """The logarithm of `softmax`."""
    filled = _filled("log_softmax", input, mask)
    return lamina.nn.functional.log_softmax(filled, _one(dim, input), dtype=_dtype(input, dtype))


def softmin(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """`softmax` of -input."""
    return lamina.nn.functional.softmin(_filled("softmin", input, mask), _one(dim, input), dtype=_dtype(input, dtype))


def normalize(
    input: Tensor, ord: float, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """`input` over its norm of order `ord` along `dim`, at least `eps`; 0 where it is masked out."""
    dtype = _dtype(input, dtype)
    length = norm(input, ord, _one(dim, input), keepdim=True, dtype=dtype, mask=mask)
    floor = lamina.maximum(length, length.new_full(length.shape, eps))
    return (_filled("sum", input, mask) / floor).to(dtype)


def _one(dim: int, input: Tensor) -> int:
    (d,) = _canonical_dim(dim, input.ndim)
    return d
