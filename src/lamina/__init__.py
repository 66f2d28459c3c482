"""lamina: PyTorch programs without PyTorch. The public namespace is shaped as torch's; subpackages load when first used."""

from __future__ import annotations

import importlib as _importlib
from math import e, inf, nan, pi
from typing import Any as _Any

from lamina.autograd.modes import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from lamina.core import blas as _blas
from lamina.core import draws_normal as _draws_normal
from lamina.core import heap as _heap
from lamina.core import quiet as _quiet
from lamina.core.device import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    device,
    jagged,
    layout,
    memory_format,
    per_channel_affine,
    per_tensor_affine,
    preserve_format,
    qscheme,
    sparse_bsc,
    sparse_bsr,
    sparse_coo,
    sparse_csc,
    sparse_csr,
    strided,
)
from lamina.core.dtype import UNSUPPORTED as _UNSUPPORTED
from lamina.core.dtype import (
    bfloat16,
    complex64,
    complex128,
    dtype,
    finfo,
    float8_e4m3fn,
    float8_e4m3fnuz,
    float8_e5m2,
    float8_e5m2fnuz,
    float8_e8m0fnu,
    float16,
    float32,
    float64,
    get_default_dtype,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    set_default_dtype,
    uint8,
    uint16,
    uint32,
    uint64,
)
from lamina.core.dtype import bool_ as bool
from lamina.core.dtype import complex64 as cfloat
from lamina.core.dtype import complex128 as cdouble
from lamina.core.dtype import float16 as half
from lamina.core.dtype import float32 as float
from lamina.core.dtype import float64 as double
from lamina.core.dtype import int16 as short
from lamina.core.dtype import int32 as int
from lamina.core.dtype import int64 as long
from lamina.core.factories import as_tensor, from_numpy, tensor
from lamina.core.generator import Generator, default_generator
from lamina.core.printing import set_printoptions
from lamina.core.promotion import can_cast, promote_types, result_type
from lamina.core.size import Size
from lamina.core.storage import UntypedStorage
from lamina.core.tensor import Tensor
from lamina.core.typed_storage import TypedStorage
from lamina.primitives import methods as _methods
from lamina.primitives import overridable as _overridable
from lamina.primitives import primitive as _primitive
from lamina.primitives import refusals as _refusals
from lamina.primitives.addmm import addbmm, addmm, addmv, addr, baddbmm
from lamina.primitives.adjusted import (
    complex,
    frexp,
    logit,
    mvlgamma,
    nan_to_num,
    polar,
    polygamma,
    round,
)
from lamina.primitives.arithmetic import (
    add,
    addcdiv,
    addcmul,
    div,
    float_power,
    lerp,
    rsub,
    sub,
    subtract,
)
from lamina.primitives.arithmetic import div as divide
from lamina.primitives.buffers import asarray, from_dlpack, from_file, frombuffer, to_dlpack
from lamina.primitives.contractions import chain_matmul, inner, kron, tensordot, vdot
from lamina.primitives.conversion import clone, detach, get_device, imag, is_signed, real, view_as_complex, view_as_real
from lamina.primitives.creation import (
    empty,
    empty_like,
    empty_permuted,
    empty_strided,
    eye,
    full,
    full_like,
    ones,
    ones_like,
    scalar_tensor,
    zeros,
    zeros_like,
)
from lamina.primitives.decompositions import geqrf, lu_unpack
from lamina.primitives.decompositions import legacy_cholesky as cholesky
from lamina.primitives.decompositions import legacy_lu as lu
from lamina.primitives.decompositions import legacy_qr as qr
from lamina.primitives.diagonals import diag, diag_embed, diagflat, trace, tril_indices, triu_indices
from lamina.primitives.differences import cumulative_trapezoid, diff, gradient, trapezoid, trapz
from lamina.primitives.distances import cdist
from lamina.primitives.eigen import legacy_svd as svd
from lamina.primitives.einsum import einsum
from lamina.primitives.embedding import embedding, embedding_renorm_
from lamina.primitives.extremes import amax, amin, aminmax, argmax, argmin, max, min
from lamina.primitives.factored import cholesky_inverse, cholesky_solve
from lamina.primitives.factored import legacy_lu_solve as lu_solve
from lamina.primitives.filling import fill, fill_, zero_
from lamina.primitives.functions import (
    abs,
    absolute,
    acos,
    acosh,
    angle,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    bitwise_and,
    bitwise_left_shift,
    bitwise_not,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    ceil,
    conj,
    conj_physical,
    copysign,
    cos,
    cosh,
    deg2rad,
    digamma,
    eq,
    erf,
    erfc,
    erfinv,
    exp,
    exp2,
    expm1,
    fix,
    floor,
    floor_divide,
    fmax,
    fmin,
    fmod,
    frac,
    gcd,
    ge,
    greater,
    greater_equal,
    gt,
    hypot,
    i0,
    igamma,
    igammac,
    isfinite,
    isinf,
    isnan,
    isneginf,
    isposinf,
    isreal,
    lcm,
    ldexp,
    le,
    less,
    less_equal,
    lgamma,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    logaddexp2,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    maximum,
    minimum,
    mul,
    multiply,
    ne,
    neg,
    negative,
    nextafter,
    not_equal,
    positive,
    pow,
    rad2deg,
    reciprocal,
    relu,
    remainder,
    resolve_conj,
    resolve_neg,
    rsqrt,
    sgn,
    sigmoid,
    sign,
    signbit,
    sin,
    sinc,
    sinh,
    sqrt,
    square,
    tan,
    tanh,
    true_divide,
    trunc,
    xlogy,
)
from lamina.primitives.gamma_draws import _dirichlet_grad, _sample_dirichlet, _standard_gamma, _standard_gamma_grad
from lamina.primitives.gathering import gather, index_select, masked_select, take, take_along_dim
from lamina.primitives.geometry import as_strided_, resize_as_
from lamina.primitives.histograms import bincount, histc, histogram, histogramdd
from lamina.primitives.householder import orgqr, ormqr
from lamina.primitives.indexing import index_put, index_put_, unravel_index
from lamina.primitives.inplace_functions import (
    abs_,
    acos_,
    acosh_,
    arccos_,
    arccosh_,
    arcsin_,
    arcsinh_,
    arctan_,
    arctanh_,
    asin_,
    asinh_,
    atan_,
    atanh_,
    ceil_,
    clamp_,
    clamp_max_,
    clamp_min_,
    clip_,
    conj_physical_,
    cos_,
    cosh_,
    deg2rad_,
    erf_,
    erfc_,
    exp2_,
    exp_,
    expm1_,
    fix_,
    floor_,
    frac_,
    gcd_,
    i0_,
    lcm_,
    ldexp_,
    log1p_,
    log2_,
    log10_,
    log_,
    logit_,
    nan_to_num_,
    neg_,
    negative_,
    rad2deg_,
    reciprocal_,
    relu_,
    round_,
    rsqrt_,
    sigmoid_,
    sin_,
    sinc_,
    sinh_,
    sqrt_,
    square_,
    tan_,
    tanh_,
    threshold_,
    trunc_,
    xlogy_,
)
from lamina.primitives.joining import (
    atleast_1d,
    atleast_2d,
    atleast_3d,
    block_diag,
    cartesian_prod,
    cat,
    column_stack,
    combinations,
    concat,
    concatenate,
    dstack,
    hstack,
    meshgrid,
    row_stack,
    stack,
    vstack,
)
from lamina.primitives.least_squares import pinverse
from lamina.primitives.linalg import cross, matrix_power, vander
from lamina.primitives.lowrank import lobpcg, pca_lowrank, svd_lowrank
from lamina.primitives.masking import masked_fill, masked_scatter, tril, triu
from lamina.primitives.matmul import bmm, dot, ger, matmul, mm, mv, outer
from lamina.primitives.normal import normal
from lamina.primitives.norms import dist, norm, renorm
from lamina.primitives.padding import constant_pad_nd
from lamina.primitives.questions import is_nonzero, is_same_size
from lamina.primitives.random import (
    bernoulli,
    binomial,
    get_rng_state,
    initial_seed,
    manual_seed,
    multinomial,
    poisson,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    seed,
    set_rng_state,
)
from lamina.primitives.ranges import arange, linspace, logspace, range
from lamina.primitives.ranks import kthvalue, median, mode, nanmedian, nanquantile, quantile
from lamina.primitives.rearrange import (
    adjoint,
    broadcast_shapes,
    broadcast_tensors,
    broadcast_to,
    diagonal,
    flatten,
    moveaxis,
    movedim,
    narrow,
    permute,
    ravel,
    reshape,
    select,
    squeeze,
    swapaxes,
    swapdims,
    t,
    transpose,
    unflatten,
    unsqueeze,
)
from lamina.primitives.rectifiers import hardshrink, prelu
from lamina.primitives.reduction import all, any, logsumexp, mean, nanmean, nansum, prod, sum
from lamina.primitives.scans import cummax, cummin, cumprod, cumsum, logcumsumexp
from lamina.primitives.scatter_reduce import index_reduce, scatter_reduce
from lamina.primitives.scattering import index_add, index_copy, index_fill, put, scatter, scatter_add
from lamina.primitives.searching import (
    argwhere,
    bucketize,
    count_nonzero,
    isin,
    nonzero,
    nonzero_static,
    searchsorted,
    unique,
    unique_consecutive,
)
from lamina.primitives.selection import (
    allclose,
    clamp,
    clamp_max,
    clamp_min,
    equal,
    heaviside,
    isclose,
    threshold,
    where,
)
from lamina.primitives.selection import clamp as clip
from lamina.primitives.shape import as_strided
from lamina.primitives.softmax import log_softmax, softmax
from lamina.primitives.solvers import det, inverse, logdet, matrix_exp, slogdet
from lamina.primitives.sorting import argsort, msort, sort, topk
from lamina.primitives.spectral import istft, stft
from lamina.primitives.splitting import (
    chunk,
    dsplit,
    hsplit,
    split,
    split_with_sizes,
    tensor_split,
    unbind,
    unsafe_chunk,
    unsafe_split,
    unsafe_split_with_sizes,
    vsplit,
)
from lamina.primitives.statistics import corrcoef, cov, std, std_mean, var, var_mean
from lamina.primitives.triangular import triangular_solve
from lamina.primitives.turning import flip, fliplr, flipud, repeat_interleave, roll, rot90, tile
from lamina.primitives.view_copies import (
    alias_copy,
    as_strided_copy,
    detach_copy,
    diagonal_copy,
    expand_copy,
    narrow_copy,
    permute_copy,
    select_copy,
    slice_copy,
    split_copy,
    split_with_sizes_copy,
    squeeze_copy,
    t_copy,
    transpose_copy,
    unbind_copy,
    unfold_copy,
    unsqueeze_copy,
    view_as_complex_copy,
    view_as_real_copy,
    view_copy,
)
from lamina.primitives.view_writes import as_strided_scatter, diagonal_scatter, select_scatter, slice_scatter
from lamina.primitives.windows import bartlett_window, blackman_window, hamming_window, hann_window, kaiser_window
from lamina.settings import LEGACY as _LEGACY
from lamina.settings import (
    are_deterministic_algorithms_enabled,
    compiled_with_cxx11_abi,
    get_default_device,
    get_deterministic_debug_mode,
    get_float32_matmul_precision,
    get_num_interop_threads,
    get_num_threads,
    is_complex,
    is_conj,
    is_deterministic_algorithms_warn_only_enabled,
    is_floating_point,
    is_inference,
    is_neg,
    is_storage,
    is_tensor,
    is_warn_always_enabled,
    numel,
    set_default_device,
    set_default_tensor_type,
    set_deterministic_debug_mode,
    set_float32_matmul_precision,
    set_flush_denormal,
    set_num_interop_threads,
    set_num_threads,
    set_warn_always,
    typename,
    use_deterministic_algorithms,
)
from lamina.version import __version__

