"""What the optimizers share: types, scalars, argument checks, and the walk from a group to lists of tensors.

Every optimizer is built of the same three parts, so that a compiler can take a whole step in one pass:
  coefficients(step, ...)                the numbers that change from step to step; scalar arithmetic only
  update(param, grad, *state, ...)       the update of one parameter, in place; tensor operations only
  <name>(params, grads, *states, ...)    PyTorch's functional form: advances the steps and calls the two
Here is nothing that knows a particular optimizer; the base class is in optimizer.py.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

import lamina
from lamina.autograd import modes
from lamina.core.tensor import Tensor, version
from lamina.optim._together import update_each

ParamsT: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
params_t: TypeAlias = ParamsT
StateDict: TypeAlias = dict[str, Any]
Args: TypeAlias = tuple[Any, ...]
Kwargs: TypeAlias = dict[str, Any]
Number: TypeAlias = float | Tensor


class _RequiredParameter:
    """The default of an option that a parameter group must give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _RequiredParameter()


# ---- scalars -------------------------------------------------------------------------------------------------


def _get_value(x: Number) -> float:
    """The Python number in a 0-d tensor; anything else as it is."""
    return _number_in(x) if isinstance(x, Tensor) else x


def _number_in(x: Tensor) -> float:
    """`x.item()`; while a step is recorded for compilation, a number that stays live."""
    now = modes.current()
    return x.item() if now is None or now.listener is None else now.listener.number(x)  # type: ignore[no-any-return]


def _to_scalar(x: Number) -> Number:
    """A one-element tensor as a 0-d one; anything else as it is."""
    return x.squeeze() if isinstance(x, Tensor) and x.dim() != 0 else x


def _get_scalar_dtype(is_fused: bool | None = None) -> Any:
    """The dtype of step counters: float64 if that is the default dtype, else float32."""
    if is_fused:
        return lamina.float32
    return lamina.float64 if lamina.get_default_dtype() == lamina.float64 else lamina.float32


def scalar_state(value: float = 0.0) -> Tensor:
    """A 0-d state tensor, such as a step counter."""
    return lamina.tensor(float(value), dtype=_get_scalar_dtype())


def plain(x: Number) -> Number:
    """`x` as a number, unless a gradient is wanted through it (differentiable optimizers)."""
    return _number_in(x) if isinstance(x, Tensor) and not x.requires_grad else x


def add_scaled(input: Tensor, other: Tensor, factor: Number) -> Tensor:
    """input + factor * other, as a new tensor."""
    if isinstance(factor, Tensor):
        # `other` is about to be overwritten, while autograd still needs this value.
        return input.addcmul(other.clone(), factor)
    return input.add(other, alpha=factor)


def add_scaled_(input: Tensor, other: Tensor, factor: Number) -> Tensor:
    """input += factor * other."""
    if isinstance(factor, Tensor):
        # As above: `other` may be a state, which the next step overwrites.
        return input.addcmul_(other.clone(), factor)
    return input.add_(other, alpha=factor)


def add_quotient_(input: Tensor, numerator: Tensor, denominator: Tensor, factor: Number) -> Tensor:
    """input += factor * numerator / denominator."""
    if isinstance(factor, Tensor):
        return input.add_(factor * numerator / denominator)
    return input.addcdiv_(numerator, denominator, value=factor)


def maximum_(input: Tensor, other: Tensor, differentiable: bool) -> Tensor:
    """input = max(input, other), element by element."""
    kept = input.clone() if differentiable else input  # the gradient of the larger one needs both as they are
    return input.copy_(kept.maximum(other))


def root(
    average: Tensor, eps: float, differentiable: bool, *, divisor: Number | None = None, owned: bool = False
) -> Tensor:
    """sqrt(average) / divisor + eps, as a new tensor; in the memory of `average` if it is the caller's to give.

    sqrt keeps its result for backward, so that may be overwritten only where nothing is recorded.
    """
    if differentiable:
        result = average.sqrt()
        return (result if divisor is None else result / divisor) + eps
    result = average.sqrt_() if owned else average.sqrt()
    if divisor is not None:
        result.div_(divisor)
    return result.add_(eps)


