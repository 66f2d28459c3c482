"""`Variable`: a Tensor's old name, and the function that once made one."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.autograd import engine, modes
from lamina.core.tensor import Tensor, wrap
from lamina.core.warn import warn


class VariableMeta(type):
    """Every Tensor is a Variable."""

    def __instancecheck__(cls, other: object) -> bool:
        return isinstance(other, Tensor)


class _Engine:
    """What programs call on `Variable._execution_engine`."""

    queue_callback = staticmethod(engine.queue_callback)

    def is_checkpoint_valid(self) -> bool:
        """Whether a reentrant checkpoint may run in this backward: not where only some inputs accumulate."""
        run = engine.current_run()
        return run is None or run.captures is None


class Variable(metaclass=VariableMeta):
    """`Variable(tensor, requires_grad)`: a new leaf over the same memory."""

    __module__ = "torch.autograd.variable"
    _execution_engine = _Engine()

    def __new__(cls, data: Any = None, requires_grad: bool = False, volatile: bool | None = None) -> Any:
        if volatile is not None:
            warn("volatile was removed and now has no effect. Use `with torch.no_grad():` instead.")
        if data is None:
            data = wrap(np.empty(0, np.float32))
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        with modes.no_grad():
            made: Any = data.detach()
        return made.requires_grad_(requires_grad)
