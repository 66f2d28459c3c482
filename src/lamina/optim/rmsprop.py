"""RMSprop: steps scaled by the root of a running mean of squared gradients."""

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
    add_scaled_,
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


class RMSprop(Optimizer):
    """RMSprop: p -= lr * g / (sqrt(mean of g**2) + eps), optionally centered, optionally with momentum.

    State: `step` (0-d), `square_avg`, and by option `momentum_buffer`, `grad_avg` (as the parameter).
    Source: Hinton's lecture 6; the centered form: Graves, arXiv:1308.0850.
    """

    _late_options = {
        "momentum": 0,
        "centered": False,
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "capturable": False,
    }
    _scalar_states = ("step",)

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_eps(eps)
        check_not_negative("momentum", momentum)
        check_not_negative("weight_decay", weight_decay)
        check_not_negative("alpha", alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    @_use_grad_for_differentiable
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once."""
        loss = evaluate(closure)
        for group in self.param_groups:
            rmsprop(
                *gather(self, group, ("square_avg", "grad_avg", "momentum_buffer", "step"), _initial_state),
                maximize=group["maximize"],
                differentiable=group["differentiable"],
                lr=group["lr"],
                alpha=group["alpha"],
                eps=group["eps"],
                weight_decay=group["weight_decay"],
                momentum=group["momentum"],
                centered=group["centered"],
            )
        return loss


def _initial_state(param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
    state = {"step": scalar_state(), "square_avg": lamina.zeros_like(param)}
    if group["momentum"] > 0:
        state["momentum_buffer"] = lamina.zeros_like(param)
    if group["centered"]:
        state["grad_avg"] = lamina.zeros_like(param)
    return state


def rmsprop(
    params: list[Tensor],
    grads: list[Tensor],
    square_avgs: list[Tensor],
    grad_avgs: list[Tensor | None],
    momentum_buffer_list: list[Tensor | None],
    state_steps: list[Tensor],
    foreach: bool | None = None,
    maximize: bool = False,
    differentiable: bool = False,
    capturable: bool = False,
    has_complex: bool = False,
    *,
    lr: Number,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    centered: bool,
) -> None:
    """One step of RMSprop over lists; everything changes in place."""
    absent = [None] * len(params)
    step_each(
        update,
        (
            params,
            grads,
            square_avgs,
            grad_avgs if centered else absent,
            momentum_buffer_list if momentum > 0 else absent,
        ),
        state_steps,
        partial(coefficients, lr=lr),
        differentiable=differentiable,
        alpha=alpha,
        eps=eps,
        weight_decay=weight_decay,
        momentum=momentum,
        maximize=maximize,
    )


def coefficients(step: float, *, lr: Number) -> dict[str, Number]:
    """The signed step size, the same at every step."""
    return {"descent": plain(-lr)}


def update(
    param: Tensor,
    grad: Tensor,
    square_avg: Tensor,
    grad_avg: Tensor | None,
    momentum_buffer: Tensor | None,
    *,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    maximize: bool,
    differentiable: bool,
    descent: Number,
) -> None:
    """Update one parameter and its state in place; `grad_avg` makes it centered."""
    if maximize:
        grad = -grad
    if weight_decay != 0:
        grad = add_scaled(grad, param, weight_decay)
    decay_square_(square_avg, grad, alpha)
    if grad_avg is not None:
        grad_avg.lerp_(grad, 1 - alpha)
        square_avg = square_avg.addcmul(grad_avg, grad_avg, value=-1)
    denominator = root(square_avg, eps, differentiable, owned=grad_avg is not None)
    if momentum_buffer is None:
        add_quotient_(param, grad, denominator, descent)
        return
    momentum_buffer.mul_(momentum).addcdiv_(grad, denominator)
    add_scaled_(param, momentum_buffer, descent)
