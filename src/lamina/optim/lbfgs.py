"""LBFGS: quasi-Newton steps from the last few changes of the gradient.

The line search is in _line_search.py.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.optim._line_search import strong_wolfe
from lamina.optim._support import Number, ParamsT, _get_value, check_lr
from lamina.optim.optimizer import Optimizer


class LBFGS(Optimizer):
    """Limited-memory BFGS, for one parameter group; each `step` makes up to `max_iter` iterations.

    State, held by the first parameter: `func_evals`, `n_iter`, the direction `d`, the step length `t`, the
    history (`old_dirs`, `old_stps`, `ro`, `H_diag`), `prev_flat_grad`, `prev_loss`.
    Source: Nocedal and Wright, Numerical Optimization, algorithms 7.4 and 7.5.

    Parameters
    ----------
    line_search_fn : "strong_wolfe" or None
        Without a line search every step has length `lr`.

    Raises
    ------
    ValueError
        If there is more than one parameter group.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_lr(lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params: list[Tensor] = self.param_groups[0]["params"]

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._params = self.param_groups[0]["params"]

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Minimize `closure`, which computes the loss and its gradients; returns the loss before the step."""
        with lamina.no_grad():
            return self._minimize(lamina.enable_grad()(closure))

    def _minimize(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        lr = _get_value(group["lr"])
        search = group["line_search_fn"]
        if search not in (None, "strong_wolfe"):
            raise RuntimeError("only 'strong_wolfe' is supported")
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        first_loss = closure()
        loss = float(first_loss.detach())
        evaluations = 1
        state["func_evals"] += 1
        gradient = self._flat_grad()
        if _largest(gradient) <= group["tolerance_grad"]:
            return first_loss

        direction, length = state.get("d"), state.get("t")
        iterations = 0
        while iterations < group["max_iter"]:
            iterations += 1
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                direction = -gradient
                state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            else:
                direction = _quasi_newton(state, gradient, direction, length, group["history_size"])
            # A flat gradient is made anew at each evaluation: it may be kept without a copy.
            state["prev_flat_grad"], state["prev_loss"] = gradient, loss

            length = min(1.0, 1.0 / gradient.abs().sum()) * lr if state["n_iter"] == 1 else lr
            slope = gradient.dot(direction)
            if slope > -group["tolerance_change"]:
                break

            calls = 0
            if search is not None:
                start = [param.clone() for param in self._params]

                evaluate = partial(self._evaluate, closure, start, direction)
                loss, gradient, length, calls = strong_wolfe(evaluate, length, direction, loss, gradient, slope)
                self._move(length, direction)
            else:
                self._move(length, direction)
                if iterations != group["max_iter"]:
                    loss = float(closure().detach())
                    gradient = self._flat_grad()
                    calls = 1
            evaluations += calls
            state["func_evals"] += calls

            if (
                iterations == group["max_iter"]
                or evaluations >= group["max_eval"]
                or _largest(gradient) <= group["tolerance_grad"]
                or _largest(direction.mul(length)) <= group["tolerance_change"]
                or abs(loss - state["prev_loss"]) < group["tolerance_change"]
            ):
                break
        state["d"], state["t"] = direction, length
        return first_loss

    def _evaluate(
        self, closure: Callable[[], Any], start: list[Tensor], direction: Tensor, length: Number
    ) -> tuple[float, Tensor]:
        """Loss and gradient at start + length * direction; the parameters are `start` again afterwards."""
        self._move(length, direction)
        loss, gradient = float(closure().detach()), self._flat_grad()
        for param, value in zip(self._params, start, strict=True):
            param.copy_(value)
        return loss, gradient

    def _flat_grad(self) -> Tensor:
        """All gradients as one vector; a complex one counts as its real and imaginary parts."""
        parts = []
        for param in self._params:
            grad = param.new_zeros(param.numel()) if param.grad is None else param.grad
            grad = grad.to_dense() if grad.is_sparse else grad
            parts.append((lamina.view_as_real(grad) if grad.is_complex() else grad).reshape(-1))
        return lamina.cat(parts, 0)

    def _move(self, length: Number, direction: Tensor) -> None:
        """params += length * direction."""
        offset, length = 0, _get_value(length)
        for param in self._params:
            target = lamina.view_as_real(param) if param.is_complex() else param
            count = target.numel()
            target.add_(direction[offset : offset + count].view_as(target), alpha=length)
            offset += count


def _largest(vector: Tensor) -> float:
    return _get_value(vector.abs().max())


def _quasi_newton(
    state: dict[str, Any], gradient: Tensor, direction: Tensor, length: Number, history_size: int
) -> Tensor:
    """The next direction: minus the inverse Hessian, as the history knows it, times the gradient."""
    changes, moves, curvatures = state["old_dirs"], state["old_stps"], state["ro"]
    change = gradient.sub(state["prev_flat_grad"])
    move = direction.mul(length)
    curvature = change.dot(move)
    if curvature > 1e-10:
        if len(changes) == history_size:
            for history in (changes, moves, curvatures):
                history.pop(0)
        changes.append(change)
        moves.append(move)
        curvatures.append(1.0 / curvature)
        state["H_diag"] = curvature / change.dot(change)

    # The two loops: back through the history, then forward.
    weights = state.setdefault("al", [None] * history_size)
    result = gradient.neg()
    for i in reversed(range(len(changes))):
        weights[i] = moves[i].dot(result) * curvatures[i]
        result.add_(changes[i], alpha=-_get_value(weights[i]))
    result = result.mul(state["H_diag"])
    for i in range(len(changes)):
        weight = weights[i] - changes[i].dot(result) * curvatures[i]
        result.add_(moves[i], alpha=_get_value(weight))
    return result
