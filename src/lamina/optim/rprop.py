"""Rprop: a step size per element, grown and shrunk by the sign of the gradient alone."""

from collections.abc import Callable
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.optim._support import (
    Number,
    ParamsT,
    _get_value,
    _use_grad_for_differentiable,
    check_lr,
    evaluate,
    gather,
    scalar_state,
    step_each,
)
from lamina.optim.optimizer import Optimizer


class Rprop(Optimizer):
    """Resilient backpropagation: an element's step grows while its gradient keeps its sign, else shrinks.

    State: `step` (0-d), `prev` (the last gradient), `step_size` (as the parameter; starts at lr).
    Source: Riedmiller and Braun, ICNN 1993.
    """

    _late_options = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}
    _scalar_states = ("step",)

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
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
            etaminus, etaplus = group["etas"]
            smallest, largest = group["step_sizes"]
            rprop(
                *gather(self, group, ("prev", "step_size", "step"), _initial_state),
                maximize=group["maximize"],
                differentiable=group["differentiable"],
                step_size_min=smallest,
                step_size_max=largest,
                etaminus=etaminus,
                etaplus=etaplus,
            )
        return loss


def _initial_state(param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
    lr = _get_value(group["lr"])
    # Real and imaginary part have step sizes of their own.
    start = complex(lr, lr) if param.is_complex() else lr
    return {
        "step": scalar_state(),
        "prev": lamina.zeros_like(param),
        "step_size": lamina.full_like(param.grad, start),
    }


def rprop(
    params: list[Tensor],
    grads: list[Tensor],
    prevs: list[Tensor],
    step_sizes: list[Tensor],
    state_steps: list[Tensor],
    foreach: bool | None = None,
    capturable: bool = False,
    maximize: bool = False,
    differentiable: bool = False,
    has_complex: bool = False,
    *,
    step_size_min: float,
    step_size_max: float,
    etaminus: float,
    etaplus: float,
) -> None:
    """One step of Rprop over lists; everything changes in place."""
    step_each(
        update,
        (params, grads, prevs, step_sizes),
        state_steps,
        coefficients,
        differentiable=differentiable,
        step_size_min=step_size_min,
        step_size_max=step_size_max,
        etaminus=etaminus,
        etaplus=etaplus,
        maximize=maximize,
    )


def coefficients(step: float) -> dict[str, Number]:
    """Nothing depends on the step number."""
    return {}


def update(
    param: Tensor,
    grad: Tensor,
    prev: Tensor,
    step_size: Tensor,
    *,
    step_size_min: float,
    step_size_max: float,
    etaminus: float,
    etaplus: float,
    maximize: bool,
    differentiable: bool,
) -> None:
    """Update one parameter and its state in place."""
    if maximize:
        grad = -grad
    agreement = grad.mul(prev.clone() if differentiable else prev).sign()
    turned = agreement < 0
    factor = agreement.masked_fill(agreement > 0, etaplus).masked_fill_(turned, etaminus)
    factor.masked_fill_(agreement == 0, 1)
    step_size.mul_(factor).clamp_(step_size_min, step_size_max)
    # An element whose sign turned rests for one step, and starts afresh in the next.
    grad = grad.masked_fill(turned, 0)
    param.addcmul_(grad.sign(), step_size, value=-1)
    prev.copy_(grad)
