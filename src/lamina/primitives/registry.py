"""How a primitive is declared: `elementwise` and `primitive`.

Here: declarations. Not here: any single operation (the family files), the call (ways.py, dispatch.py), the nodes (nodes.py),
in-place forms and `out=` (inplace.py), levels (transforms.py).

A rule sees raw arrays in a plain backward and Tensors where the backward is recorded; a primitive called on raw arrays just
computes. So one text of a rule serves both. A rule's argument names say what is kept for it: an input's name, `out`, a
parameter's name, `<input>_shape`, `<input>_dtype`, `<input>_turned` (whether its matrices lie column by column), or `needs`
(which inputs are asked for). With variadic=True: `shapes` (of all inputs), `rest` (all inputs but the first).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina.autograd.graph import Node
from lamina.primitives.dispatch import apply, record
from lamina.primitives.fast import apply_operator, binary, unary
from lamina.primitives.formats import channels_last, following, untouched_channels_last
from lamina.primitives.large import large_elementwise, large_forward, large_rule
from lamina.primitives.nodes import PrimitiveNode, SeveralNode, name_saved, sum_to
from lamina.primitives.primitive import PRIMITIVES, Primitive, Rule, Slots
from lamina.primitives.short_rules import short_vjp
from lamina.primitives.straight import straight

__all__ = [
    "PRIMITIVES",
    "Primitive",
    "Slots",
    "apply",
    "declare",
    "elementwise",
    "node_class",
    "primitive",
    "record",
    "sum_to",
]

new = object.__new__


def _argnames(f: Callable[..., Any]) -> tuple[str, ...]:
    code = getattr(f, "__wrapped__", f).__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def declare(
    name: str,
    forward: Callable[..., Any],
    inputs: tuple[str, ...],
    grads: Sequence[Rule | None] | Rule | None,
    *,
    node: str | None = None,
    outputs: int = 1,
    nondiff: tuple[int, ...] = (),
    holomorphic: bool = True,
    view: bool = False,
    variadic: bool = False,
    meta: Any = None,
    emit: Any = None,
    jvp: Any = None,
    batch: Any = None,
    promote: str = "same",
    elementwise: bool = False,
    large: Any = False,
    follows: bool = False,
    restores: bool = False,
    wraps: bool = False,
    number: str | None = None,
    refuses: dict[int, Any] | None = None,
    check: Callable[[Sequence[Any]], None] | None = None,
    native: bool = False,
    family: type[PrimitiveNode] = PrimitiveNode,
) -> Primitive:
    p = new(Primitive)
    p.name, p.forward, p.inputs, p.outputs, p.nondiff = name, forward, inputs, outputs, nondiff
    p.holomorphic, p.view, p.variadic, p.meta, p.emit, p.jvp, p.batch = (
        holomorphic,
        view,
        variadic,
        meta,
        emit,
        jvp,
        batch,
    )
    p.promote, p.elementwise, p.restores, p.wraps = promote, elementwise, restores or elementwise, wraps
    p.native, p.alone, p.check, p.follows = native, False, check, follows
    p.refuses = {c: (NotImplementedError, m) if isinstance(m, str) else m for c, m in (refuses or {}).items()}
    _rules(p, () if grads is None else (grads,) if callable(grads) else tuple(grads))
    if large:
        again = (lambda: p.function) if large is True else (lambda: large)
        p.forward = (large_elementwise if elementwise else large_forward)(forward, again)
        p.rules = tuple(map(large_rule, p.rules))
    if follows:
        p.forward = following(p.forward, len(inputs), channels_last)
        p.meta = meta and following(meta, len(inputs), untouched_channels_last)
    p.node_name = _node_name(node or "".join(part.capitalize() for part in name.split("_")))
    p.node = node_class(p, family)
    p.number = _number_form(p, number) if elementwise and len(p.rules) == 2 and p.rules[0] is not None else None
    if name in PRIMITIVES:
        raise TypeError(f"primitive {name!r} is declared twice")
    PRIMITIVES[name] = p
    return p


def _rules(p: Primitive, rules: tuple[Rule | None, ...]) -> None:
    """Set the gradient rules of `p`, and what they save."""
    saves: list[str] = []
    picks = []
    for rule in rules:
        names = () if rule is None else _argnames(rule)[1:]
        for n in names:
            if n not in saves:
                saves.append(n)
        picks.append(tuple(saves.index(n) for n in names))
    p.rules, p.saves, p.picks = rules, tuple(saves), tuple(picks)
    p.holds = any(
        (n in p.inputs and n != "alpha") or n in ("rest", "others") or n.startswith("out") for n in saves
    )  # alpha: always a number


def _node_name(name: str) -> str:
    return name if "Backward" in name or name == "NotImplemented" else name + "Backward0"


def _number_form(p: Primitive, name: str | None) -> Primitive:
    """`p` as recorded for (Tensor, number). name: PyTorch's of this node, where it has one edge and a name of its own."""
    q = new(Primitive)
    for slot in Primitive.__slots__:
        if hasattr(p, slot):
            setattr(q, slot, getattr(p, slot))
    _rules(q, p.rules[:1])
    q.number, q.alone = None, name is not None
    q.node_name = _node_name(name) if name else p.node_name
    facts: dict[str, Any] = {
        "__slots__": (),
        "__module__": "builtins",
        "_primitive": q,
        "_holds": q.holds,
        "_width": 1,
        "_family": p.node._family,
    }
    facts["_scalars"] = set(q.saves) <= set(q.inputs)
    facts["_vjp"] = short_vjp(q, 1, facts["_scalars"])
    q.node = type(q.node_name, (PrimitiveNode,), facts)
    return q


