"""When a replay gave another result than an eager run: which operation, on which line, and the least program that shows it.

What was recorded is run call by call by NumPy. Then each piece of the program's work is run alone on what NumPy found: the first whose
result is another is wrong, and its calls are tried alone and together until no smaller set shows it. Where no piece is wrong, the
difference may be rounding that grew; NumPy itself then moves as far when its inputs move by their last bit, and so it is with a piece
whose result is rounding alone. Here: this search.
Not here: that there is a difference (verify.py), cases and their text (cases.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lamina.compiler.available import available
from lamina.compiler.barriers import Barrier, Look
from lamina.compiler.calls import Call
from lamina.compiler.cases import Case, Memory, over, run, times_tolerated
from lamina.compiler.graph import Graph, Node, Origin, Ref, Value
from lamina.compiler.loops import Work
from lamina.core.explained import where
from lamina.core.strided import Array, address
from lamina.core.version import Place

DRIFT = 100.0
"""A difference is rounding where NumPy, its inputs moved by their last bit, drifts at least this part of it (1 / DRIFT)."""
TRIED = 40
"""Cases that are compiled to find the least one."""


class Found(NamedTuple):
    """What the search found. rounding: nothing is wrong; the difference is rounding that grew."""

    text: str
    rounding: bool = False


class Wrong(NamedTuple):
    """A value that came out otherwise."""

    value: Value | None  # None: it is none of the graph's
    eager: Array | None
    far: float  # as a multiple of what is tolerated


def found(graph: Graph, work: Sequence[Any], inputs: Memory, wrong: Sequence[Wrong]) -> Found:
    """Search. inputs: what the graph read; wrong: what came out otherwise."""
    true = dict(inputs)
    run(graph.nodes, true)
    piece = _first(work, true)
    if piece is None:
        coarse = max((_last_bit(o.dtype) for n in graph.nodes for o in n.outputs if o is not None), default=0.0)
        if _rounding(graph.nodes, inputs, true, wrong, coarse):
            return Found("", True)
        one = wrong[0]
        if one.value is None:
            return Found("")
        if not _recorded(true[one.value], one.value, one.eager):
            return Found(f"so does what was recorded of the run, which ends in {_named(_maker(one.value))}")
        case = _least(graph.nodes, true)
        if case is None:
            return Found(f"the first that differs is {_named(_maker(one.value))}")
        return _told(case[0], case[1])
    value, item = piece
    together = _together(value, item, work)
    case = _least(together, true)
    if case is None:
        return Found(f"the first that differs is {_named(_maker(value))}, as a part of {item!r}")
    return _told(case[0], case[1])


def _recorded(block: Array, v: Value, eager: Array | None) -> bool:
    """Whether what NumPy found, from the recording, is what the run itself gave."""
    ref = _elements(v)
    if ref is None or eager is None or eager.nbytes != block.nbytes:
        return True
    return times_tolerated(np.sort(over(ref, block)), np.sort(eager.reshape(-1))) <= 1  # in whatever order they lie


def _told(culprit: Node, case: Case) -> Found:
    text = f"the first that differs is {_named(culprit)}"
    others = [n.name.removeprefix("fused ") for n in case.nodes if n.name != culprit.name]
    if others:
        text += f", joined with {', '.join(dict.fromkeys(others))}"
    title = f"{text[len('the first that differs is ') :]}: lamina's compiled code gives another result than NumPy."
    try:
        return Found(f"{text}; a program that shows it: {case.written(title)}")
    except (OSError, ValueError) as error:
        return Found(f"{text}; no program was written ({error})")


def _named(node: Node | None) -> str:
    if node is None:
        return "not known"
    return f"{node.name.removeprefix('fused ')}{_at(node.place)}"


def _at(place: Place | None) -> str:
    return "" if place is None else f" at {where(place)}"


def _maker(v: Value | None) -> Node | None:
    """The call that computed a value: not one that only copied it."""
    while v is not None and isinstance(v.origin, Node):
        node = v.origin
        if node.primitive is not None or not node.inputs or node.inputs[-1].__class__ is not Ref:
            return node
        if not isinstance(node.inputs[-1].value.origin, Node):
            return node
        v = node.inputs[-1].value
    return None


# ---- which piece of the work is wrong ---------------------------------------------------------------------------------


def _first(work: Sequence[Any], true: Mapping[Value, Array]) -> tuple[Value, Any] | None:
    """The first piece of the work that, alone, makes another value of what NumPy found; the one that is off most where none is far off."""
    worst: tuple[float, tuple[Value, Any] | None] = (0.0, None)
    own: Memory = {}
    last = {v: n for n, item in enumerate(work) for v in item.writes()}
    for n, item in enumerate(work):
        if isinstance(item, (Barrier, Look)) or getattr(item, "names", ()) == ("move",):
            continue
        if isinstance(item, Call) and item.node.name == "draw":  # the next numbers would be others
            continue
        blocks = _alone(item, true, own)
        for v in dict.fromkeys(item.writes()):
            if v not in true or last[v] > n:  # lowering's own, of which NumPy knows nothing; or written in parts
                own[v] = blocks[v]
                continue
            ref = _elements(v)
            far = 0.0 if ref is None else times_tolerated(over(ref, blocks[v]), over(ref, true[v]))
            if far > 1 and not _cancels(v, item, work, true, far):
                return v, item
            if worst[0] < far <= 1:
                worst = far, (v, item)
    return worst[1] if worst[0] > 0.1 else None


def _alone(item: Any, true: Mapping[Value, Array], own: Memory) -> Memory:
    """The memory after one piece of work, which read what NumPy found."""
    blocks: Memory = {}
    for v in dict.fromkeys((*item.reads(), *item.writes())):
        blocks[v] = np.zeros(v.nbytes, np.uint8)
    written = set(item.writes())
    for v, block in blocks.items():
        if v not in written:
            source = true[v] if v in true else own.get(v)
        else:  # a part of it may be there already, or what was there before
            before = v.previous if v.previous in item.follows else None
            source = (
                own[v] if v in own else None if before is None else true[before] if before in true else own.get(before)
            )
        if source is None and isinstance(v.origin, Origin) and v.origin.kind == "constant":
            source = np.ascontiguousarray(v.origin.which).reshape(-1).view(np.uint8)
        if source is not None:
            block[...] = source
    if not isinstance(item, Work):
        item.prepare(lambda ref: over(ref, blocks[ref.value]))()
        return blocks
    from lamina.compiler.emit import emit  # with llvmlite behind it: only where something is compiled
    from lamina.compiler.runtime.program import Launch, Program

    kernel, operands = item.kernel()
    slots = {v: n for n, v in enumerate(blocks)}
    launch = Launch(emit(kernel), tuple((slots[v], extra) for v, extra in operands))
    program = Program([[launch]], len(slots), len(slots))
    for v, n in slots.items():
        program.bind(n, address(blocks[v]))
    program.entries[0]()
    return blocks


def _elements(v: Value) -> Ref | None:
    """All elements of a value, as one row."""
    node = v.origin
    if not isinstance(node, Node):
        return None
    dtype = next((out.dtype for out in node.outputs if out is not None and out.value is v), np.dtype(np.uint8))
    if v.nbytes % dtype.itemsize:
        dtype = np.dtype(np.uint8)
    return Ref(v, 0, (v.nbytes // dtype.itemsize,), (dtype.itemsize,), dtype)


# ---- which of its calls ------------------------------------------------------------------------------------------------


def _together(value: Value, item: Any, work: Sequence[Any]) -> list[Node]:
    """The calls that are in a piece of work: those between what memory held before and what it writes."""
    there = {v for one in work for v in one.writes()} - set(item.writes())
    wanted, stack = {}, [v for v in (value, *item.writes()) if isinstance(v.origin, Node)]
    while stack:
        node = stack.pop().origin
        if not isinstance(node, Node) or id(node) in wanted:
            continue
        wanted[id(node)] = node
        stack.extend(ref.value for ref in node.reads() if ref.value not in there)
    # in the order of their values, which is that of the program
    return sorted(wanted.values(), key=lambda node: min((o.value.id for o in node.outputs if o is not None), default=0))


def _least(nodes: Sequence[Node], true: Mapping[Value, Array]) -> tuple[Node, Case] | None:
    """The least set of these calls that shows a difference, and the call to name; None where none does."""
    if not available():
        return None
    tries = iter(range(TRIED))
    computed = [node for node in nodes if node.name != "draw"]
    for node in computed:
        if node.primitive is not None and next(tries, None) is not None and (case := _shows([node], true)) is not None:
            return node, case
    tries = iter(range(TRIED))
    best = _shows(computed, true)
    if best is None:
        return None
    kept = list(computed)
    for smaller in _smaller(kept):
        if next(tries, None) is None:
            break
        case = _shows(smaller, true)
        if case is not None:
            kept[:], best = smaller, case
    ref = best.distance()[1]
    return next((n for node, n in zip(best.nodes, kept, strict=True) if ref in node.outputs), kept[-1]), best


def _smaller(kept: list[Node]) -> Iterator[list[Node]]:
    """Shorter lists of calls than `kept` is at the time: without the first ones, then without the last ones, ever fewer at a time."""
    for front in (True, False):
        step = max(len(kept) // 2, 1)
        while step >= 1 and len(kept) > 1:
            before = len(kept)
            if step < before:
                yield kept[step:] if front else kept[:-step]
            if len(kept) == before:
                step //= 2


def _shows(nodes: Sequence[Node], true: Mapping[Value, Array]) -> Case | None:
    """The case of these calls, where it shows a difference."""
    case = Case.of(nodes, true)
    return case if case.results() and case.distance()[0] > 1 else None


# ---- rounding ----------------------------------------------------------------------------------------------------------


def _cancels(v: Value, item: Any, work: Sequence[Any], true: Mapping[Value, Array], far: float) -> bool:
    """Whether what one piece of the work makes is rounding alone, such as a sum of what should add up to nothing."""
    nodes = _together(v, item, work)
    made = {o.value for node in nodes for o in node.outputs if o is not None}
    read = {ref.value for node in nodes for ref in node.reads()} - made
    inputs = {w: true[w] for w in read if w in true}
    return len(inputs) == len(read) and _rounding(nodes, inputs, true, [Wrong(v, None, far)])


def _rounding(
    nodes: Sequence[Node], inputs: Memory, true: Mapping[Value, Array], wrong: Sequence[Wrong], least: float = 0.0
) -> bool:
    """Whether all differences are such as NumPy's own results have when all inputs move by their last bit, or by `least`."""
    if any(one.value is None for one in wrong):
        return False
    moved = {w: block.copy() for w, block in inputs.items()}
    signs = np.random.default_rng(0)
    done: set[Value] = set()
    for node in nodes:
        for ref in node.reads():
            if ref.value in moved and ref.value not in done and ref.dtype.kind in "fV" and ref.size:
                done.add(ref.value)
                array = over(ref, moved[ref.value])
                sign = signs.choice((-1.0, 1.0), array.shape)
                with np.errstate(all="ignore"):
                    bit = max(_last_bit(array.dtype), least)
                    array[...] = (array.astype(np.float64) * (1 + sign * bit)).astype(array.dtype)
    draws = [node for node in nodes if node.name == "draw"]
    moved.update({o.value: true[o.value] for node in draws for o in node.outputs if o is not None})
    run([node for node in nodes if node.name != "draw"], moved)
    return all(_drifts(one, true, moved) for one in wrong)


def _drifts(one: Wrong, true: Mapping[Value, Array], moved: Mapping[Value, Array]) -> bool:
    v = one.value
    ref = None if v is None else _elements(v)
    if v is None or ref is None:
        return False
    return one.far <= DRIFT * times_tolerated(over(ref, moved[v]), over(ref, true[v]))


def _last_bit(dtype: np.dtype[Any]) -> float:
    return {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}.get(dtype.name, 0.0)
