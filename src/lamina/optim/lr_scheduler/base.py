"""The base class of learning rate schedulers, and what they do to a group's options.

No schedule lives here: decay.py, cosine.py, cyclic.py, plateau.py, combined.py.
"""

import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any
from weakref import ref

from lamina.core.tensor import Tensor
from lamina.core.warn import warn
from lamina.optim.optimizer import Optimizer, _to_scalar

EPOCH_DEPRECATION_WARNING = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. "
    "Please use `scheduler.step()` to step the scheduler. During the deprecation, if epoch is different from None, "
    "the closed form is used instead of the new chainable form, where available. "
    "Please open an issue if you are unable to replicate your use case: "
    "https://github.com/pytorch/pytorch/issues/new/choose."
)
_SEE = "See more details at https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"


class LRScheduler:
    """Base class of schedulers: `step()` sets each group's "lr" to what `get_lr()` computes.

    The first values are set when the scheduler is made. `last_epoch` counts the steps from 0; given as something
    else than -1 it resumes a run, and the groups must then have "initial_lr".

    Raises
    ------
    TypeError
        If `optimizer` is no Optimizer.
    KeyError
        If a resumed group has no "initial_lr".
    """

    _get_lr_called_within_step: bool = False
    _is_initial: bool = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", _copied(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming scheduler with "
                    "last_epoch >= 0.\nThis typically happens when:\n1. You're trying to resume training from a "
                    "checkpoint but haven't properly loaded the optimizer state\n2. You're using last_epoch >= 0 for "
                    "a fresh training run (not recommended)"
                )
        self.base_lrs: list[Any] = values_of(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        _watch_steps(optimizer)
        self._initial_step()

    def _initial_step(self) -> None:
        """Set the first learning rates."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimizer."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a dict made by `state_dict()`."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list[Any]:
        """The learning rates last set, one per group."""
        return self._last_lr

    def get_lr(self) -> list[Any]:
        """The next learning rates, from the present ones; for `step()` only."""
        raise NotImplementedError

    def step(self, epoch: int | None = None) -> None:
        """Move on by one epoch, or (deprecated) to the given one."""
        if self._step_count == 1:
            self._warn_about_order()
        self._step_count += 1
        if epoch is not None:
            warn(EPOCH_DEPRECATION_WARNING, UserWarning)
        self._update_lr(epoch)

    def _warn_about_order(self) -> None:
        if not hasattr(self.optimizer.step, "_wrapped_by_lr_sched"):
            warn(
                "Seems like `optimizer.step()` has been overridden after learning rate scheduler initialization. "
                "Please, make sure to call `optimizer.step()` before `lr_scheduler.step()`. " + _SEE,
                UserWarning,
            )
        elif not getattr(self.optimizer, "_opt_called", False):
            warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. In PyTorch 1.1.0 and later, you "
                "should call them in the opposite order: `optimizer.step()` before `lr_scheduler.step()`.  Failure "
                "to do this will result in PyTorch skipping the first value of the learning rate schedule. " + _SEE,
                UserWarning,
            )

    def _update_lr(self, epoch: int | None = None) -> None:
        with inside_step(self):
            if epoch is None:
                self.last_epoch += 1
                values = self.get_lr()
            else:
                self.last_epoch = epoch
                values = getattr(self, "_get_closed_form_lr", self.get_lr)()
        set_lrs(self, values)


class _LRScheduler(LRScheduler):
    """The base class under its old name."""


def check_optimizer(optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def set_lrs(scheduler: LRScheduler, values: Sequence[Any]) -> None:
    """Set the learning rates of all groups, and remember them as the last."""
    for group, lr in zip(scheduler.optimizer.param_groups, values, strict=True):
        set_option(group, "lr", lr)
    scheduler._last_lr = values_of(scheduler.optimizer, "lr")


def set_option(group: dict[str, Any], key: str, value: Any) -> None:
    """Set an option; one that is a tensor stays the same tensor."""
    if isinstance(group[key], Tensor):
        group[key].fill_(_to_scalar(value))
    else:
        group[key] = value


def values_of(optimizer: Optimizer, key: str) -> list[Any]:
    """An option of all groups; tensors are copied, since set_option changes them in place."""
    return [_copied(group[key]) for group in optimizer.param_groups]


def per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """`value` once per group, or the given list of one value per group."""
    count = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [value] * count
    if len(value) != count:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. "
            f"{name} has {len(value)} values, param_groups has {count}."
        )
    return list(value)


def present_lrs(scheduler: LRScheduler) -> list[Any]:
    """The groups' learning rates, as copies."""
    return values_of(scheduler.optimizer, "lr")


def warn_if_outside_step(scheduler: LRScheduler) -> None:
    """Warn a caller of `get_lr()` who means `get_last_lr()`."""
    if not scheduler._get_lr_called_within_step:
        warn(
            "To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
            UserWarning,
        )


def function_state(function: Callable[..., Any]) -> dict[str, Any] | None:
    """What a state dict holds of a user's function: its attributes if it is an object, else nothing."""
    return None if isinstance(function, types.FunctionType) else function.__dict__.copy()


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


@contextmanager
def inside_step(scheduler: LRScheduler) -> Iterator[None]:
    """Mark calls of `get_lr()` as the scheduler's own."""
    scheduler._get_lr_called_within_step = True
    try:
        yield
    finally:
        scheduler._get_lr_called_within_step = False


def _watch_steps(optimizer: Optimizer) -> None:
    """Make the optimizer note that its `step` was called, for the warning about the order of calls."""
    step = optimizer.step
    if hasattr(step, "_wrapped_by_lr_sched"):
        return
    function = getattr(step, "__func__", step)
    bound = function is not step
    owner = ref(optimizer)  # the wrapper lives in the optimizer: a cycle would keep its tensors alive

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        optimizer = owner()
        optimizer._opt_called = True  # type: ignore[union-attr]
        return function(optimizer, *args, **kwargs) if bound else function(*args, **kwargs)

    wrapper._wrapped_by_lr_sched = True  # type: ignore[attr-defined]
    optimizer.step = wrapper  # type: ignore[method-assign]
