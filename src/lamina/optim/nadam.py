"""NAdam: Adam with Nesterov's look-ahead."""

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
    add_quotient_,
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


class NAdam(Optimizer):
    """NAdam: Adam whose first moment already contains the share of the next step.

    State: `step`, `mu_product` (0-d), `exp_avg`, `exp_avg_sq` (as the parameter).
    Source: Dozat, "Incorporating Nesterov momentum into Adam", 2016.
    """

    _late_options = {
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
    }
    _scalar_states = ("step", "mu_product")

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
        check_not_negative("momentum_decay", momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    @_use_grad_for_differentiable
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once."""
        loss = evaluate(closure)
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            nadam(
                *gather(self, group, ("exp_avg", "exp_avg_sq", "mu_product", "step"), _initial_state),
                decoupled_weight_decay=group["decoupled_weight_decay"],
                differentiable=group["differentiable"],
                maximize=group["maximize"],
                beta1=beta1,
                beta2=beta2,
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                momentum_decay=group["momentum_decay"],
                eps=group["eps"],
            )
        return loss


def _initial_state(param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
    return {
        "step": scalar_state(),
        "mu_product": scalar_state(1.0),
        "exp_avg": lamina.zeros_like(param),
        "exp_avg_sq": lamina.zeros_like(param),
    }


def nadam(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_avg_sqs: list[Tensor],
    mu_products: list[Tensor],
    state_steps: list[Tensor],
    decoupled_weight_decay: bool = False,
    foreach: bool | None = None,
    capturable: bool = False,
    differentiable: bool = False,
    has_complex: bool = False,
    maximize: bool = False,
    *,
    beta1: float,
    beta2: float,
    lr: Number,
    weight_decay: float,
    momentum_decay: float,
    eps: float,
) -> None:
    """One step of NAdam over lists; everything changes in place."""
    step_each(
        update,
        (params, grads, exp_avgs, exp_avg_sqs),
        state_steps,
        partial(
            coefficients, lr=lr, beta1=beta1, beta2=beta2, weight_decay=weight_decay, momentum_decay=momentum_decay
        ),
        (mu_products,),
        differentiable=differentiable,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        weight_decay=weight_decay,
        decoupled=decoupled_weight_decay,
        maximize=maximize,
    )


def coefficients(
    step: float,
    mu_product: Tensor,
    *,
    lr: Number,
    beta1: float,
    beta2: float,
    weight_decay: float,
    momentum_decay: float,
) -> dict[str, Number]:
    """The numbers of this step; `mu_product`, the product of all momenta so far, moves on by one."""
    mu = beta1 * (1.0 - 0.5 * (0.96 ** (step * momentum_decay)))
    mu_next = beta1 * (1.0 - 0.5 * (0.96 ** ((step + 1) * momentum_decay)))
    mu_product *= mu
    product = _get_value(mu_product)
    return {
        "square_correction": 1 - beta2**step,
        "grad_factor": plain(-lr * (1.0 - mu) / (1.0 - product)),
        "average_factor": plain((-lr * mu_next) / (1.0 - product * mu_next)),
        "shrink": plain(1 - lr * weight_decay),
    }


def update(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    *,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
    differentiable: bool,
    square_correction: float,
    grad_factor: Number,
    average_factor: Number,
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
    denominator = root(exp_avg_sq / square_correction, eps, differentiable, owned=True)
    add_quotient_(param, grad, denominator, grad_factor)
    add_quotient_(param, exp_avg, denominator, average_factor)
