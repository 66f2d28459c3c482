"""Memory of a plan, bound: the arena, the constants, what each dynamic slot looks at; and arrays over it.

Here: this memory. Not here: where values lie in it (plan.py), the programs that use it (replay.py, backward.py, eager.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.compiler.capture.recorder import extent
from lamina.compiler.graph import Ref
from lamina.compiler.plan import Plan
from lamina.core.strided import Array


class Bound:
    """A plan with its memory: the arena, the constants, and what each dynamic slot looks at now."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.arena, self.constants = aligned(plan.arena), aligned(plan.constants)
        for v in plan.constant_values:
            at = plan.places[v].offset
            self.constants[at : at + v.nbytes] = np.ascontiguousarray(v.origin.which).reshape(-1).view(np.uint8)
        self.memory: list[Any] = [None] * len(plan.dynamic)  # what each dynamic slot looks at
        self.passed: list[int] = []  # the dynamic slots whose arrays are given at each call

    def view(self, ref: Ref) -> Array:
        """The array of a ref, as memory is bound now."""
        if not ref.size:  # perhaps without a place: what has no elements is not computed
            return np.empty(ref.shape, ref.dtype)
        slot, offset = self.plan.places[ref.value]
        if slot < 2:
            return np.ndarray(
                ref.shape, ref.dtype, (self.arena, self.constants)[slot], offset + ref.offset, ref.strides
            )
        held = self.memory[slot - 2]
        return elements_at(low_address(held) + offset + ref.offset, ref, held)


class _At:
    """Elements at an address, as NumPy's array interface describes them. Keeps what owns the memory."""

    __slots__ = ("__array_interface__", "owner")

    def __init__(self, address: int, ref: Ref, owner: Any) -> None:
        self.owner = owner
        self.__array_interface__ = {
            "version": 3, "shape": ref.shape, "strides": ref.strides, "typestr": f"|V{ref.dtype.itemsize}", "data": (address, False),
        }  # fmt: skip


def elements_at(address: int, ref: Ref, owner: Any) -> Array:
    """The array of a ref whose value begins at `address`, in memory that `owner` holds."""
    return np.asarray(_At(address, ref, owner)).view(ref.dtype)


def low_address(array: Array) -> int:
    return extent(array)[0]


def aligned(nbytes: int) -> Array:
    """Bytes whose address is a multiple of 64."""
    block = np.empty(nbytes + 64, np.uint8)
    at = -block.__array_interface__["data"][0] % 64
    return block[at : at + nbytes]
