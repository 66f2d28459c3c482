"""The record of a primitive: all that is declared about one operation. And the seams that higher rooms fill.

Here: data. Not here: how a declaration is written (registry.py), how a call is carried out (dispatch.py, ways.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Rule = Callable[..., Any]


class Slots:
    """What stands above the primitives fills these; nothing here imports it."""

    transform: Callable[..., Any]  # a call in which a level of vmap or jvp is open
    override: Callable[..., Any]  # a call with an argument whose class has __torch_function__
    fuser: Callable[..., Any] | None = None  # native kernels for composites (the compiler's)
    recurrent: Callable[..., bool] | None = None  # native code for the loops of kernels/recurrent.py (the compiler's)
    products: Callable[..., Any] | None = None  # large products on native threads (the compiler's); False: not these
    inplace: Callable[..., Any]  # an in-place write in which a level is open
    function: Callable[..., Any] | None = None  # a user's autograd.Function called while a level is open


class Primitive:
    """All that is declared about one operation."""

    __slots__ = (
        "alone", "batch", "check", "elementwise", "emit", "follows", "forward", "function", "holds", "holomorphic", "inputs", "jvp", "meta", "name",
        "native", "node", "node_name", "nondiff", "number", "outputs", "picks", "promote", "public", "refuses", "restores", "rules", "saves",
        "variadic", "view", "wraps",
    )  # fmt: skip

    name: str
    forward: Callable[..., Any]  # on arrays
    function: Callable[..., Any]  # what is called
    public: Callable[..., Any]  # what a program calls: the name in which `__torch_function__` is asked
    inputs: tuple[str, ...]
    outputs: int  # 0: as many as the arguments say
    nondiff: tuple[int, ...]  # outputs without gradient
    rules: tuple[Rule | None, ...]
    picks: tuple[tuple[int, ...], ...]  # for each rule, where its arguments stand in `saves`
    saves: tuple[str, ...]
    holds: bool  # tensors are among them
    node: type[Any]
    node_name: str
    holomorphic: bool  # the registry conjugates around the rules
    elementwise: bool
    promote: str
    follows: bool  # images lie as those given do
    restores: bool  # cotangents are brought to the shape and dtype of their inputs
    wraps: bool  # the rules need Tensors
    view: bool
    variadic: bool  # any number of tensors, one rule for all
    native: bool  # low precision is not computed in float32
    meta: Any  # shape and dtype without values, where they do not follow from the kind
    emit: Any  # one scalar expression, for the compiler
    jvp: Any  # the tangent of the result, where it does not follow from the rules
    batch: Any  # the call on a batch, likewise
    number: Primitive | None  # of two inputs: how a call is recorded whose second operand is a Python number
    alone: bool  # such a call's node has one edge, not (edge, None)
    refuses: dict[int, tuple[type[Exception], str]]  # by dtype category: what is raised
    check: Callable[[Sequence[Any]], None] | None  # of operands that are not plain tensors of one floating dtype

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


PRIMITIVES: dict[str, Primitive] = {}
