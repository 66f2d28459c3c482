"""Adam and AdamW: steps scaled by running means of the gradient and of its square."""

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
    check_fused,
    check_lr,
    check_not_negative,
    decay_square_,
    evaluate,
    gather,
    maximum_,
    plain,
    root,
    scalar_state,
    step_each,
)
from lamina.optim.optimizer import Optimizer


class Adam(Optimizer):
    """Adam: p -= lr * m / (sqrt(v) + eps), m and v being bias-corrected means of g and g**2.

    State: `step` (0-d), `exp_avg`, `exp_avg_sq` and, with amsgrad, `max_exp_avg_sq` (as the parameter).
    Source: Kingma and Ba, arXiv:1412.6980; amsgrad: Reddi et al., ICLR 2018.
    """

    _late_options = {
        "amsgrad": False,
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
        "fused": None,
    }
    _scalar_states = ("step",)

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_lr(lr, foreach=foreach, capturable=capturable)
        check_eps(eps)
        check_betas(betas)
        check_not_negative("weight_decay", weight_decay)
        _check_tensor_betas(betas, foreach=foreach, capturable=capturable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)

    @_use_grad_for_differentiable
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once."""
        loss = evaluate(closure)
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, steps = gather(
                self,
                group,
                ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step"),
                _initial_state,
                "Adam does not support sparse gradients, please consider SparseAdam instead",
            )
            adam(
                params,
                grads,
                exp_avgs,
                exp_avg_sqs,
                max_exp_avg_sqs,
                steps,
                differentiable=group["differentiable"],
                decoupled_weight_decay=group["decoupled_weight_decay"],
                amsgrad=group["amsgrad"],
                beta1=beta1,
                beta2=beta2,
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                maximize=group["maximize"],
            )
        return loss


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameter itself instead of entering the means.

    State: as Adam's. Source: Loshchilov and Hutter, arXiv:1711.05101.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True


def _check_tensor_betas(betas: tuple[Number, Number], *, foreach: bool | None, capturable: bool) -> None:
    tensors = [isinstance(beta, Tensor) for beta in betas]
    if not any(tensors):
        return
    if not all(tensors):
        raise ValueError("betas must be either both floats or both Tensors")
    for i, beta in enumerate(betas):
        if foreach and not capturable:
            raise ValueError(f"betas[{i}] as a Tensor is not supported for capturable=False and foreach=True")
        if beta.numel() != 1:
            raise ValueError(f"Tensor betas[{i}] must be 1-element")


def _initial_state(param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
    state = {
        "step": scalar_state(),
        "exp_avg": lamina.zeros_like(param),
        "exp_avg_sq": lamina.zeros_like(param),
    }
    if group["amsgrad"]:
        state["max_exp_avg_sq"] = lamina.zeros_like(param)
    return state


def adam(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_avg_sqs: list[Tensor],
    max_exp_avg_sqs: list[Tensor | None],
    state_steps: list[Tensor],
    foreach: bool | None = None,
    capturable: bool = False,
    differentiable: bool = False,
    fused: bool | None = None,
    has_complex: bool = False,
    decoupled_weight_decay: bool = False,
    *,
    amsgrad: bool,
    beta1: Number,
    beta2: Number,
    lr: Number,
    weight_decay: float,
    eps: float,
    maximize: bool,
) -> None:
    """One step of Adam over lists; parameters, states and step counters change in place."""
    step_each(
        update,
        (params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs if amsgrad else [None] * len(params)),
        state_steps,
        partial(coefficients, lr=lr, beta1=beta1, beta2=beta2, weight_decay=weight_decay),
        differentiable=differentiable,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        weight_decay=weight_decay,
        decoupled=decoupled_weight_decay,
        maximize=maximize,
    )


def coefficients(step: float, *, lr: Number, beta1: Number, beta2: Number, weight_decay: float) -> dict[str, Number]:
    """The numbers of this step: signed step size, bias correction of the root mean square, shrinkage."""
    return {
        "descent": plain(-(lr / (1 - beta1**step))),
        "root_correction": plain((1 - beta2**step) ** 0.5),
        "shrink": plain(1 - lr * weight_decay),
    }


def update(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    max_exp_avg_sq: Tensor | None,
    *,
    beta1: Number,
    beta2: Number,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
    differentiable: bool,
    descent: Number,
    root_correction: Number,
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
    if max_exp_avg_sq is not None:
        exp_avg_sq = maximum_(max_exp_avg_sq, exp_avg_sq, differentiable)
    add_quotient_(param, exp_avg, root(exp_avg_sq, eps, differentiable, divisor=root_correction), descent)
