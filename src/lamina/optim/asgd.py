"""ASGD: stochastic gradient descent that also keeps the average of its iterates."""

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
    add_scaled,
    check_lr,
    check_not_negative,
    evaluate,
    gather,
    scalar_state,
    step_each,
)
from lamina.optim.optimizer import Optimizer


class ASGD(Optimizer):
    """Averaged SGD; the average of the parameters is in the state, as `ax`.

    State: `step`, `eta`, `mu` (0-d), `ax` (as the parameter).
    Source: Polyak and Juditsky, SIAM J. Control Optim. 30 (1992).
    """

    _late_options = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}
    _scalar_states = ("step", "eta", "mu")

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative("weight_decay", weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
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
            asgd(
                *gather(self, group, ("ax", "mu", "eta", "step"), _initial_state),
                maximize=group["maximize"],
                differentiable=group["differentiable"],
                lambd=group["lambd"],
                lr=group["lr"],
                t0=group["t0"],
                alpha=group["alpha"],
                weight_decay=group["weight_decay"],
            )
        return loss


def _initial_state(param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
    return {
        "step": scalar_state(),
        "eta": scalar_state(_get_value(group["lr"])),
        "mu": scalar_state(1.0),
        "ax": lamina.zeros_like(param),
    }


def asgd(
    params: list[Tensor],
    grads: list[Tensor],
    axs: list[Tensor],
    mus: list[Tensor],
    etas: list[Tensor],
    state_steps: list[Tensor],
    foreach: bool | None = None,
    maximize: bool = False,
    differentiable: bool = False,
    capturable: bool = False,
    has_complex: bool = False,
    *,
    lambd: float,
    lr: Number,
    t0: float,
    alpha: float,
    weight_decay: float,
) -> None:
    """One step of ASGD over lists; everything changes in place."""
    step_each(
        update,
        (params, grads, axs),
        state_steps,
        partial(coefficients, lr=lr, lambd=lambd, alpha=alpha, t0=t0),
        (mus, etas),
        differentiable=differentiable,
        lambd=lambd,
        weight_decay=weight_decay,
        maximize=maximize,
    )


def coefficients(
    step: float, mu: Tensor, eta: Tensor, *, lr: Number, lambd: float, alpha: float, t0: float
) -> dict[str, Number]:
    """The step size and averaging weight for this step; the tensors then hold those of the next."""
    now = {"eta": _get_value(eta), "mu": _get_value(mu)}
    # Through the default dtype, as PyTorch: a loaded state may have a wider one.
    eta.copy_(lamina.as_tensor(lr / ((1 + lambd * lr * step) ** alpha)))
    mu.copy_(lamina.as_tensor(1 / max(1, step - t0)))
    return now


def update(
    param: Tensor,
    grad: Tensor,
    ax: Tensor,
    *,
    lambd: float,
    weight_decay: float,
    maximize: bool,
    differentiable: bool,
    eta: float,
    mu: float,
) -> None:
    """Update one parameter and its average in place."""
    if maximize:
        grad = -grad
    if weight_decay != 0:
        grad = add_scaled(grad, param, weight_decay)
    param.mul_(1 - lambd * eta).add_(grad, alpha=-eta)
    if mu == 1:
        ax.copy_(param)
    else:
        ax.add_(param.sub(ax).mul_(mu))
