"""Adamax: Adam with the largest recent gradient in place of its root mean square."""

from collections.abc import Callable
from functools import partial
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.optim._support import (
    Number,
    ParamsT,
    _use_grad_for_differentiable,
    add_quotient_,
    add_scaled,
    check_betas,
    check_eps,
    check_lr,
    check_not_negative,
    evaluate,
    gather,
    maximum_,
    plain,
    scalar_state,
    step_each,
)
from lamina.optim.optimizer import Optimizer


class Adamax(Optimizer):
    """Adamax: p -= lr * m / u, with m the corrected mean of g and u a decaying maximum of |g|.

    State: `step` (0-d), `exp_avg`, `exp_inf` (as the parameter). Source: Kingma and Ba, arXiv:1412.6980, section 7.
    """

    _late_options = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}
    _scalar_states = ("step",)

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_eps(eps)
        check_betas(betas)
        check_not_negative("weight_decay", weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    @_use_grad_for_differentiable
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once."""
        loss = evaluate(closure)
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            adamax(
                *gather(self, group, ("exp_avg", "exp_inf", "step"), _initial_state),
                differentiable=group["differentiable"],
                maximize=group["maximize"],
                eps=group["eps"],
                beta1=beta1,
                beta2=beta2,
                lr=group["lr"],
                weight_decay=group["weight_decay"],
            )
        return loss


def _initial_state(param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
    return {"step": scalar_state(), "exp_avg": lamina.zeros_like(param), "exp_inf": lamina.zeros_like(param)}


def adamax(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_infs: list[Tensor],
    state_steps: list[Tensor],
    foreach: bool | None = None,
    maximize: bool = False,
    differentiable: bool = False,
    capturable: bool = False,
    has_complex: bool = False,
    *,
    eps: float,
    beta1: float,
    beta2: float,
    lr: Number,
    weight_decay: float,
) -> None:
    """One step of Adamax over lists; everything changes in place."""
    step_each(
        update,
        (params, grads, exp_avgs, exp_infs),
        state_steps,
        partial(coefficients, lr=lr, beta1=beta1),
        differentiable=differentiable,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        weight_decay=weight_decay,
        maximize=maximize,
    )


def coefficients(step: float, *, lr: Number, beta1: float) -> dict[str, Number]:
    """The signed step size of this step."""
    return {"descent": plain(-(lr / (1 - beta1**step)))}


def update(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_inf: Tensor,
    *,
    beta1: float,
    beta2: float,
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
    exp_avg.lerp_(grad, 1 - beta1)
    maximum_(exp_inf.mul_(beta2), grad.abs().add_(eps), differentiable)
    add_quotient_(param, exp_avg, exp_inf, descent)
