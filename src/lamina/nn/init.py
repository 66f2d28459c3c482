"""Initialisers: fill a tensor in place, outside autograd, and return it.

Here: the distributions and their fan and gain rules, with PyTorch's draws in PyTorch's order. Not here: which layer
uses which initialiser (each layer's `reset_parameters`), nor the random stream itself (primitives/random.py).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import lamina
from lamina.core.tensor import Tensor
from lamina.core.warn import warn
from lamina.primitives.overridable import overridable

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]

_GAIN_ONE = {
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "sigmoid",
}
# Under this share of the normal's mass inside [a, b], drawing normals and rejecting wastes too many draws.
_MASS_FOR_NORMAL_PROPOSALS = 0.3


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance through `nonlinearity`; `param` is leaky_relu's negative slope."""
    if nonlinearity in _GAIN_ONE:
        return 1
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, int | float):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}")


@overridable
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: lamina.Generator | None = None) -> Tensor:
    """Fill with draws from U(a, b)."""
    with lamina.no_grad():
        return tensor.uniform_(a, b, generator=generator)


@overridable
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: lamina.Generator | None = None) -> Tensor:
    """Fill with draws from N(mean, std**2)."""
    with lamina.no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: lamina.Generator | None = None,
) -> Tensor:
    """Fill with draws from N(mean, std**2) held to [a, b] (absolute bounds), by rejection."""
    if mean < a - 2 * std or mean > b + 2 * std:
        warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
        )
    mass = _normal_cdf((b - mean) / std) - _normal_cdf((a - mean) / std)
    with lamina.no_grad():
        if mass > _MASS_FOR_NORMAL_PROPOSALS:
            return _redraw_normals(tensor, mean, std, a, b, generator)
        return _thin_uniforms(tensor, mean, std, a, b, generator)


def _no_grad_fill_(tensor: Tensor, val: float) -> Tensor:
    with lamina.no_grad():
        return tensor.fill_(val)


def _no_grad_zero_(tensor: Tensor) -> Tensor:
    return _no_grad_fill_(tensor, 0)


_no_grad_uniform_, _no_grad_normal_, _no_grad_trunc_normal_ = (
    uniform_,
    normal_,
    trunc_normal_,
)  # names that packages call


def _normal_cdf(x: float) -> float:
    return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0


def _redraw_normals(
    tensor: Tensor, mean: float, std: float, a: float, b: float, generator: lamina.Generator | None
) -> Tensor:
    """Normals, drawn again (a whole tensor at a time) wherever they fall outside."""
    # In the tensor's own precision: a bound that rounds inward must not reject its own value for ever.
    low, high = (lamina.tensor(bound, dtype=tensor.dtype, device=tensor.device).item() for bound in (a, b))
    values = tensor.normal_(mean, std, generator=generator)
    while (outside := (values < low) | (values > high)).any():
        values = lamina.where(outside, lamina.empty_like(tensor).normal_(mean, std, generator=generator), values)
    return tensor if values is tensor else tensor.copy_(values)


def _thin_uniforms(
    tensor: Tensor, mean: float, std: float, a: float, b: float, generator: lamina.Generator | None
) -> Tensor:
    """Uniforms, each kept with the density at its place relative to the highest density in [a, b]."""
    peak = -0.5 * ((min(max(mean, a), b) - mean) / std) ** 2
    proposal, chance = lamina.empty_like(tensor), lamina.empty_like(tensor)
    values, rejected = None, None
    while rejected is None or rejected.any():
        proposal.uniform_(a, b, generator=generator)
        values = proposal.clone() if rejected is None else lamina.where(rejected, proposal, values)
        log_weight = ((values - mean) / std).pow_(2).mul_(-0.5).sub_(peak)
        too_high = chance.uniform_(generator=generator).log_() > log_weight
        rejected = too_high if rejected is None else rejected & too_high
    return tensor.copy_(values)


@overridable
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with `val`."""
    with lamina.no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0."""
    with lamina.no_grad():
        return tensor.zero_()


