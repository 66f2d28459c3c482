"""Muon: momentum whose matrix is brought to orthogonality before the step."""

import math
from collections.abc import Callable
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.optim._support import Number, ParamsT, _get_value, _use_grad_for_differentiable, evaluate, gather
from lamina.optim.optimizer import Optimizer

EPS = 1e-7
DEFAULT_A = 3.4445
DEFAULT_B = -4.7750
DEFAULT_C = 2.0315
DEFAULT_NS_STEPS = 5


class Muon(Optimizer):
    """Muon, for matrices only: p -= lr * orthogonalized momentum, with decoupled weight decay.

    State: `momentum_buffer` (as the parameter). Source: Jordan, "Muon: an optimizer for hidden layers", 2024;
    the matching of the step size to AdamW's: Liu et al., arXiv:2502.16982.

    Raises
    ------
    ValueError
        If a parameter is not a matrix.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (DEFAULT_A, DEFAULT_B, DEFAULT_C),
        eps: float = EPS,
        ns_steps: int = DEFAULT_NS_STEPS,
        adjust_lr_fn: str | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not 0.0 <= lr:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not 0.0 <= momentum:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for param in group["params"]:
                if param.ndim != 2:
                    raise ValueError(
                        f"Muon only supports 2D parameters whereas we found a parameter with size: {param.size()}"
                    )

    @_use_grad_for_differentiable
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once."""
        loss = evaluate(closure)
        for group in self.param_groups:
            if any(param.is_complex() and param.grad is not None for param in group["params"]):
                raise RuntimeError("Muon does not support complex parameters")
            muon(
                *gather(self, group, ("momentum_buffer",), _initial_state),
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                momentum=group["momentum"],
                nesterov=group["nesterov"],
                ns_coefficients=group["ns_coefficients"],
                eps=group["eps"],
                ns_steps=group["ns_steps"],
                adjust_lr_fn=group["adjust_lr_fn"],
            )
        return loss


def _initial_state(param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
    return {"momentum_buffer": lamina.zeros_like(param.grad)}


def muon(
    params: list[Tensor],
    grads: list[Tensor],
    muon_momentum_bufs: list[Tensor],
    *,
    foreach: bool | None = None,
    lr: Number,
    weight_decay: float,
    momentum: float,
    nesterov: bool,
    ns_coefficients: tuple[float, float, float],
    ns_steps: int,
    eps: float,
    adjust_lr_fn: str | None,
    has_complex: bool = False,
) -> None:
    """One step of Muon over lists; everything changes in place."""
    rate = _get_value(lr)
    for param, grad, buffer in zip(params, grads, muon_momentum_bufs, strict=True):
        update(
            param,
            grad,
            buffer,
            momentum=momentum,
            nesterov=nesterov,
            ns_coefficients=ns_coefficients,
            ns_steps=ns_steps,
            eps=eps,
            shrink=1 - rate * weight_decay,
            descent=-adjusted_lr(rate, adjust_lr_fn, param.shape),
        )


def adjusted_lr(lr: float, adjust_lr_fn: str | None, shape: Any) -> float:
    """The step size for a matrix of this shape, by the named rule."""
    rows, columns = shape[:2]
    if adjust_lr_fn == "match_rms_adamw":
        return lr * (0.2 * math.sqrt(max(rows, columns)))
    return lr * math.sqrt(max(1, rows / columns))


def update(
    param: Tensor,
    grad: Tensor,
    momentum_buffer: Tensor,
    *,
    momentum: float,
    nesterov: bool,
    ns_coefficients: tuple[float, float, float],
    ns_steps: int,
    eps: float,
    shrink: float,
    descent: float,
) -> None:
    """Update one matrix and its momentum in place."""
    momentum_buffer.lerp_(grad, 1 - momentum)
    move = grad.lerp(momentum_buffer, momentum) if nesterov else momentum_buffer
    move = orthogonalized(move, ns_coefficients, ns_steps, eps)
    param.mul_(shrink).add_(move, alpha=descent)


def orthogonalized(matrix: Tensor, ns_coefficients: tuple[float, float, float], ns_steps: int, eps: float) -> Tensor:
    """An approximately orthogonal matrix (bfloat16) with the singular vectors of `matrix`.

    A quintic Newton-Schulz iteration: it moves all singular values towards 1.

    Raises
    ------
    ValueError
        If there are 100 steps or more, the matrix is none, or the coefficients are not three.
    """
    if ns_steps >= 100:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    if len(matrix.shape) != 2:
        raise ValueError("Input tensor gradient must be a 2D matrix")
    if len(ns_coefficients) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = ns_coefficients
    x = matrix.bfloat16()
    tall = matrix.size(0) > matrix.size(1)
    if tall:
        x = x.T
    x = x.div(x.norm().clamp(min=eps))
    for _ in range(ns_steps):
        gram = x @ x.T
        x = lamina.addmm(x, lamina.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x
