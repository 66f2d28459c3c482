"""How each primitive of lamina's is said in PyTorch: a function of the same arguments and parameters.

`form(name)` is one of FORMS, or PyTorch's function of the same name. What only gradients use (slopes, adjoints) is said as the gradient
of what it belongs to. Here: spelling. Not here: samples (tests/primitives), comparing (test_primitives_oracle.py).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

Form = Callable[..., Any]
MODULES = (
    (torch, ""),
    (torch.special, "special_"),
    (torch.linalg, "linalg_"),
    (F, ""),
    (torch._C._nn, ""),
    (torch.Tensor, ""),
)


def form(name: str) -> Form | None:
    if "." in name:
        return functools.reduce(getattr, name.removeprefix("torch.").split("."), torch)
    found = FORMS.get(name)
    if found is not None:
        return found
    for module, prefix in MODULES:
        if name.startswith(prefix) and hasattr(module, name[len(prefix) :]):
            return _same_name(getattr(module, name[len(prefix) :]))
    return None


def _same_name(function: Form) -> Form:
    def call(*args: Any, **params: Any) -> Any:
        return function(*args, **{"dim" if k == "dims" else k: v for k, v in params.items() if v is not None})

    return call


def adjoint(function: Form) -> Form:
    """The gradient of a linear function of something of `shape`, for a cotangent."""

    def call(g: Any, *rest: Any, shape: Any, **params: Any) -> Any:
        x = torch.zeros(tuple(shape), dtype=g.dtype, requires_grad=True)
        return torch.autograd.grad(function(x, *rest, **params), x, g)[0]

    return call


def slope(function: Form, by: int = 0) -> Form:
    """The derivative of an elementwise function."""

    def call(*args: Any, **params: Any) -> Any:
        given = [a.clone().requires_grad_(i == by) for i, a in enumerate(args)]
        return torch.autograd.grad(function(*given, **params).sum(), given[by])[0]

    return call


def at_dim(function: Form) -> Form:
    """x, the rest; dim stands between them in PyTorch's."""

    def call(x: Any, *rest: Any, dim: int, **params: Any) -> Any:
        return function(x, dim, *rest, **params)

    return call


# ---- dimensions one after another ------------------------------------------------------------------------------------


def each_dim(function: Form) -> Form:
    """A reduction that PyTorch has for one dimension only, over several."""

    def call(x: Any, *, dims: tuple[int, ...], keepdim: bool) -> Any:
        for d in sorted(dims, reverse=True):
            x = function(x, dim=d, keepdim=keepdim)
        return x

    return call


def backward_along(function: Form) -> Form:
    """A scan, from the end where `reverse`."""

    def call(x: Any, *, dim: int, reverse: bool) -> Any:
        return function(x.flip(dim), dim).flip(dim) if reverse else function(x, dim)

    return call


def moved_by_one(x: Any, *, dim: int, reverse: bool, fill: float) -> Any:
    edge = torch.full_like(x.narrow(dim, 0, 1), fill)
    n = x.shape[dim] - 1
    return torch.cat([x.narrow(dim, 1, n), edge], dim) if reverse else torch.cat([edge, x.narrow(dim, 0, n)], dim)


def linear_recurrence(b: Any, a: Any, *, dim: int, reverse: bool) -> Any:
    """y[i] = a[i] * y[i - 1] + b[i]."""
    order = range(b.shape[dim])[:: -1 if reverse else 1]
    rows, y = {}, torch.zeros_like(b.select(dim, 0))
    for i in order:
        y = rows[i] = a.select(dim, i) * y + b.select(dim, i)
    return torch.stack([rows[i] for i in range(len(rows))], dim)


# ---- indices ---------------------------------------------------------------------------------------------------------


def key(indices: Any, at: tuple[int, ...]) -> Any:
    by = dict(zip(at, indices, strict=True))
    return tuple(by.get(d, slice(None)) for d in range(max(at) + 1))


def index_put(x: Any, values: Any, *indices: Any, at: tuple[int, ...], accumulate: bool) -> Any:
    by = dict(zip(at, indices, strict=True))
    return torch.ops.aten.index_put(x, [by.get(d) for d in range(max(at) + 1)], values, accumulate)


def embedding_backward(g: Any, index: Any, *, rows: int, padding_idx: int, scale_grad_by_freq: bool) -> Any:
    return torch.ops.aten.embedding_dense_backward(g, index, rows, padding_idx, scale_grad_by_freq)