_methods.install()

_quiet.install()
_blas.hold()
_heap.keep_freed()
_draws_normal.Native.lend = lambda: _importlib.import_module("lamina.compiler.draws").kernels()

newaxis = None
legacy_contiguous_format = contiguous_format

_SUBPACKAGES = frozenset((
    "nn", "optim", "utils", "autograd", "probes", "distributions", "func", "linalg", "fft", "special", "cuda", "backends", "jit", "distributed",
    "testing", "amp", "multiprocessing", "hub", "onnx", "profiler", "version", "types", "random", "io", "compat", "compiler", "mps",
    "xpu", "mtia", "cpu", "accelerator", "masked", "overrides", "return_types", "signal",
    "futures", "library", "ops", "quasirandom", "_C", "_dynamo", "__config__",
    "_inductor", "_logging", "_refs", "_utils", "_utils_internal", "sparse", "settings", "doctor", "fx",
))  # fmt: skip
_ELSEWHERE = {
    "_disable_dynamo": "_dynamo",
    **dict.fromkeys((
        "has_lapack", "has_spectral", "has_mkl", "has_openmp", "is_vulkan_available", "is_distributed", "get_device_module", "get_file_path",
        "is_anomaly_enabled", "is_anomaly_check_nan_enabled", "set_anomaly_enabled", "sym_int", "sym_float", "sym_not", "sym_max",
        "sym_min", "sym_sum", "sym_ite", "sym_sqrt", "sym_fresh_size", "cond", "while_loop",
    ), "probes"),
    **dict.fromkeys((
        "_check", "_check_with", "_check_index", "_check_value", "_check_type", "_check_not_implemented", "_check_is_size",
        "_check_tensor_all", "_check_tensor_all_with", "_assert", "_assert_async", "_shape_as_tensor",
    ), "checked"),
    **dict.fromkeys(("SymInt", "SymFloat", "SymBool"), "probes"),
    **dict.fromkeys(("ScriptModule", "ScriptFunction", "CompilationUnit"), "jit"),
    "detach_": "autograd.tensor_api", "addmv_": "primitives.inplace_functions",
    **dict.fromkeys(("segment_reduce", "slice_inverse", "hash_tensor"), "primitives.segments"),
    **dict.fromkeys((
        "set_autocast_cpu_enabled", "set_autocast_cpu_dtype", "set_autocast_gpu_dtype", "set_autocast_cache_enabled",
        "autocast_increment_nesting", "autocast_decrement_nesting",
    ), "amp.autocast_mode"),
    "save": "io", "load": "io", "PyTorchFileReader": "_native", "Stream": "cpu", "Event": "cpu", "Future": "futures",
    "autocast": "amp", "GradScaler": "amp", "OutOfMemoryError": "cuda", "is_autocast_enabled": "amp.autocast_mode", "set_autocast_enabled": "amp.autocast_mode", "get_autocast_dtype": "amp.autocast_mode",  # noqa: E501
    "is_autocast_available": "amp.autocast_mode", "clear_autocast_cache": "amp.autocast_mode", "is_autocast_cache_enabled": "amp.autocast_mode", "get_autocast_gpu_dtype": "amp.autocast_mode",  # noqa: E501
    "is_autocast_cpu_enabled": "amp.autocast_mode", "get_autocast_cpu_dtype": "amp.autocast_mode", "set_autocast_dtype": "amp.autocast_mode",
    "lstm": "nn.functional.rnn", "gru": "nn.functional.rnn", "rnn_tanh": "nn.functional.rnn", "rnn_relu": "nn.functional.rnn",
    "lstm_cell": "nn.functional.rnn", "gru_cell": "nn.functional.rnn", "rnn_tanh_cell": "nn.functional.rnn",
    "rnn_relu_cell": "nn.functional.rnn",
    "is_anomaly_enabled": "autograd.anomaly_mode", "is_anomaly_check_nan_enabled": "autograd.anomaly_mode",
    "set_anomaly_enabled": "autograd.anomaly_mode",
    "vmap": "func", "compile": "compiler", "why_no_grad": "autograd.explain",
    **dict.fromkeys((
        "conv1d", "conv2d", "conv3d", "conv_tbc", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
        "avg_pool1d", "adaptive_avg_pool1d", "bilinear", "celu", "celu_", "selu", "selu_",
        "threshold", "threshold_", "channel_shuffle", "pixel_shuffle", "pixel_unshuffle", "cosine_similarity",
        "pairwise_distance", "pdist", "rms_norm",
    ), "nn.functional"),
    **dict.fromkeys((
        "batch_norm", "instance_norm", "group_norm", "layer_norm", "dropout", "dropout_", "alpha_dropout",
        "alpha_dropout_", "feature_dropout", "feature_dropout_", "feature_alpha_dropout", "feature_alpha_dropout_",
        "native_dropout", "rrelu", "rrelu_", "embedding", "embedding_bag", "embedding_renorm_", "ctc_loss", "kl_div", "poisson_nll_loss",
        "binary_cross_entropy_with_logits", "hinge_embedding_loss", "cosine_embedding_loss", "margin_ranking_loss",
        "triplet_margin_loss", "max_pool1d", "max_pool1d_with_indices", "max_pool2d", "max_pool3d",
        "adaptive_max_pool1d", "affine_grid_generator",
    ), "nn.functional.native"),
    "native_batch_norm": "nn.functional.batch_normalization", "native_group_norm": "nn.functional.normalization",
    "native_layer_norm": "nn.functional.normalization", "native_channel_shuffle": "nn.functional.vision",
    **dict.fromkeys(("_chunk_cat", "_unsafe_masked_index", "_unsafe_masked_index_put_accumulate"), "primitives.private_forms"),
    "_segment_reduce": "primitives.segments", "_native_batch_norm_legit": "nn.functional.batch_normalization",
    "convolution": "primitives.convolution", "grid_sampler": "primitives.vision", "grid_sampler_2d": "primitives.vision",
    "grid_sampler_3d": "primitives.vision",
}  # fmt: skip
"""Names at the top level that load a subpackage when first used."""


