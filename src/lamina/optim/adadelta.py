"""Adadelta: steps in the ratio of recent steps to recent gradients."""

from collections.abc import Callable
from functools import partial
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.optim._support import (
    Number,
    ParamsT,
    _use_grad_for_differentiable,
    add_scaled,
    add_scaled_,
    check_eps,
    check_lr,
    check_not_negative,
    decay_square_,
    evaluate,
    gather,
    plain,
    scalar_state,
    step_each,
)
from lamina.optim.optimizer import Optimizer


class Adadelta(Optimizer):
    """Adadelta: p -= lr * g * sqrt(mean of steps**2 + eps) / sqrt(mean of g**2 + eps).

    State: `step` (0-d), `square_avg`, `acc_delta` (as the parameter). Source: Zeiler, arXiv:1212.5701.
    """

    _late_options = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}
    _scalar_states = ("step",)

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_eps(eps)
        check_not_negative("weight_decay", weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    @_use_grad_for_differentiable
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once."""
        loss = evaluate(closure)
        for group in self.param_groups:
            adadelta(
                *gather(self, group, ("square_avg", "acc_delta", "step"), _initial_state),
                differentiable=group["differentiable"],
                lr=group["lr"],
                rho=group["rho"],
                eps=group["eps"],
                weight_decay=group["weight_decay"],
                maximize=group["maximize"],
            )
        return loss


def _initial_state(param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
    return {"step": scalar_state(), "square_avg": lamina.zeros_like(param), "acc_delta": lamina.zeros_like(param)}


def adadelta(
    params: list[Tensor],
    grads: list[Tensor],
    square_avgs: list[Tensor],
    acc_deltas: list[Tensor],
    state_steps: list[Tensor],
    capturable: bool = False,
    foreach: bool | None = None,
    differentiable: bool = False,
    has_complex: bool = False,
    *,
    lr: Number,
    rho: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """One step of Adadelta over lists; everything changes in place."""
    step_each(
        update,
        (params, grads, square_avgs, acc_deltas),
        state_steps,
        partial(coefficients, lr=lr),
        differentiable=differentiable,
        rho=rho,
        eps=eps,
        weight_decay=weight_decay,
        maximize=maximize,
    )


def coefficients(step: float, *, lr: Number) -> dict[str, Number]:
    """The signed step size, the same at every step."""
    return {"descent": plain(-lr)}


def update(
    param: Tensor,
    grad: Tensor,
    square_avg: Tensor,
    acc_delta: Tensor,
    *,
    rho: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
    differentiable: bool,
    descent: Number,
) -> None:
    """Update one parameter and its state in place."""
    if maximize:
        grad = -grad
    if weight_decay != 0:
        grad = add_scaled(grad, param, weight_decay)
    decay_square_(square_avg, grad, rho)
    if differentiable:
        delta = (acc_delta + eps).sqrt() / (square_avg + eps).sqrt() * grad
    else:
        delta = acc_delta.add(eps).sqrt_().div_(square_avg.add(eps).sqrt_()).mul_(grad)
    decay_square_(acc_delta, delta, rho)
    add_scaled_(param, delta, descent)