def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with the identity (ones on the main diagonal)."""
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    with lamina.no_grad():
        tensor.zero_().diagonal().fill_(1)
    return tensor


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill a convolution's weight (3 to 5 dimensions) so that it passes as many channels through as it can."""
    if tensor.ndimension() not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if tensor.size(0) % groups != 0:
        raise ValueError("dim 0 must be divisible by groups")
    per_group = tensor.size(0) // groups
    centre = tuple(size // 2 for size in tensor.shape[2:])
    with lamina.no_grad():
        tensor.zero_()
        for group in range(groups):
            for channel in range(min(per_group, tensor.size(1))):
                tensor[(group * per_group + channel, channel, *centre)] = 1
    return tensor


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """(fan in, fan out) of a weight whose first two dimensions are outputs and inputs."""
    if tensor.dim() < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    field = math.prod(tensor.shape[2:])
    return tensor.size(1) * field, tensor.size(0) * field


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    mode = mode.lower()
    modes = ["fan_in", "fan_out"]
    if mode not in modes:
        raise ValueError(f"Mode {mode} not supported, please use one of {modes}")
    return _calculate_fan_in_and_fan_out(tensor)[modes.index(mode)]


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: lamina.Generator | None = None) -> Tensor:
    """Fill from U(-a, a), a = gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    std = gain * math.sqrt(2.0 / float(sum(_calculate_fan_in_and_fan_out(tensor))))
    bound = math.sqrt(3.0) * std
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: lamina.Generator | None = None) -> Tensor:
    """Fill from N(0, std**2), std = gain * sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    std = gain * math.sqrt(2.0 / float(sum(_calculate_fan_in_and_fan_out(tensor))))
    return normal_(tensor, 0.0, std, generator)


@overridable
def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: lamina.Generator | None = None,
) -> Tensor:
    """Fill from U(-bound, bound), bound = gain * sqrt(3 / fan) (He et al., 2015); `a` is leaky_relu's slope."""
    if _is_empty(tensor):
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: lamina.Generator | None = None,
) -> Tensor:
    """Fill from N(0, std**2), std = gain / sqrt(fan) (He et al., 2015); `a` is leaky_relu's slope."""
    if _is_empty(tensor):
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fan = _calculate_correct_fan(tensor, mode)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def _is_empty(tensor: Tensor) -> bool:
    if 0 not in tensor.shape:
        return False
    warn("Initializing zero-element tensors is a no-op")
    return True


def orthogonal_(tensor: Tensor, gain: float = 1, generator: lamina.Generator | None = None) -> Tensor:
    """Fill with a (semi-)orthogonal matrix times `gain`; later dimensions count as one (Saxe et al., 2013)."""
    if tensor.ndimension() < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if tensor.numel() == 0:
        return tensor
    rows = tensor.size(0)
    columns = tensor.numel() // rows
    with lamina.no_grad():
        noise = tensor.new_empty((rows, columns)).normal_(0, 1, generator=generator)
        q, r = lamina.linalg.qr(noise.T if rows < columns else noise)
        # QR is unique only with a positive diagonal of R: without this the result would not be uniform.
        q = q * lamina.diag(r, 0).sign()
        tensor.view(rows, columns).copy_(q.T if rows < columns else q)
        tensor.mul_(gain)
    return tensor


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: lamina.Generator | None = None) -> Tensor:
    """Fill a matrix from N(0, std**2), then zero a share `sparsity` of each column (Martens, 2010)."""
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    with lamina.no_grad():
        tensor.normal_(0, std, generator=generator)
        for column in range(columns):
            # From the default generator, as in PyTorch: only the normals come from `generator`.
            tensor[lamina.randperm(rows)[:zeros], column] = 0
    return tensor


def _deprecated(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The name without underscore that PyTorch keeps for old programs."""
    new = function.__name__
    old = new.removesuffix("_")

    @functools.wraps(function)
    def wrapper(*args: object, **kwargs: object) -> Tensor:
        message = f"`nn.init.{old}` is now deprecated in favor of `nn.init.{new}`."
        warn(message, FutureWarning)
        return function(*args, **kwargs)

    wrapper.__name__ = wrapper.__qualname__ = old
    wrapper.__doc__ = f"Deprecated: use `{new}`."
    return wrapper


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)