def decay_square_(average: Tensor, grad: Tensor, beta: Number) -> Tensor:
    """average = beta * average + (1 - beta) * grad**2, in place."""
    keep = plain(1 - beta)
    if isinstance(keep, Tensor):
        return average.lerp_(grad.square(), keep)
    return average.mul_(beta).addcmul_(grad, grad, value=keep)


# ---- one step ------------------------------------------------------------------------------------------------


def _use_grad_for_differentiable(func: Callable[..., Any]) -> Callable[..., Any]:
    """Run an optimizer's `step` without grad mode, or with it if the optimizer is differentiable."""

    @functools.wraps(func)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = modes.current()
        try:
            modes.set_current(modes.with_grad(before, self.defaults.get("differentiable", False)))
            return func(self, *args, **kwargs)
        finally:
            modes.set_current(before)

    return step


def step_each(
    update: Callable[..., None],
    lists: Sequence[list[Any]],
    state_steps: list[Tensor],
    coefficients: Callable[..., dict[str, Number]],
    scalar_states: Sequence[list[Tensor]] = (),
    *,
    differentiable: bool = False,
    by_element: bool = True,
    **options: Any,
) -> None:
    """Advance every step counter and call `update(param, grad, *state, **options, **numbers)` for each parameter.

    `lists` are parameters, gradients and states. `numbers` is what `coefficients(step, *scalars)` returns; it is
    computed once for all parameters that are at the same step, unless there are 0-d states (`scalar_states`), which
    `coefficients` may change. `by_element`: `update` looks at each element alone, so that it may be given several
    parameters as one.
    """
    now = modes.current()
    live = now is not None and now.listener is not None  # then steps are not known to be equal
    alone = live or differentiable or not by_element
    run = on_copies(update) if differentiable else update
    options["differentiable"] = differentiable
    last: float | None = None
    numbers: dict[str, Number] = {}
    columns = real_views(*lists)
    start = 0  # from here on, rows take the same numbers
    for i, counter in enumerate(state_steps):
        step, before = advanced(counter), numbers
        if scalar_states:
            numbers = coefficients(step, *[states[i] for states in scalar_states])
        elif live or step != last:
            last, numbers = step, coefficients(step)
        if alone:
            run(*[column[i] for column in columns], **options, **numbers)
        elif i > start and numbers is not before and numbers != before:
            update_each(update, [column[start:i] for column in columns], options | before)
            start = i
    if not alone:
        update_each(update, [column[start:] for column in columns] if start else columns, options | numbers)


def advanced(counter: Tensor) -> float:
    """The number in a step counter after one more step."""
    if modes.current() is modes.NO_GRAD and counter.__class__ is Tensor and counter._more is None:
        kind = counter._kind
        if kind.plain and kind.category == 2:
            array = counter._array
            np.add(array, 1, array, dtype=kind.np)
            version(counter).bump("add_", None)
            return float(array)
    counter += 1
    return _get_value(counter)


def evaluate(closure: Callable[[], Any] | None) -> Any:
    """The closure's loss, computed with gradients; None without a closure."""
    if closure is None:
        return None
    with lamina.enable_grad():
        return closure()


def gather(
    optimizer: Any,
    group: dict[str, Any],
    names: Sequence[str],
    initial: Callable[[Tensor, dict[str, Any]], dict[str, Any]],
    sparse_error: str | None = None,
) -> tuple[Any, ...]:
    """(params, grads, one list per state name): the parameters of `group` that have a gradient.

    A parameter without state gets `initial(param, group)`. A state that an option leaves out is None.

    Raises
    ------
    RuntimeError
        If a gradient is sparse.
    """
    params: list[Tensor] = []
    grads: list[Tensor] = []
    columns: tuple[list[Any], ...] = tuple([] for _ in names)
    states = optimizer.state
    for param in group["params"]:
        grad = param.grad
        if grad is None:
            continue
        if grad.is_sparse:
            raise RuntimeError(sparse_error or f"{type(optimizer).__name__} does not support sparse gradients")
        state = states[param]
        if not state:
            state.update(initial(param, group))
        params.append(param)
        grads.append(grad)
        for name, column in zip(names, columns, strict=True):
            column.append(state.get(name))
    if group.get("capturable") and params:
        raise_not_capturable(names)
    return params, grads, *columns