def picked(x: Any, index: Any) -> Any:
    """x (N, C, M) at index (N, P); 0 where that is negative."""
    where = index.clamp(min=0)[:, None].expand(-1, x.shape[1], -1)
    return torch.where(index[:, None] >= 0, x.gather(2, where), 0.0)


def places_of_pool(function: Form) -> Form:
    """Values at flat places of images: what a max pool takes."""

    def call(x: Any, places: Any) -> Any:
        dims = places.dim() - 2
        return x.flatten(-dims).gather(-1, places.flatten(-dims)).reshape(places.shape)

    return call


def into_places(g: Any, places: Any, *, shape: tuple[int, ...], disjoint: bool) -> Any:
    dims = places.dim() - 2
    flat = torch.zeros(*shape[:-dims], math.prod(shape[-dims:]), dtype=g.dtype)
    return flat.scatter_add(-1, places.flatten(-dims), g.flatten(-dims)).reshape(shape)


def in_memory(function: Form) -> Form:
    """x laid as `like` in memory of zeros, and that memory."""

    def call(x: Any, *rest: Any, like: Any, **params: Any) -> Any:
        shape, stride, start, total = (*like, 0, None)[:4] if len(like) == 2 else like
        memory = torch.zeros(total if total is not None else math.prod(shape), dtype=x.dtype)
        return function(x, memory, memory.as_strided(shape, stride, start), *rest, **params)

    return call


@in_memory
def strided_taken(x: Any, memory: Any, laid: Any, *, size: Any, stride: Any, offset: int) -> Any:
    laid.copy_(x)
    return memory.as_strided(size, stride, offset).clone()


@in_memory
def strided_adjoint(g: Any, memory: Any, laid: Any, *, size: Any, stride: Any, offset: int) -> Any:
    for place in np.ndindex(*size):
        memory[offset + sum(i * s for i, s in zip(place, stride, strict=True))] += g[place]
    return laid.clone()


@in_memory
def strided_scatter(x: Any, memory: Any, laid: Any, src: Any, *, size: Any, stride: Any, offset: int) -> Any:
    return torch.as_strided_scatter(x, src, size, stride, offset)


@in_memory
def take_slice(x: Any, memory: Any, laid: Any, *, geometry: Any) -> Any:
    laid.copy_(x)
    return memory.as_strided(*geometry).clone()


@in_memory
def clear_slice(x: Any, memory: Any, laid: Any, *, geometry: Any) -> Any:
    laid.copy_(x)
    memory.as_strided(*geometry).zero_()
    return laid.clone()


@in_memory
def put_slice(x: Any, memory: Any, laid: Any, *, geometry: Any) -> Any:
    memory.as_strided(*geometry).copy_(x)
    return laid.clone()


# ---- images ----------------------------------------------------------------------------------------------------------


