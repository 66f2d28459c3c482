"""SparseAdam: Adam that touches only the rows for which the gradient has entries."""

from collections.abc import Callable
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.optim._support import Number, ParamsT, _get_value, check_betas, evaluate
from lamina.optim.optimizer import Optimizer


class SparseAdam(Optimizer):
    """Masked Adam for sparse gradients; parameters and moments are dense.

    State: `step` (int), `exp_avg`, `exp_avg_sq` (as the parameter).

    Raises
    ------
    ValueError
        If a parameter is sparse or complex.
    RuntimeError
        In `step`, if a gradient is dense.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not 0.0 < lr:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not 0.0 < eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        check_betas(betas)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        places = [(i, j, p) for i, group in enumerate(self.param_groups) for j, p in enumerate(group["params"])]
        sparse = [[i, j] for i, j, param in places if param.is_sparse]
        if sparse:
            raise ValueError(f"Sparse params at indices {sparse}: SparseAdam requires dense parameter tensors")
        complex_ = [[i, j] for i, j, param in places if param.is_complex()]
        if complex_:
            raise ValueError(f"Complex params at indices {complex_}: SparseAdam does not support complex parameters")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once."""
        with lamina.no_grad():
            loss = evaluate(closure)
            for group in self.param_groups:
                self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        params = [param for param in group["params"] if param.grad is not None]
        if not all(param.grad.is_sparse for param in params):
            raise RuntimeError("SparseAdam does not support dense gradients, please consider Adam instead")
        beta1, beta2 = group["betas"]
        for param in params:
            state = self.state[param]
            if not state:
                state["step"] = 0
                state["exp_avg"] = lamina.zeros_like(param)
                state["exp_avg_sq"] = lamina.zeros_like(param)
            state["step"] += 1
            update(
                param,
                param.grad,
                state["exp_avg"],
                state["exp_avg_sq"],
                step=state["step"],
                beta1=beta1,
                beta2=beta2,
                lr=_get_value(group["lr"]),
                eps=group["eps"],
                maximize=group["maximize"],
            )


def sparse_adam(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_avg_sqs: list[Tensor],
    state_steps: list[int],
    *,
    eps: float,
    beta1: float,
    beta2: float,
    lr: float,
    maximize: bool,
) -> None:
    """One step of SparseAdam over lists; the steps (numbers) are those of this step already."""
    for param, grad, exp_avg, exp_avg_sq, step in zip(params, grads, exp_avgs, exp_avg_sqs, state_steps, strict=True):
        update(
            param,
            grad,
            exp_avg,
            exp_avg_sq,
            step=step,
            beta1=beta1,
            beta2=beta2,
            lr=lr,
            eps=eps,
            maximize=maximize,
        )


def update(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    *,
    step: int,
    beta1: float,
    beta2: float,
    lr: float,
    eps: float,
    maximize: bool,
) -> None:
    """Update the rows of one parameter, and of its moments, that the sparse `grad` names."""
    grad = grad.coalesce()
    values = grad.values()
    if values.numel() == 0:
        return
    if maximize:
        values = -values
    rows = tuple(grad.indices())
    first = exp_avg[rows].lerp_(values, 1 - beta1)
    second = exp_avg_sq[rows]
    second.add_(values.square().sub_(second).mul_(1 - beta2))
    exp_avg[rows] = first
    exp_avg_sq[rows] = second
    step_size = lr * (1 - beta2**step) ** 0.5 / (1 - beta1**step)
    param.index_put_(rows, first.div_(second.sqrt_().add_(eps)).mul_(-step_size), accumulate=True)