def real_view(tensor: Tensor | None) -> Tensor | None:
    """A complex tensor as real, with the parts as a last dimension: the memory is shared."""
    return lamina.view_as_real(tensor) if tensor is not None and tensor.is_complex() else tensor


def real_views(*lists: list[Any]) -> list[list[Any]]:
    """The lists with every complex tensor replaced by its real view, if there is one."""
    if not any(param.is_complex() for param in lists[0]):
        return list(lists)
    return [[real_view(tensor) for tensor in tensors] for tensors in lists]


def _view_as_real(params: list[Tensor], *state_and_grads: list[Any]) -> None:
    """Replace complex tensors in the lists by their real views."""
    for i, param in enumerate(params):
        if param.is_complex():
            params[i] = lamina.view_as_real(param)
            for tensors in state_and_grads:
                tensors[i] = lamina.view_as_real(tensors[i])


def on_copies(update: Callable[..., None]) -> Callable[..., None]:
    """`update` for differentiable optimizers: it works on copies of the states and writes them back.

    The states of one step are then never modified by the next, which autograd would refuse.
    """

    def run(param: Tensor, grad: Tensor, *states: Tensor | None, **options: Any) -> None:
        copies = [None if state is None else state.clone() for state in states]
        update(param, grad, *copies, **options)
        for state, copy in zip(states, copies, strict=True):
            if state is not None:
                state.copy_(copy)

    return run


# ---- arguments -----------------------------------------------------------------------------------------------


def check_lr(lr: Number, *, foreach: bool | None = None, capturable: bool = True) -> None:
    """Raise PyTorch's errors for a learning rate."""
    if isinstance(lr, Tensor):
        if foreach and not capturable:
            raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")
        if lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
    if not 0.0 <= lr:
        raise ValueError(f"Invalid learning rate: {lr}")


def check_not_negative(name: str, value: Number) -> None:
    if not 0.0 <= value:
        raise ValueError(f"Invalid {name} value: {value}")


def check_eps(eps: float) -> None:
    if not 0.0 <= eps:
        raise ValueError(f"Invalid epsilon value: {eps}")


def check_betas(betas: Sequence[Number]) -> None:
    for index in (0, 1):
        if not 0.0 <= betas[index] < 1.0:
            raise ValueError(f"Invalid beta parameter at index {index}: {betas[index]}")


def check_fused(fused: bool | None, foreach: bool | None, differentiable: bool) -> None:
    """Raise PyTorch's errors for combinations with `fused` (which has no other effect here)."""
    if not fused:
        return
    if differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


def _get_capturable_supported_devices(supports_xla: bool = True) -> list[str]:
    """Devices whose kernels could be captured with tensors as step counters; a CPU is none of them."""
    return ["cuda", "xpu", "hpu", "privateuseone", *(["xla"] if supports_xla else [])]


def raise_not_capturable(names: Sequence[str]) -> None:
    """Raise the error for capturable=True, which no device here supports."""
    extra = {"mu_product": "mu_products", "mu": "mus", "eta": "etas"}
    scalars = [label for name, label in extra.items() if name in names]
    tensors = ", ".join(["params", *scalars])
    listed = f"{tensors}, and" if len(scalars) > 1 else f"{tensors} and"
    raise AssertionError(
        f"If capturable=True, {listed} state_steps must be on supported devices: {_get_capturable_supported_devices()}."
    )
