"""RAdam: Adam that waits with adapting until the variance of its second moment is known."""

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
    check_betas,
    check_eps,
    check_lr,
    check_not_negative,
    decay_square_,
    evaluate,
    gather,
    plain,
    root,
    scalar_state,
    step_each,
)
from lamina.optim.optimizer import Optimizer


class RAdam(Optimizer):
    """Rectified Adam: plain momentum in the first steps, then Adam with a rectified step size.

    State: `step` (0-d), `exp_avg`, `exp_avg_sq` (as the parameter). Source: Liu et al., arXiv:1908.03265.
    """

    _late_options = {
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
        "capturable": False,
    }
    _scalar_states = ("step",)

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
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
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    @_use_grad_for_differentiable
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once."""
        loss = evaluate(closure)
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            radam(
                *gather(self, group, ("exp_avg", "exp_avg_sq", "step"), _initial_state),
                decoupled_weight_decay=group["decoupled_weight_decay"],
                differentiable=group["differentiable"],
                maximize=group["maximize"],
                beta1=beta1,
                beta2=beta2,
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
            )
        return loss


def _initial_state(param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
    return {"step": scalar_state(), "exp_avg": lamina.zeros_like(param), "exp_avg_sq": lamina.zeros_like(param)}


def radam(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_avg_sqs: list[Tensor],
    state_steps: list[Tensor],
    decoupled_weight_decay: bool = False,
    foreach: bool | None = None,
    differentiable: bool = False,
    capturable: bool = False,
    has_complex: bool = False,
    maximize: bool = False,
    *,
    beta1: float,
    beta2: float,
    lr: Number,
    weight_decay: float,
    eps: float,
) -> None:
    """One step of RAdam over lists; everything changes in place."""
    step_each(
        update,
        (params, grads, exp_avgs, exp_avg_sqs),
        state_steps,
        partial(coefficients, lr=lr, beta1=beta1, beta2=beta2, weight_decay=weight_decay),
        differentiable=differentiable,
        lr=plain(lr),
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        weight_decay=weight_decay,
        decoupled=decoupled_weight_decay,
        maximize=maximize,
    )


def coefficients(
    step: float, *, lr: Number, beta1: float, beta2: float, weight_decay: float
) -> dict[str, Number | None]:
    """The numbers of this step; `rectification` is None as long as the variance is not tractable."""
    square_correction = 1 - beta2**step
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * step * (beta2**step) / square_correction
    rectification = None
    if length > 5.0:
        numerator = (length - 4) * (length - 2) * longest
        rectification = (numerator / ((longest - 4) * (longest - 2) * length)) ** 0.5
    return {
        "correction": 1 - beta1**step,
        "root_correction": square_correction**0.5,
        "rectification": rectification,
        "shrink": plain(1 - lr * weight_decay),
    }


def update(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    *,
    lr: Number,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
    differentiable: bool,
    correction: float,
    root_correction: float,
    rectification: float | None,
    shrink: Number,
) -> None:
    """Update one parameter and its state in place."""
    if maximize:
        grad = -grad
    if weight_decay != 0:
        if decoupled:
            param.mul_(shrink)
        else:
            grad = add_scaled(grad, param, weight_decay)
    exp_avg.lerp_(grad, 1 - beta1)
    decay_square_(exp_avg_sq, grad, beta2)
    move = exp_avg / correction
    if differentiable:
        move = move * lr
        if rectification is not None:
            move = move * (root_correction / root(exp_avg_sq, eps, differentiable)) * rectification
    else:
        move.mul_(lr)
        if rectification is not None:
            move.mul_(root(exp_avg_sq, eps, differentiable).reciprocal_().mul_(root_correction)).mul_(rectification)
    param.sub_(move)