def convolved(x: Any, w: Any, b: Any = None, *, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    return (F.conv1d, F.conv2d, F.conv3d)[x.dim() - 3](x, w, b, stride, padding, dilation, groups)


def conv_input(g: Any, w: Any, b: Any = None, *, shape: Any, **window: Any) -> Any:
    x = torch.zeros(shape, dtype=g.dtype, requires_grad=True)
    out = torch.autograd.grad(convolved(x, w, **window), x, g)[0]
    return out if b is None else out + b.reshape(-1, *(1,) * (x.dim() - 2))


def conv_weight(g: Any, x: Any, *, shape: Any, **window: Any) -> Any:
    w = torch.zeros(shape, dtype=g.dtype, requires_grad=True)
    return torch.autograd.grad(convolved(x, w, **window), w, g)[0]


def max_pool(x: Any, *, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, indices: bool) -> Any:
    pool = F.max_pool2d if len(kernel) == 2 else F.max_pool3d
    return pool(x, kernel, stride, padding, dilation, ceil_mode, return_indices=indices)


def avg_pool(
    x: Any, *, kernel: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool, divisor: Any
) -> Any:
    pool = F.avg_pool2d if len(kernel) == 2 else F.avg_pool3d
    return pool(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor)


def adaptive_avg_pool(x: Any, *, outputs: Any) -> Any:
    return (F.adaptive_avg_pool2d if len(outputs) == 2 else F.adaptive_avg_pool3d)(x, outputs)


def adaptive_max_pool(x: Any, *, outputs: Any) -> Any:
    return (F.adaptive_max_pool2d if len(outputs) == 2 else F.adaptive_max_pool3d)(x, outputs, return_indices=True)


def fractional_max_pool(x: Any, samples: Any, *, kernel: Any, outputs: Any) -> Any:
    pool = torch._C._nn.fractional_max_pool2d if len(kernel) == 2 else torch._C._nn.fractional_max_pool3d
    return pool(x, kernel, outputs, samples)


def max_unpool(x: Any, indices: Any, *, space: Any) -> Any:
    if len(space) == 2:
        return torch._C._nn.max_unpool2d(x, indices, space)
    return torch._C._nn.max_unpool3d(x, indices, space, [1, 1, 1], [0, 0, 0])


def columns(x: Any, *, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    return F.unfold(x, kernel, dilation, padding, stride)


def of_columns(x: Any, *, space: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    return F.fold(x, space, kernel, dilation, padding, stride)


def resized(name: str) -> Form:
    function = getattr(
        torch._C._nn, name.replace("nearest_exact", "_nearest_exact").replace("upsample__", "_upsample_")
    )
    smooth = "nearest" not in name

    def call(x: Any, *, outputs: Any, scales: Any, align_corners: bool = False) -> Any:
        return function(x, outputs, *((align_corners,) if smooth else ()), *scales)

    return call


def of_resized(name: str) -> Form:
    function = resized(name)

    def call(g: Any, *, inputs: Any, **options: Any) -> Any:
        x = torch.zeros(*g.shape[:2], *inputs, dtype=g.dtype, requires_grad=True)
        return torch.autograd.grad(function(x, outputs=g.shape[2:], **options), x, g)[0]

    return call


PADDINGS = ("zeros", "border", "reflection")


def grid_place(c: Any, *, size: int, padding: int, align_corners: bool) -> Any:
    """The pixel that a coordinate of a grid stands for: what a ramp looks like there."""
    place = (c + 1) / 2 * (size - 1) if align_corners else ((c + 1) * size - 1) / 2
    if padding == 0:
        return place
    ramp = torch.arange(float(size), dtype=c.dtype).reshape(1, 1, 1, size)
    grid = torch.stack([c, torch.zeros_like(c)], -1).reshape(1, 1, -1, 2)
    return F.grid_sample(ramp, grid, "bilinear", PADDINGS[padding], align_corners).reshape(c.shape)


def grid_index(*corners: Any, steps: Any, sizes: Any, padding: int, align_corners: bool) -> Any:
    """The flat pixel that bicubic sampling reads at some steps from a corner; -1 outside."""
    places = [c + step for c, step in zip(corners, steps, strict=True)]
    if padding:
        scaled = [
            (p * 2 / (n - 1) - 1) if align_corners else ((p * 2 + 1) / n - 1)
            for p, n in zip(places, sizes, strict=True)
        ]
        places = [
            grid_place(c, size=n, padding=padding, align_corners=align_corners).round()
            for c, n in zip(scaled, sizes, strict=True)
        ]
    inside = torch.stack([(p >= 0) & (p < n) for p, n in zip(places, sizes, strict=True)]).all(0)
    index = torch.zeros_like(places[0])
    for p, n in zip(places, sizes, strict=True):
        index = index * n + p
    return torch.where(inside, index, -1.0).long()


# ---- factorizations --------------------------------------------------------------------------------------------------


def solve(a: Any, b: Any, *, left: bool, vector: bool) -> Any:
    x, info = torch.linalg.solve_ex(a, b, left=left)
    return x, info


def cofactors(a: Any) -> Any:
    """The gradient of the determinant."""
    x = a.clone().requires_grad_()
    det = torch.linalg.det(x)
    return torch.autograd.grad(det, x, torch.ones_like(det))[0].conj()


def svd(a: Any, *, full: bool) -> Any:
    return torch.linalg.svd(a, full_matrices=full)


def lobpcg(a: Any, b: Any, x: Any, preconditioner: Any, *, k: int, niter: int, tol: float, largest: bool) -> Any:
    """All eigenvectors, and the first k."""
    w, v = torch.linalg.eigh(a)
    return (w.flip(-1)[..., :k], v.flip(-1)[..., :k]) if largest else (w[..., :k], v[..., :k])


def permutation_matrix(pivots: Any, *, m: int, dtype: Any) -> Any:
    return torch.lu_unpack(torch.zeros(m, m, dtype=torch.float64), pivots)[0]


def least_squares(a: Any, b: Any, *, rcond: float, driver: str, vector: bool) -> Any:
    return tuple(torch.linalg.lstsq(a, b, rcond=rcond, driver=driver))


# ---- composites ------------------------------------------------------------------------------------------------------


def batch_norm_training(x: Any, w: Any, b: Any, *, eps: float) -> Any:
    dims = [d for d in range(x.dim()) if d != 1]
    var, mean = torch.var_mean(x, dims, correction=0)
    return F.batch_norm(x, None, None, w, b, True, 0.0, eps), mean, 1 / (var + eps).sqrt(), var


def group_norm(x: Any, w: Any, b: Any, *, batch: int, channels: int, groups: int, eps: float) -> Any:
    return torch.native_group_norm(x, w, b, batch, channels, x[0, 0].numel(), groups, eps)


def layer_norm(x: Any, w: Any, b: Any, *, rank: int, eps: float) -> Any:
    return torch.native_layer_norm(x, x.shape[-rank:], w, b, eps)


def recurrent(function: Any) -> Any:
    """One direction of a layer: of the two that go by the same weights."""

    def form(
        x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, h0: Any, *more: Any, lengths: Any, reverse: bool
    ) -> Any:
        cell, projection = more or (None, None)
        state = tuple(torch.stack((s, s)) for s in (h0, cell) if s is not None)
        weights = [w for w in (w_ih, w_hh, b_ih, b_hh, projection) if w is not None] * 2
        packed = () if lengths is None else (torch.tensor(lengths),)
        hx = state if more else state[0]
        options = (b_ih is not None, 1, 0.0, False, True, *(() if packed else (False,)))
        out, *last = function(x, *packed, hx, weights, *options)
        return out.chunk(2, -1)[int(reverse)], *(s[int(reverse)] for s in last)

    return form


def plain_recurrent(*args: Any, relu: bool, **params: Any) -> Any:
    return recurrent(torch.rnn_relu if relu else torch.rnn_tanh)(*args, **params)


def ctc(
    log_probs: Any, labels: Any, start: Any, end: Any, skip: Any, last: Any, alive: Any, *, zero_infinity: bool
) -> Any:
    steps = alive.expand(alive.shape[0], len(labels), 1).sum(0).flatten()
    lengths = torch.full((len(labels),), (labels.shape[1] - 1) // 2)
    return F.ctc_loss(log_probs, labels[:, 1::2], steps, lengths, reduction="none", zero_infinity=zero_infinity)


def gelu(x: Any, *, keep: bool) -> Any:
    return F.gelu(x), torch.special.ndtr(x)


def _over_rows(function: Form) -> Form:
    def call(x: Any, target: Any, weight: Any, *, ignore_index: int, reduction: str) -> Any:
        return function(x, target, weight, ignore_index=ignore_index, reduction=reduction)

    return call


# ---- the table -------------------------------------------------------------------------------------------------------

FORMS: dict[str, Form] = {
    "add_scaled": lambda x, y, alpha: torch.add(x, y, alpha=alpha),
    "sub_scaled": lambda x, y, alpha: torch.sub(x, y, alpha=alpha),
    "addcdiv": lambda x, y, z, value: torch.addcdiv(x, y, z, value=value),
    "addcmul": lambda x, y, z, value: torch.addcmul(x, y, z, value=value),
    "alias": lambda x: x.clone(),
    "aminmax": lambda x, dims, keepdim: (torch.amin(x, dims, keepdim), torch.amax(x, dims, keepdim)),
    "as_strided": in_memory(lambda x, memory, laid, size, stride, offset: x.as_strided(size, stride, offset)),
    "as_strided_adjoint": strided_adjoint,
    "as_strided_scatter": strided_scatter,
    "as_strided_taken": strided_taken,
    "all": lambda x, dims, keepdim, of: torch.all(x, dims, keepdim),
    "any": lambda x, dims, keepdim, of: torch.any(x, dims, keepdim),
    "cat": lambda *xs, dim: torch.cat(xs, dim),
    "cdist": lambda x, y, p, by_product: torch.cdist(x, y, p, "donot_use_mm_for_euclid_dist"),
    "cholesky": lambda a, upper: torch.linalg.cholesky_ex(a, upper=upper),
    "clamp_above": lambda x, bound: torch.clamp(x, max=bound),
    "clamp_below": lambda x, bound: torch.clamp(x, min=bound),
    "clamp_numbers": torch.clamp,
    "clamp_tensors": torch.clamp,
    "clear_slice": clear_slice,
    "clone": lambda x, order: x.clone(),
    "cofactors": cofactors,
    "constant_pad_nd": lambda x, pad, value: F.pad(x, [n for pair in reversed(pad) for n in pair], value=value),
    "conv": convolved,
    "conv_bias": convolved,
    "conv_input": conv_input,
    "conv_input_bias": conv_input,
    "conv_weight": conv_weight,
    "copy": lambda x, source: source.expand(x.shape).clone(),
    "cumprod": backward_along(torch.cumprod),
    "cumsum": backward_along(torch.cumsum),
    "diagonal_adjoint": adjoint(torch.diagonal),
    "diagonal_scatter": lambda x, src, at: torch.diagonal_scatter(x, src, **at),
    "div_floor": lambda x, y: torch.div(x, y, rounding_mode="floor"),
    "div_trunc": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
    "dirichlet_grad": torch._dirichlet_grad,
    "embed": lambda g, shape, index: torch.zeros(shape, dtype=g.dtype).index_put_(tuple(map(torch.tensor, index)), g),
    "embedding": lambda x, index, padding_idx, scale_grad_by_freq: F.embedding(
        index, x, padding_idx if padding_idx >= 0 else None
    ),
    "embedding_dense_backward": embedding_backward,
    "fft_c2c": lambda x, dims, norm, forward: (torch.fft.fftn if forward else torch.fft.ifftn)(x, dim=dims, norm=norm),
    "fft_c2r": lambda x, dims, norm, n: torch.fft.irfftn(x, (*(x.shape[d] for d in dims[:-1]), n), dims, norm),
    "fft_r2c": lambda x, dims, norm, forward, onesided: (
        (torch.fft.rfftn if onesided else torch.fft.fftn)
        if forward
        else torch.fft.ihfftn
        if onesided
        else torch.fft.ifftn
    )(x, dim=dims, norm=norm),
    "flip": torch.flip,
    "gather": at_dim(torch.gather),
    "gather_adjoint": adjoint(at_dim(torch.gather)),
    "histc": lambda x, edges: torch.histc(x, len(edges) - 1, float(edges[0]), float(edges[-1])),
    "histogramdd": lambda x, *edges, even, weighted, density: torch.histogramdd(x, bins=edges, density=density).hist,
    "index": lambda x, *indices, at: x[key(indices, at)],
    "index_adjoint": adjoint(lambda x, *indices, at: x[key(indices, at)]),
    "index_put": index_put,
    **{
        name: at_dim(getattr(torch, name))
        for name in ("index_add", "index_copy", "index_fill", "index_select", "scatter", "scatter_add")
    },
    **{name: at_dim(getattr(torch, name)) for name in ("index_reduce", "scatter_reduce")},
    "index_select_adjoint": adjoint(at_dim(torch.index_select)),
    "invert": torch.bitwise_not,
    "lerp_number": torch.lerp,
    "lerp_tensor": torch.lerp,
    "linalg_cross": lambda x, y, dim: torch.linalg.cross(*torch.broadcast_tensors(x, y), dim=dim),
    "linalg_eigh": lambda a, uplo: tuple(torch.linalg.eigh(a, UPLO=uplo)),
    "linalg_lstsq": least_squares,
    "linalg_lu_solve": lambda lu, pivots, b, left, adjoined: torch.linalg.lu_solve(
        lu, pivots, b, left=left, adjoint=adjoined
    ),
    "linalg_matrix_rank": lambda a, atol, rtol, hermitian: torch.linalg.matrix_rank(
        a, atol=atol, rtol=rtol, hermitian=hermitian
    ),
    "linalg_pinv": lambda a, atol, rtol, hermitian: torch.linalg.pinv(a, atol=atol, rtol=rtol, hermitian=hermitian),
    "linalg_solve_ex": solve,
    "linalg_solve_triangular": lambda a, b, upper, left, unit: torch.linalg.solve_triangular(
        a, b, upper=upper, left=left, unitriangular=unit
    ),
    "linalg_svd": svd,
    "linalg_vector_norm": lambda x, p, dims, keepdim: torch.linalg.vector_norm(x, p, dims, keepdim),
    "lobpcg": lobpcg,
    "logit_clamped": torch.logit,
    "lu_unpack": lambda lu, pivots, data, order: torch.lu_unpack(lu, pivots, data, order),
    "masked_dropped": lambda x, mask: torch.where(mask, 0.0, x),
    "masked_kept": lambda x, mask: torch.where(mask, x, 0.0),
    "masked_scatter": lambda x, source, mask: torch.masked_scatter(x, mask, source),
    "masked_select_adjoint": adjoint(torch.masked_select),
    "max_all": torch.max,
    "max_dim": torch.max,
    "mean_all": torch.mean,
    "median_all": torch.median,
    "min_all": torch.min,
    "min_dim": torch.min,
    "nanmedian_all": torch.nanmedian,
    "nonzero_static": lambda x, size, fill: torch.nonzero_static(x, size=size, fill_value=fill),
    "normal_hazard": slope(torch.special.log_ndtr),
    "permutation_matrix": permutation_matrix,
    "permute": torch.permute,
    "polygamma": lambda x, n: torch.polygamma(n, x),
    "prelu_kernel": torch._prelu_kernel,
    "prod": each_dim(torch.prod),
    "prod_all": torch.prod,
    "put": lambda x, index, source, accumulate: torch.put(x, index, source, accumulate),
    "put_slice": put_slice,
    "affine": lambda z, x, w: F.linear(x, w, z),
    "mm_by_turned": lambda x, y: x @ y.T,
    "mm_of_turned": lambda x, y: x.T @ y,
    "recurrence": linear_recurrence,
    "relu_adjoint": lambda g, out: torch.ops.aten.threshold_backward(g, out, 0),
    "repeat": torch.Tensor.repeat,
    "reshape_alias": torch.reshape,
    "roll": lambda x, shifts, dims: torch.roll(x, shifts, dims),
    "rot90": lambda x, k, dims: torch.rot90(x, k, dims),
    "round_decimals": lambda x, decimals: torch.round(x, decimals=decimals),
    "rpow": lambda x, y: torch.pow(y, x),
    "scaled": lambda x, n: x * 2.0**n,
    "scatter_value": lambda x, index, dim, value: torch.scatter(x, dim, index, value),
    "scatter_with": lambda x, index, src, dim, ufunc: torch.scatter(x, dim, index, src, reduce=ufunc.__name__),
    "searchsorted": lambda boundaries, values, side, to: torch.searchsorted(boundaries, values, side=side),
    "select_scatter": lambda x, src, at: torch.select_scatter(x, src, **at),
    "share": lambda x, best, nan: (x == best) / (x == best).sum(1, keepdim=True, dtype=x.dtype),
    "shifted": moved_by_one,
    "sinc_slope": slope(torch.sinc),
    "slice": lambda x, dim, part: x[(slice(None),) * dim + (part,)],
    "slice_scatter": lambda x, src, at: torch.slice_scatter(
        x, src, at["dim"], at["part"].start, at["part"].stop, at["part"].step
    ),
    "sort_stable": lambda x, dim, descending: torch.sort(x, dim=dim, descending=descending, stable=True),
    "split": lambda x, dim, sizes: torch.split(x, sizes, dim),
    "split_with_sizes": lambda x, dim, sizes: torch.split(x, sizes, dim),
    "squeeze": lambda x, dims: torch.squeeze(x),
    "squeeze_dim": lambda x, dims: torch.squeeze(x, dims),
    "squeeze_dims": lambda x, dims: torch.squeeze(x, dims),
    "stack": lambda *xs, dim: torch.stack(xs, dim),
    "standard_gamma_grad": torch._standard_gamma_grad,
    "sum_all": lambda x, to: torch.sum(x),
    "sum": lambda x, dims, keepdim, to: torch.sum(x, dims, keepdim),
    "take_adjoint": adjoint(torch.take),
    "take_slice": take_slice,
    "to_copy": lambda x, to: x.clone(),
    "triangular_solve": lambda b, a, upper, transpose, unit: tuple(
        torch.triangular_solve(b, a, upper, transpose, unit)
    ),
    "unfold": lambda x, dim, size, step: x.unfold(dim, size, step),
    "unfold_adjoint": adjoint(lambda x, dim, size, step: x.unfold(dim, size, step)),
    "unique": lambda x: torch.unique(x, return_inverse=True, return_counts=True),
    "unique_consecutive": lambda x, dim: torch.unique_consecutive(x, True, True, dim),
    "unique_dim": lambda x, dim: torch.unique(x, True, True, True, dim),
    "unsafe_split": lambda x, dim, sizes: torch.split(x, sizes, dim),
    "unsafe_view": torch.reshape,
    "view": torch.reshape,
    "view_dtype": lambda x, to: x.view(torch.int64),
    "zero": torch.zeros_like,
    "zeros": torch.zeros_like,
    # images
    "im2col": columns,
    "col2im": of_columns,
    "grid_pick": picked,
    "grid_put": lambda g, index, size: adjoint(picked)(g, index, shape=(*g.shape[:2], size)),
    "grid_place": grid_place,
    "grid_slope": slope(grid_place),
    "grid_whole": lambda x, nearest: x.round() if nearest else x.floor(),
    "grid_nothing": torch.zeros_like,
    "grid_unmoved": lambda y, grid: y,
    "grid_index_2d": grid_index,
    "grid_index_3d": grid_index,
    # composites
    "fused _batch_norm_eval": lambda x, w, b, mean, var, eps: F.batch_norm(x, mean, var, w, b, False, 0.0, eps),
    "fused _batch_norm_training": batch_norm_training,
    "fused _bce_with_logits": lambda x, y, w, p, reduction: F.binary_cross_entropy_with_logits(
        x, y, w, pos_weight=p, reduction=reduction
    ),
    "fused _binary_cross_entropy": lambda x, y, w, reduction: F.binary_cross_entropy(x, y, w, reduction=reduction),
    "fused _cross_entropy_rows": _over_rows(F.cross_entropy),
    "fused _ctc": ctc,
    "fused _gelu": gelu,
    "fused _gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "fused _group_norm": group_norm,
    "fused _gru": recurrent(torch.gru),
    "fused _hardsigmoid": F.hardsigmoid,
    "fused _hardswish": F.hardswish,
    "fused _hardtanh": F.hardtanh,
    "fused _layer_norm": layer_norm,
    "fused _leaky_relu": F.leaky_relu,
    "fused _logsigmoid": F.logsigmoid,
    "fused _lstm": recurrent(torch.lstm),
    "fused _mish": F.mish,
    "fused _mse_alike": F.mse_loss,
    "fused _nll_rows": _over_rows(F.nll_loss),
    "fused _plain": plain_recurrent,
    "fused _rrelu_mean": F.leaky_relu,
    "fused _rrelu_noisy": torch.mul,
    "fused _safe_softmax_body": lambda x: torch.softmax(x, -1),
    "fused _silu": F.silu,
    "fused _soft_margin": F.soft_margin_loss,
    "fused _softplus": F.softplus,
    "fused _softshrink": F.softshrink,
    "fused _threshold": F.threshold,
}
for dims in (2, 3):
    FORMS |= {
        f"max_pool{dims}d": max_pool,
        f"avg_pool{dims}d": avg_pool,
        f"avg_pool{dims}d_grad": adjoint(avg_pool),
        f"adaptive_avg_pool{dims}d": adaptive_avg_pool,
        f"adaptive_avg_pool{dims}d_grad": adjoint(adaptive_avg_pool),
        f"adaptive_max_pool{dims}d": adaptive_max_pool,
        f"fractional_max_pool{dims}d": fractional_max_pool,
        f"max_unpool{dims}d": max_unpool,
    }
    for name in ("max_pool", "adaptive_max_pool", "fractional_max_pool", "max_unpool"):
        FORMS[f"{name}{dims}d_take"], FORMS[f"{name}{dims}d_grad"] = places_of_pool(max_pool), into_places
for name in (
    "linear1d",
    "bilinear2d",
    "bicubic2d",
    "trilinear3d",
    *(f"nearest{e}{d}d" for e in ("", "_exact") for d in (1, 2, 3)),
):
    FORMS[f"upsample_{name}"], FORMS[f"upsample_{name}_grad"] = (
        resized(f"upsample_{name}"),
        of_resized(f"upsample_{name}"),
    )
