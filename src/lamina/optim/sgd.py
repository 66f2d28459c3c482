"""SGD: stochastic gradient descent, with momentum and Nesterov's variant."""

from collections.abc import Callable
from typing import Any

from lamina.core.tensor import Tensor
from lamina.optim._support import (
    Number,
    ParamsT,
    _use_grad_for_differentiable,
    add_scaled,
    add_scaled_,
    check_fused,
    check_lr,
    check_not_negative,
    evaluate,
    plain,
)
from lamina.optim._together import update_each
from lamina.optim.optimizer import Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent: p -= lr * g, or of a running sum of gradients with momentum.

    State: `momentum_buffer` (as the parameter), only with momentum.
    """

    _late_options = {
        "nesterov": False,
        "maximize": False,
        "foreach": None,
        "differentiable": False,
        "fused": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: Number = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_not_negative("momentum", momentum)
        check_not_negative("weight_decay", weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)

    @_use_grad_for_differentiable
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once."""
        loss = evaluate(closure)
        for group in self.param_groups:
            momentum = group["momentum"]
            params, grads, buffers = [], [], []
            for param in group["params"]:
                grad = param.grad
                if grad is not None:
                    params.append(param)
                    grads.append(grad)
                    # Without momentum there is no state at all, not even an empty entry.
                    buffers.append(self.state[param].get("momentum_buffer") if momentum else None)
            sgd(
                params,
                grads,
                buffers,
                weight_decay=group["weight_decay"],
                momentum=momentum,
                lr=group["lr"],
                dampening=group["dampening"],
                nesterov=group["nesterov"],
                maximize=group["maximize"],
            )
            if momentum:
                for param, buffer in zip(params, buffers, strict=True):
                    self.state[param]["momentum_buffer"] = buffer
        return loss


def sgd(
    params: list[Tensor],
    d_p_list: list[Tensor],
    momentum_buffer_list: list[Tensor | None],
    has_sparse_grad: bool = False,
    foreach: bool | None = None,
    fused: bool | None = None,
    *,
    weight_decay: Number,
    momentum: float,
    lr: Number,
    dampening: float,
    nesterov: bool,
    maximize: bool,
) -> None:
    """One step of SGD over lists; a None in `momentum_buffer_list` is replaced by the new buffer."""
    options = {
        "descent": plain(-lr),
        "weight_decay": plain(weight_decay),
        "momentum": momentum,
        "dampening": dampening,
        "nesterov": nesterov,
        "maximize": maximize,
    }
    columns = params, d_p_list, momentum_buffer_list
    if momentum and any(buffer is None for buffer in momentum_buffer_list):
        momentum_buffer_list[:] = [update(*row, **options) for row in zip(*columns, strict=True)]
    else:
        update_each(update, columns, options)


def update(
    param: Tensor,
    grad: Tensor,
    momentum_buffer: Tensor | None,
    *,
    descent: Number,
    weight_decay: Number,
    momentum: float,
    dampening: float,
    nesterov: bool,
    maximize: bool,
) -> Tensor | None:
    """Update one parameter in place; returns the momentum buffer, made at the first step."""
    if maximize:
        grad = -grad
    if weight_decay != 0:
        grad = add_scaled(grad, param, weight_decay)
    if momentum != 0:
        if momentum_buffer is None:
            momentum_buffer = grad.detach().clone()
        else:
            momentum_buffer.mul_(momentum).add_(grad, alpha=1 - dampening)
        grad = grad.add(momentum_buffer, alpha=momentum) if nesterov else momentum_buffer
    add_scaled_(param, grad, descent)
    return momentum_buffer
