"""Adafactor: Adam's scaling in sublinear memory, from the row and column sums of the squared gradient."""

from collections.abc import Callable
from functools import partial
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.optim._support import (
    Number,
    ParamsT,
    _get_value,
    _use_grad_for_differentiable,
    evaluate,
    gather,
    plain,
    scalar_state,
    step_each,
)
from lamina.optim.optimizer import Optimizer


class Adafactor(Optimizer):
    """Adafactor: steps relative to the parameter's size, scaled by a factored second moment.

    State: `step` (0-d), and `row_var` (..., n, 1) with `col_var` (..., 1, m) for a parameter (..., n, m),
    `variance` (as the parameter) for a vector. Source: Shazeer and Stern, arXiv:1804.04235.
    """

    _late_options = {"foreach": None}
    _scalar_states = ("step",)

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not 0.0 <= lr:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not 0.0 >= beta2_decay:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not 0.0 <= eps[0]:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not 0.0 <= eps[1]:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not 1.0 <= d:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    @_use_grad_for_differentiable
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once."""
        loss = evaluate(closure)
        for group in self.param_groups:
            if any(param.is_complex() and param.grad is not None for param in group["params"]):
                raise RuntimeError("Adafactor does not support complex parameters")
            eps1, eps2 = group["eps"]
            adafactor(
                *gather(self, group, ("row_var", "col_var", "variance", "step"), _initial_state),
                d=group["d"],
                lr=group["lr"],
                beta2_decay=group["beta2_decay"],
                weight_decay=group["weight_decay"],
                eps1=eps1,
                eps2=eps2,
                maximize=group["maximize"],
            )
        return loss


def _initial_state(param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
    grad = param.grad
    if grad.dim() < 2:
        return {"step": scalar_state(), "variance": lamina.zeros_like(grad)}
    rows, columns = list(grad.shape), list(grad.shape)
    rows[-1] = columns[-2] = 1
    return {"step": scalar_state(), "row_var": grad.new_zeros(rows), "col_var": grad.new_zeros(columns)}


def adafactor(
    params: list[Tensor],
    grads: list[Tensor],
    row_vars: list[Tensor | None],
    col_vars: list[Tensor | None],
    variances: list[Tensor | None],
    state_steps: list[Tensor],
    foreach: bool | None = None,
    has_complex: bool = False,
    *,
    d: float,
    lr: Number,
    beta2_decay: float,
    weight_decay: float,
    eps1: float | None,
    eps2: float,
    maximize: bool,
) -> None:
    """One step of Adafactor over lists; everything changes in place."""
    step_each(
        update,
        (params, grads, row_vars, col_vars, variances),
        state_steps,
        partial(coefficients, lr=lr, beta2_decay=beta2_decay, weight_decay=weight_decay),
        weight_decay=weight_decay,
        d=d,
        eps1=eps1,
        eps2=eps2,
        maximize=maximize,
        by_element=False,
    )


def coefficients(step: float, *, lr: Number, beta2_decay: float, weight_decay: float) -> dict[str, Number]:
    """The numbers of this step: weight of the new square, relative step size, shrinkage."""
    return {
        "weight": step**beta2_decay,
        "relative_lr": _get_value(min(lr, 1.0 / (step**0.5))),
        "shrink": plain(1 - lr * weight_decay),
    }


def update(
    param: Tensor,
    grad: Tensor,
    row_var: Tensor | None,
    col_var: Tensor | None,
    variance: Tensor | None,
    *,
    weight_decay: float,
    d: float,
    eps1: float | None,
    eps2: float,
    maximize: bool,
    differentiable: bool,
    weight: float,
    relative_lr: float,
    shrink: Number,
) -> None:
    """Update one parameter and its state in place."""
    if maximize:
        grad = -grad
    if eps1 is None:
        eps1 = lamina.finfo(param.dtype).eps
    size = max(eps2, _get_value(param.norm(2)) / param.numel() ** 0.5)
    if weight_decay != 0:
        param.mul_(shrink)
    if row_var is not None and col_var is not None:
        for sums, dim in ((row_var, -1), (col_var, -2)):
            sums.lerp_(lamina.norm(grad, dim=dim, keepdim=True).square_().div_(grad.size(dim)), weight)
        moment = row_var @ col_var
        moment.div_(row_var.mean(dim=-2, keepdim=True).clamp_(min=eps1))
    else:
        moment = variance.lerp_(grad.square(), weight).clone()
    move = moment.clamp_(min=eps1 * eps1).rsqrt_().mul_(grad)
    clipped = max(1.0, _get_value(move.norm(2)) / (move.numel() ** 0.5 * d))
    param.add_(move, alpha=-(size * relative_lr) / clipped)
