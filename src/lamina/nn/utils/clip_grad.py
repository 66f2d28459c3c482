"""Clipping gradients in place, by norm and by value."""

from __future__ import annotations

from collections.abc import Iterable

import lamina
from lamina.core.tensor import Tensor
from lamina.core.warn import warn

__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
]

Tensors = Tensor | Iterable[Tensor]


def _listed(tensors: Tensors) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _grads(parameters: Tensors) -> list[Tensor]:
    return [p.grad for p in _listed(parameters) if p.grad is not None]


def get_total_norm(
    tensors: Tensors, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """The norm of all `tensors` together, as if they were one vector; 0 where there is none.

    Raises RuntimeError where it is NaN or infinite and `error_if_nonfinite`. `foreach` is accepted and has no meaning
    here.
    """
    with lamina.no_grad():
        tensors = _listed(tensors)
        norm_type = float(norm_type)
        if not tensors:
            return lamina.tensor(0.0)
        norms = lamina.stack([lamina.linalg.vector_norm(t, norm_type) for t in tensors])
        total = lamina.linalg.vector_norm(norms, norm_type)
        if error_if_nonfinite and not total.isfinite():
            raise RuntimeError(
                f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be "
                "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
                "`error_if_nonfinite=False`"
            )
        return total


def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale the gradients of `parameters` in place, so that their norm `total_norm` becomes at most `max_norm`."""
    with lamina.no_grad():
        scale = lamina.clamp(float(max_norm) / (total_norm + 1e-6), max=1.0)
        for grad in _grads(parameters):
            grad.mul_(scale if grad.device is scale.device else scale.to(grad.device))


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients of `parameters` in place to a total norm of at most `max_norm`; returns the norm they had.

    Raises RuntimeError where that is NaN or infinite and `error_if_nonfinite`.
    """
    parameters = _listed(parameters)
    total = get_total_norm(_grads(parameters), norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(parameters, max_norm, total, foreach)
    return total


def clip_grad_norm(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The old name of `clip_grad_norm_`."""
    warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        category=FutureWarning,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Clamp each element of the gradients of `parameters` in place to [-clip_value, clip_value]."""
    bound = float(clip_value)
    with lamina.no_grad():
        for grad in _grads(parameters):
            grad.clamp_(min=-bound, max=bound)
