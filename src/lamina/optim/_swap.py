"""swap_in_optimizer_params_and_state: an optimizer lent to other tensors for a while."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

from lamina.core.tensor import Tensor
from lamina.optim.optimizer import Optimizer


@contextmanager
def swap_in_optimizer_params_and_state(
    optimizer: Optimizer, swapin_parameters: dict[str, Tensor], swapin_optim_state: dict[str, Any]
) -> Iterator[None]:
    """Within the context `optimizer` works on the given parameters and state; afterwards on its own again.

    Parameters
    ----------
    swapin_parameters : dict of Tensor
        In the order of the optimizer's parameters; the names are not looked at.
    swapin_optim_state : dict
        As `state_dict()` makes it. Its tensors change in place; nothing else is written back.

    Raises
    ------
    RuntimeError
        If the optimizer has no state yet, or the numbers of groups or parameters differ.
    """
    if not optimizer.state:
        raise RuntimeError("swap_in_optimizer_params_and_state requires initialized optimizer state.")
    own_groups, own_state = optimizer.param_groups, optimizer.state
    groups = swapin_optim_state["param_groups"]
    if len(groups) != len(own_groups):
        raise RuntimeError("swapin_optim_state has a different number of parameter groups than the live optimizer.")
    for i, (group, own) in enumerate(zip(groups, own_groups, strict=True)):
        if len(group["params"]) != len(own["params"]):
            raise RuntimeError(
                f"swapin_optim_state param group {i} has a different number of params than the live optimizer "
                "param group."
            )
    numbers = list(chain.from_iterable(group["params"] for group in groups))
    if len(numbers) != len(swapin_parameters):
        raise RuntimeError(
            "swap_in_optimizer_params_and_state requires the explicit parameter state to match "
            "optimizer.param_groups ordering."
        )
    tensors = dict(zip(numbers, swapin_parameters.values(), strict=True))
    extra = [key for key in swapin_optim_state["state"] if key not in tensors]
    if extra:
        raise RuntimeError(
            "swap_in_optimizer_params_and_state requires swapin_optim_state['state'] to be keyed only by packed "
            f"parameter ids from param_groups[*]['params']; got extra keys {extra}."
        )
    state: defaultdict[Tensor, Any] = defaultdict(dict)
    for number, values in swapin_optim_state["state"].items():
        state[tensors[number]] = dict(values)
    optimizer.state = state
    optimizer.param_groups = [{**group, "params": [tensors[n] for n in group["params"]]} for group in groups]
    try:
        yield
    finally:
        optimizer.param_groups, optimizer.state = own_groups, own_state
