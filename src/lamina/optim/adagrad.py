"""Adagrad: steps scaled by the root of the sum of all squared gradients."""

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
    check_eps,
    check_fused,
    check_lr,
    check_not_negative,
    evaluate,
    gather,
    plain,
    root,
    scalar_state,
    step_each,
)
from lamina.optim.optimizer import Optimizer


class Adagrad(Optimizer):
    """Adagrad: p -= lr * g / (sqrt(sum of g**2) + eps).

    State, made with the optimizer: `step` (0-d), `sum` (as the parameter).
    Source: Duchi, Hazan and Singer, JMLR 12 (2011).
    """

    _late_options = {"foreach": None, "maximize": False, "differentiable": False, "fused": None}
    _scalar_states = ("step",)

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_not_negative("lr_decay", lr_decay)
        check_not_negative("weight_decay", weight_decay)
        check_not_negative("initial_accumulator_value", initial_accumulator_value)
        check_eps(eps)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)
        for group in self.param_groups:
            for param in group["params"]:
                self.state[param].update(_initial_state(param, group))

    def share_memory(self) -> None:
        """Move the sums to shared memory, for training in several processes."""
        for state in self.state.values():
            state["sum"].share_memory_()

    @_use_grad_for_differentiable
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once."""
        loss = evaluate(closure)
        for group in self.param_groups:
            adagrad(
                *gather(self, group, ("sum", "step"), _initial_state),
                differentiable=group["differentiable"],
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                lr_decay=group["lr_decay"],
                eps=group["eps"],
                maximize=group["maximize"],
            )
        return loss


def _initial_state(param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
    value = group["initial_accumulator_value"]
    start = complex(value, value) if param.is_complex() else value
    return {"step": scalar_state(), "sum": lamina.full_like(param, start)}


def adagrad(
    params: list[Tensor],
    grads: list[Tensor],
    state_sums: list[Tensor],
    state_steps: list[Tensor],
    fused: bool | None = None,
    has_sparse_grad: bool = False,
    foreach: bool | None = None,
    differentiable: bool = False,
    has_complex: bool = False,
    *,
    lr: Number,
    weight_decay: float,
    lr_decay: float,
    eps: float,
    maximize: bool,
) -> None:
    """One step of Adagrad over lists; everything changes in place."""
    step_each(
        update,
        (params, grads, state_sums),
        state_steps,
        partial(coefficients, lr=lr, lr_decay=lr_decay),
        differentiable=differentiable,
        eps=eps,
        weight_decay=weight_decay,
        maximize=maximize,
    )


def coefficients(step: float, *, lr: Number, lr_decay: float) -> dict[str, Number]:
    """The signed step size of this step."""
    return {"descent": plain(-(lr / (1 + (step - 1) * lr_decay)))}


def update(
    param: Tensor,
    grad: Tensor,
    state_sum: Tensor,
    *,
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
    state_sum.addcmul_(grad, grad, value=1)
    add_quotient_(param, grad, root(state_sum, eps, differentiable), descent)
