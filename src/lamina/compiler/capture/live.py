"""Live numbers: Python floats of an optimizer's options that a recording must not freeze.

While a step is recorded, `group["lr"]` and its like are `Live`: floats that know which value of the graph they are. Arithmetic on them
is recorded (in float64, as Python computes); as an operand of a tensor they enter the graph. A comparison freezes the answer: it becomes
a guard. Here: this class. Not here: which numbers are live (api.py puts them into the param_groups).
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from sys import getrefcount
from types import CellType
from typing import Any

from lamina.autograd import modes
from lamina.primitives.primitive import PRIMITIVES


class Live(float):
    """A float with a place in the graph. `read`: gives its value at a later call, if it is read and not computed."""

    __slots__ = ("label", "read", "recorder", "ref")
    recorder: Any
    ref: Any
    read: Callable[[], float] | None
    label: str

    @staticmethod
    def make(value: float, recorder: Any, ref: Any, read: Callable[[], float] | None = None, label: str = "") -> Live:
        made = Live(value)
        made.recorder, made.ref, made.read, made.label = recorder, ref, read, label
        recorder.lives.append(made)
        return made

    def pin(self, where: str) -> None:
        """The recording holds for this value only."""
        self.recorder.pinned(self, float(self), where)

    def heard(self) -> bool:
        """Whether this thread's run is the one that is recorded; for another thread it is a float like any other."""
        now = modes.current()
        return now is not None and now.listener is self.recorder

    def _asked(self, answer: bool, question: Callable[[float], bool]) -> bool:
        if self.heard():
            self.recorder.asked(self, question, answer)
        return answer

    def __eq__(self, other: object) -> bool:
        return self._asked(float(self) == other, lambda x: x == other)

    def __ne__(self, other: object) -> bool:
        return self._asked(float(self) != other, lambda x: x != other)

    def __lt__(self, other: Any) -> bool:
        return self._asked(float(self) < other, lambda x: x < other)

    def __le__(self, other: Any) -> bool:
        return self._asked(float(self) <= other, lambda x: x <= other)

    def __gt__(self, other: Any) -> bool:
        return self._asked(float(self) > other, lambda x: x > other)

    def __ge__(self, other: Any) -> bool:
        return self._asked(float(self) >= other, lambda x: x >= other)

    def __bool__(self) -> bool:
        return self._asked(float(self) != 0, lambda x: x != 0)

    __hash__ = float.__hash__

    def __reduce__(self) -> Any:
        return float, (float(self),)

    def __copy__(self) -> float:
        return float(self)

    def __deepcopy__(self, memo: Any) -> float:
        return float(self)

    def _computed(self, name: str, operands: tuple[Any, ...], value: float) -> float:
        return self.recorder.scalar(name, PRIMITIVES[name], operands, value) if self.heard() else value

    def __neg__(self) -> float:
        return self._computed("neg", (self,), -float(self))

    def __abs__(self) -> float:
        return self._computed("abs", (self,), abs(float(self)))


def forget(lives: list[Live]) -> None:
    """The run is over: who kept one of its live numbers, such as a scheduler, or a list of learning rates, has a plain one instead."""
    kept = {id(n): float(n) for n in lives if getrefcount(n) > _ALONE}
    holders = gc.get_referrers(*(n for n in lives if id(n) in kept)) if kept else []
    for holder in holders:
        if holder is lives:
            continue
        if isinstance(holder, list):
            holder[:] = [kept.get(id(v), v) for v in holder]
        elif isinstance(holder, CellType):
            holder.cell_contents = kept[id(holder.cell_contents)]
        else:
            state = holder if isinstance(holder, dict) else getattr(holder, "__dict__", None)
            if isinstance(state, dict):
                state.update({k: kept[id(v)] for k, v in state.items() if id(v) in kept})
    lives.clear()


def _references(lives: list[Live]) -> int:
    """How many references `forget` finds to a live number that nobody else holds."""
    return next(getrefcount(n) for n in lives)


def _binary(name: str, operation: Callable[[float, float], float], swapped: bool) -> Any:
    def method(self: Live, other: Any) -> Any:
        if not isinstance(other, (int, float)):
            return NotImplemented
        pair = (other, self) if swapped else (self, other)
        return self._computed(name, pair, operation(*map(float, pair)))

    return method


for _symbol, _name, _operation in (
    ("add", "add", float.__add__), ("sub", "sub", float.__sub__), ("mul", "mul", float.__mul__),
    ("truediv", "true_divide", float.__truediv__), ("pow", "pow", float.__pow__),
):  # fmt: skip
    setattr(Live, f"__{_symbol}__", _binary(_name, _operation, False))
    setattr(Live, f"__r{_symbol}__", _binary(_name, _operation, True))

_ALONE = _references([Live(0.0)])
