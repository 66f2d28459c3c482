"""Updates of small parameters: on bare values, of many parameters as of one.

A small parameter's update costs what its calls cost, not its arithmetic. So where nothing listens and nobody else looks at the memory,
the values of such parameters, and of their states, are laid side by side, the text of an update runs on them once, and what it wrote is
brought back. Here: which parameters, the joining, the way back. Not here: any rule of an optimizer; the arithmetic (_values.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref

import numpy as np

from lamina.autograd import modes, views
from lamina.core.parameter import Parameter
from lamina.core.strided import Array
from lamina.core.tensor import Tensor, version
from lamina.core.version import users_place
from lamina.optim._values import Values

SMALL = 4096  # elements: beyond, an update's arithmetic costs more than its calls
GRADIENT = 1  # the column that is only read
Columns = Sequence[Sequence[Any]]


def update_each(update: Callable[..., Any], columns: Columns, options: dict[str, Any]) -> None:
    """Call `update(param, grad, *states, **options)` for each row of the columns: parameters, gradients, states.

    What it computes of an element depends on that element alone.
    """
    params = columns[0]
    if params and modes.current() is modes.NO_GRAD and not any(isinstance(v, Tensor) for v in options.values()):
        joined = _known.get(id(params[0]))
        if joined is None or not joined.fits(columns):
            joined = _known[id(params[0])] = Joined(columns)
        joined.run(update, columns, options)
        rest: Sequence[int] = joined.rest
    else:
        rest = range(len(params))
    for i in rest:
        update(*[column[i] for column in columns], **options)


class Joined:
    """Which rows can be updated together, and the memory for it."""

    def __init__(self, columns: Columns) -> None:
        params = columns[0]
        key = id(params[0])
        self.owner = ref(params[0], lambda _: _known.pop(key, None))
        self.count, self.kind = len(params), params[0]._kind
        self.form = [column[0] is not None for column in columns]
        seen: set[int] = set()
        self.rows = [i for i in range(self.count) if self._joins([column[i] for column in columns], seen)]
        self.rest = [i for i in range(self.count) if i not in self.rows]
        self.shapes = [params[i]._array.shape for i in self.rows]
        size = sum(params[i]._array.size for i in self.rows)
        # by column: the memory side by side, the rows' arrays, and for each row its part of the memory
        self.memory = [np.empty(size, self.kind.np) if given else None for given in self.form]
        self.arrays = [[column[i]._array for i in self.rows] if column[0] is not None else [] for column in columns]
        self.arrays[GRADIENT] = []
        self.parts = [None if memory is None else self._parts(memory) for memory in self.memory]

    def _joins(self, row: list[Any], seen: set[int]) -> bool:
        """Whether a row is small, of plain tensors of one kind and shape, and what is written has memory that nobody else looks at."""
        param = row[0]._array
        if param.size > SMALL or not self.kind.plain or self.kind.category != 2:
            return False
        if [t is not None for t in row] != self.form or not all(self._is_plain(t, param.shape) for t in row):
            return False
        written = [t for i, t in enumerate(row) if t is not None and i != GRADIENT]
        ids = {id(t._array) for t in written}
        if len(ids) < len(written) or not seen.isdisjoint(ids):
            return False
        seen |= ids
        return all(t._array.base is None and views.lone(t) for t in written)

    def _is_plain(self, t: Any, shape: tuple[int, ...]) -> bool:
        return t is None or (
            (t.__class__ is Tensor or t.__class__ is Parameter) and t._kind is self.kind and t._array.shape == shape
        )

    def _parts(self, memory: Array) -> list[Array]:
        ends = np.cumsum([0, *(int(np.prod(shape)) for shape in self.shapes)]).tolist()
        return [
            memory[start:end].reshape(shape) for start, end, shape in zip(ends[:-1], ends[1:], self.shapes, strict=True)
        ]

    def fits(self, columns: Columns) -> bool:
        """Whether all is where it was, and still nobody else looks at it. Gradients may be others."""
        if self.owner() is not columns[0][0] or len(columns[0]) != self.count or len(columns) != len(self.form):
            return False
        for at, (column, arrays, given) in enumerate(zip(columns, self.arrays, self.form, strict=True)):
            if not given:
                if any(t is not None for t in column):
                    return False
            elif at == GRADIENT:
                for i, shape in zip(self.rows, self.shapes):  # noqa: B905
                    t = column[i]
                    if t.__class__ is not Tensor or t._kind is not self.kind or t._array.shape != shape:
                        return False
            else:
                for i, array in zip(self.rows, arrays):  # noqa: B905
                    t = column[i]
                    if t is None or t._array is not array:
                        return False
                    counter = t._version_
                    if counter is not None and counter.bases is not None and not views.lone(t):
                        return False
        return True

    def run(self, update: Callable[..., Any], columns: Columns, options: dict[str, Any]) -> None:
        """Update the joined rows."""
        if not self.rows:
            return
        values: list[Any] = []
        for column, arrays, memory in zip(columns, self.arrays, self.memory, strict=True):
            if memory is None:
                values.append(None)
                continue
            np.concatenate(arrays or [column[i]._array for i in self.rows], axis=None, out=memory)
            values.append(Values(memory))
        update(*values, **options)
        place = users_place(3)
        for column, arrays, parts, result in zip(columns, self.arrays, self.parts, values, strict=True):
            if result is None or not result.writes:
                continue
            for i, array, part in zip(self.rows, arrays, parts):  # noqa: B905
                array[...] = part
                version(column[i]).bump("step", place, result.writes)


_known: dict[int, Joined] = {}
"""By the first parameter's id, as long as it lives: what was found at the last step."""