_ASKING_MODES_ALONE = frozenset((
    "arange", "as_strided", "as_tensor", "asarray", "bartlett_window", "blackman_window", "empty", "empty_permuted", "empty_strided",
    "eye", "fill", "from_dlpack", "from_numpy", "from_file", "frombuffer", "full", "hamming_window", "hann_window", "kaiser_window", "linspace",
    "logspace", "normal", "ones", "rand", "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm", "range",
    "broadcast_shapes", "get_rng_state", "initial_seed", "manual_seed", "scalar_tensor", "seed", "set_rng_state", "tensor",
    "tril_indices", "triu_indices", "vander", "zeros",
))  # fmt: skip
"""Operations in which the classes of arguments have no say (`__torch_function__`)."""


_ALIASES = {"serialization": "io.serialization", "storage": "core.typed_storage"}
"""Modules of torch that lie elsewhere in lamina."""


_WITHOUT_TENSORS = {**{d.name: d for d in _UNSUPPORTED}, "chalf": _UNSUPPORTED[0]}
"""Types of PyTorch that can be named and compared with, no more."""


def __getattr__(name: str) -> _Any:
    if name == "torch":
        return _importlib.import_module("lamina")  # the module has itself for an attribute, in PyTorch too
    if name in _ALIASES:
        return _importlib.import_module(f"lamina.{_ALIASES[name]}")
    if name in _SUBPACKAGES:
        return _importlib.import_module(f"lamina.{name}")
    if name in _ELSEWHERE:
        found = getattr(_importlib.import_module(f"lamina.{_ELSEWHERE[name]}"), name)
        found = _overridable.published(found, __name__, name)
    elif name in _LEGACY:
        found = _LEGACY[name]
    elif name in _WITHOUT_TENSORS:
        found = _WITHOUT_TENSORS[name]
    elif name in _refusals.FUNCTIONS:
        found = _refusals.FUNCTIONS[name]
    elif name.startswith("_foreach_"):
        found = getattr(_importlib.import_module("lamina.foreach"), name)
    else:
        raise AttributeError(f"module 'torch' has no attribute '{name}'")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(
        {*globals(), *_SUBPACKAGES, *_ALIASES, *_ELSEWHERE, *_LEGACY, *_WITHOUT_TENSORS, *_refusals.FUNCTIONS}
    )


_overridable.publish(globals(), _ASKING_MODES_ALONE)


def _first_large(function: _Any, args: _Any, params: _Any) -> _Any:
    """The first large array asks for native kernels: then, and not before, the compiler is loaded."""
    _primitive.Slots.fuser = None
    if not _importlib.import_module("lamina.compiler.available").available():
        return NotImplemented
    return _importlib.import_module("lamina.compiler.eager").install()(function, args, params)


def _first_recurrent(name: _Any, order: _Any, arrays: _Any) -> _Any:
    """The same for the loops of recurrent layers."""
    _primitive.Slots.recurrent = None
    if not _importlib.import_module("lamina.compiler.available").available():
        return False
    return _importlib.import_module("lamina.compiler.recurrent").install()(name, order, arrays)


_primitive.Slots.fuser = _first_large


def _first_product(jobs: _Any) -> _Any:
    """The first large product asks for native threads."""
    lent = _importlib.import_module("lamina.compiler.blas").lend()
    _primitive.Slots.products = lent
    return lent is not None and lent(jobs)


_primitive.Slots.products = _first_product
_primitive.Slots.recurrent = _first_recurrent
