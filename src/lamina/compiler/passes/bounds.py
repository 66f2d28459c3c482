"""bounds: the integers by which a step picks elements are looked at before anything is changed.

An index that follows from integers alone (arguments, constants, comparisons and choices between them) can be computed first: the nodes
that do so are put in front, and for each index a loop asks whether it leaves its range. If one does, the step is run eagerly, which raises
the program's own error. What picks by other indices (computed from floats) stays a call into NumPy, which looks by itself.
Reads the graph's nodes; writes their order and the questions. Not here: the kernels that pick (lowering/gathers.py).
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from lamina.compiler.graph import Graph, Node, Origin, Ref, Value
from lamina.compiler.lowering.reductions import Rows


class Question(NamedTuple):
    """Whether all of `index` is in lowest <= i < n."""

    places: Ref
    lowest: int
    n: int


def questions_of(node: Node) -> list[Question]:
    """What a node takes for granted about its integer inputs."""
    ins, params = node.inputs, node.params
    if node.name in ("gather", "embedding", "index_select"):
        dim = params.get("dim", 0)
        return [Question(ins[1], 0, ins[0].shape[dim])] if ins[0].shape else []
    if node.name in ("gather_adjoint", "index_select_adjoint"):
        return [Question(ins[1], 0, params["shape"][params["dim"]])] if params["shape"] else []
    if node.name == "embedding_dense_backward":
        return [Question(ins[1], 0, params["rows"])]
    if node.name in ("index", "index_adjoint", "index_put"):
        shape = params["shape"] if node.name == "index_adjoint" else ins[0].shape
        indices = ins[2:] if node.name == "index_put" else ins[1:]
        return [Question(i, -shape[d], shape[d]) for d, i in zip(params["at"], indices, strict=True)]
    if node.name in (
        "scatter",
        "scatter_value",
        "scatter_add",
        "scatter_with",
        "index_add",
        "index_copy",
        "index_fill",
    ):
        return [Question(ins[1], 0, ins[0].shape[params["dim"]])] if ins[0].shape else []
    if node.name in ("take", "take_adjoint"):
        size = prod(params["shape"]) if node.name == "take_adjoint" else ins[0].size
        return [Question(ins[1], -size, size)]
    return []


def bounds(graph: Graph) -> tuple[list[Node], list[Node], list[Question], set[int]]:
    """The nodes to run first, the others, what to ask between them, and (by id) the nodes whose indices cannot be asked about."""
    pure: dict[Value, bool] = {}
    makers: dict[Value, list[Node]] = {}
    for node in graph.nodes:
        for out in node.outputs:
            if out is not None:
                makers.setdefault(out.value, []).append(node)

    def known(value: Value) -> bool:
        if isinstance(value.origin, Origin):
            return True
        return pure.get(value, False)

    for node in graph.nodes:
        fine = node.name != "draw" and all(known(r.value) and r.dtype.kind in "biu" for r in node.reads())
        fine = fine and all(i.__class__ is Ref or i is None or i.value.dtype.kind in "biu" for i in node.inputs)
        fine = fine and node.name != "update" and bool(node.inputs) and not questions_of(node)
        for out in node.outputs:
            if out is not None:
                pure[out.value] = fine and pure.get(out.value, True)
    asked: dict[Question, None] = {}
    unsure: set[int] = set()
    first: set[int] = set()
    for node in graph.nodes:
        found = questions_of(node)
        found = [q for q in found if not _inside(q)]
        if not all(q.places.__class__ is Ref and known(q.places.value) for q in found):
            unsure.add(id(node))
            continue
        for q in found:
            asked[q] = None
            _front(q.places.value, makers, first)
    return (
        [n for n in graph.nodes if id(n) in first],
        [n for n in graph.nodes if id(n) not in first],
        list(asked),
        unsure,
    )


_POSITIONS = frozenset((
    "argmax", "argmin", "max_dim", "min_dim", "sort", "sort_stable", "topk", "kthvalue", "median", "mode", "nanmedian", "cummax", "cummin",
))  # fmt: skip


def _inside(question: Question) -> bool:
    """Whether the index is a position that the library itself found, in a dimension no longer than the one it picks from."""
    maker = question.places.value.origin if question.places.__class__ is Ref else None
    if not isinstance(maker, Node) or maker.name not in _POSITIONS:
        return False
    shape, dim = maker.inputs[0].shape, maker.params.get("dim")
    size = prod(shape) if dim is None else shape[dim] if shape else 1
    return question.lowest <= 0 and size <= question.n


def _front(value: Value, makers: dict[Value, list[Node]], first: set[int]) -> None:
    stack = [value]
    while stack:
        for node in makers.get(stack.pop(), ()):
            if id(node) not in first:
                first.add(id(node))
                stack.extend(r.value for r in node.reads())


def asking(question: Question, flag: Ref) -> list[Any]:
    """The loop that sets `flag` where the index leaves its range."""
    rows = Rows(question.places, None)
    body = rows.body
    index = body.cast(rows.load(question.places), "int64")
    outside = getattr(body, "or")(body.lt(index, question.lowest), body.ge(index, question.n))
    rows.store_row(flag, body.any(outside))
    (work,) = rows.work()
    work.names = ("bounds",)
    return [work]
