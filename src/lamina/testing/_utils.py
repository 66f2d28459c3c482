"""Small helpers of test programs: fixed seeds."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import lamina


@contextlib.contextmanager
def freeze_rng_state() -> Iterator[None]:
    """A context after which the random stream goes on as if it had not been."""
    before = lamina.get_rng_state()
    try:
        yield
    finally:
        lamina.set_rng_state(before)


def wrapper_set_seed(op: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """`op(*args, **kwargs)` under a fixed seed; the random stream is as before."""
    with freeze_rng_state():
        lamina.manual_seed(42)
        return op(*args, **kwargs)