def node_class(p: Primitive, family: type[PrimitiveNode] = PrimitiveNode) -> type[Node]:
    """The class of the nodes that `p` records, below `family`."""
    name_saved(p)
    facts: dict[str, Any] = {"__slots__": (), "__module__": "builtins", "_primitive": p, "_holds": p.holds}
    if p.node_name == "NotImplemented":
        facts["_family"] = "torch::autograd::"
    if not p.outputs:
        return type(p.node_name, (SeveralNode,), facts)
    facts["_width"] = p.outputs - len(p.nondiff) if p.outputs > 1 else 1
    if facts["_width"] == 1 and p.rules and not p.wraps:
        facts["_scalars"] = p.elementwise and (
            p.saves in ((), ("out",), p.inputs)
            if len(p.rules) == 1
            else len(p.rules) == 2 and None not in p.rules and set(p.saves) <= set(p.inputs)
        )
        facts["_vjp"] = short_vjp(p, len(p.inputs), facts["_scalars"])
    return type(p.node_name, (family,), facts)


def by_values(name: str) -> Callable[..., Any]:
    """The `meta` of an operation whose results have as many elements as values say."""

    def meta(*arrays: Any, **params: Any) -> Any:
        raise NotImplementedError(
            f"{name}: attempted to run this operator with Meta tensors, but the shape of its result depends on values, which they have not"
        )

    meta.by_values = True  # type: ignore[attr-defined]
    return meta


def primitive(
    name: str, forward: Callable[..., Any], grads: Any = None, *, inputs: int | None = None, **options: Any
) -> Any:
    """Declare an operation whose shapes or dtypes are its own: `f(tensors..., *, params)`.

    forward: arrays (positional) and parameters (keyword only) -> array, or a tuple of `outputs` arrays. grads: a rule for each
    tensor input, or, with variadic=True, one rule that returns all. view=True: the result looks at the first input's memory.
    large=True: large arrays may leave for native kernels (large.py), to be made of the function itself, or of the function given.
    follows=True: images lie as those given do (formats.py).
    Returns the function that applies it.
    """
    code = forward.__code__
    names = code.co_varnames[: code.co_argcount]
    p = declare(name, forward, names if inputs is None else names[:inputs], grads, **options)

    op = straight(p, code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount])
    op.__name__ = op.__qualname__ = name
    op.primitive = p
    p.function = p.public = op
    return op


def elementwise(
    name: str,
    compute: Callable[..., Any],
    grads: Sequence[Rule | None] | None = None,
    *,
    emit: Any = None,
    promote: str = "same",
    **options: Any,
) -> Any:
    """Declare an operation on elements, of one or more inputs, which broadcast and promote.

    promote: "same" (the common dtype), "float" (integers become the default float), "bool" (the result is bool), "complex" (the
    result is complex), "rest" (the first input keeps its dtype), "none". refuses: by category of dtype (0 bool, 1 integer,
    2 floating, 3 complex, and 4 for low precision) the message of the NotImplementedError, or (error, message); "{}" in it is
    the dtype. number: the name of the node where the second operand is a Python number. check: looks at the operands of calls
    that need promotion, before it. native: low precision is not computed in float32. large: as a primitive's.
    Returns a plain function of the inputs; of two inputs it has an attribute `operator`, the form for `Tensor.__op__`.
    """
    n = compute.nin if isinstance(compute, np.ufunc) else compute.__code__.co_argcount
    inputs = ("x", "y", "z")[:n] if isinstance(compute, np.ufunc) else _argnames(compute)[:n]
    p = declare(name, compute, inputs, grads, emit=emit, promote=promote, elementwise=True, **options)
    if n == 1:
        op = unary(p)
    elif n == 2:
        op = binary(p)
        op.operator = binary(p, apply_operator)
        op.operator.__name__ = op.operator.__qualname__ = name
        op.operator.asks_below = True
    else:
        op = straight(p)
    op.__name__ = op.__qualname__ = name
    op.primitive = p
    p.function = p.public = op
    op.asks_below = True
    return op
