"""Views and in-place operations: what may be written, and how history follows the memory.

A view remembers its base; a base knows its living views. After an in-place operation on a view, the base's history is a
CopySlices over the old one, and every living view's is rebuilt on the base. Here: these rules. Not here: the gradients of view
operations (primitives/shape.py), which lend `as_strided` and its adjoint through `Strided`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from weakref import ref

from lamina.autograd import errors, modes
from lamina.autograd.graph import INSIDE, NOWHERE, Node, Output, edge_of, make, retain
from lamina.core import strided
from lamina.core.device import KINDS, Kind
from lamina.core.tensor import LEAF, More, Tensor, more, version
from lamina.core.version import UNTRACKED, Place, Version
from lamina.core.warn import warn_once


class View:
    """How a view was made: where in its base it lies, and whether history may follow writes to it."""

    __slots__ = ("made_in", "maker", "replay")

    def __init__(self, made_in: str, maker: str, replay: Callable[[Tensor], Tensor] | None) -> None:
        self.made_in = made_in  # "" (usual), "no_grad", "inference", "several" (split, unbind), "function"
        self.maker = maker  # the operation's name, for messages
        self.replay = replay  # base -> this view again, where strides cannot say it (real parts, other dtypes)


class Strided:
    """What shape.py provides: differentiable functions of geometry. Filled once, when it is imported."""

    take: Callable[..., Tensor]  # take(base, size, stride, offset): the view as a Tensor, recorded
    node: Callable[..., Any]  # node(base, size, stride, offset): the node of that view
    put: Callable[..., Any]  # put(g, inner, geometry, create): CopySlices' vjp


def geometry(view: Tensor, base: Tensor) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Size, strides and offset (in elements, from the base's first one) of `view` in the memory of `base`."""
    array = view._array
    if not array.size:
        offset = 0
    elif strided.owner_of(array) is strided.owner_of(base._array):
        offset = (strided.address(array) - strided.address(base._array)) // array.itemsize
    else:  # `.data =` gave one of them other memory: what counts is the place in each one's own
        offset = view.storage_offset() - base.storage_offset()
    return array.shape, strided.element_strides(array), offset


def attach(out: Tensor, source: Tensor, maker: str, made_in: str = "", replay: Any = None) -> None:
    """Make `out` a view of what `source` looks at: one version, one base."""
    counter = out._version_ = version(source)
    about, source_about = more(out), source._more
    if source_about is not None and source_about.inference:
        about.inference, out._version_ = True, UNTRACKED  # such tensors have no history to follow
        return
    base = source if source_about is None or source_about.base is None else source_about.base
    if source_about is not None and source_about.view is not None:
        before: View = source_about.view
        if not made_in or before.made_in == "inference":
            made_in = before.made_in
        if replay is not None or before.replay is not None:
            replay = _composed(before.replay, source, base, replay, out)
    if base._node is not None:
        out._node = NOWHERE  # until the call is recorded, if it is
    about.base, about.seen = base, counter.n
    about.view = View(made_in, maker, replay)
    _count_in(out, base, more(base), counter)


def _count_in(out: Tensor, base: Tensor, base_about: More, counter: Version) -> None:
    """Let `base` know its view, and the counter the base."""
    views = base_about.views
    if views is None:
        base_about.views = [ref(out)]
        if counter.bases is None:
            counter.bases = []
        _add(counter.bases, base)
    else:
        _add(views, out)


def _add(held: list[Any], t: Tensor) -> None:
    if len(held) > 8 and len(held) & (len(held) - 1) == 0:
        held[:] = [r for r in held if r() is not None]
    held.append(ref(t))


def plain_ways(maker: str, made_in: str = "") -> tuple[View, View]:
    """What `attach_plain` notes of the views that `maker` makes: with gradients on (see `View.made_in`), and off."""
    return View(made_in, maker, None), View("no_grad", maker, None)


def attach_plain(out: Tensor, source: Tensor, way: View) -> None:
    """`attach` for the common view: of a plain tensor, or of a plain view of one."""
    about = source._more
    if about is not None and (
        about.inference or (about.view is not None and (about.view.made_in or about.view.replay))
    ):
        attach(out, source, way.maker, way.made_in)
        return
    base = source if about is None or about.base is None else about.base
    counter = source._version_
    if counter is None:
        counter = source._version_ = Version()
    out._version_ = counter
    own = out._more = More()
    own.base, own.view, own.seen = base, way, counter.n
    if way.made_in and base._node is not None:
        out._node = NOWHERE
    base_about = base._more
    if base_about is None:
        base_about = base._more = More()
    held = base_about.views
    if held is None:
        _count_in(out, base, base_about, counter)
    else:
        n = len(held)
        if n > 8 and not n & (n - 1):
            _add(held, out)
        else:
            held.append(ref(out))


def _composed(first: Any, source: Tensor, base: Tensor, then: Any, out: Tensor) -> Callable[[Tensor], Tensor]:
    if first is None:
        where = geometry(source, base)
        return lambda b: then(Strided.take(b, *where))
    if then is None:
        size, stride, offset = geometry(out, source)
        return lambda b: Strided.take(first(b), size, stride, offset)
    return lambda b: then(first(b))


def check_inplace(t: Tensor, operation: str, recorded: bool) -> None:
    """Refuse to write where history could not follow, before anything is changed. recorded: the write will have history."""
    about = t._more
    now = modes.current()
    if recorded and (now is None or now.grad):
        if about is not None and about.base is not None:
            if about.view.made_in:
                raise errors.ViewInPlaceError(t, operation, about.view, base_modified=False)
            base = about.base._node
            if t._node is not None and (base in (None, LEAF, NOWHERE) or getattr(base, "open", False)):
                raise errors.LeafInPlaceError(t, operation, view=True)
        if t._node is LEAF or getattr(t._node, "open", False):  # a leaf, or what a transform differentiates by
            raise errors.LeafInPlaceError(t, operation, view=False)
    if about is not None and about.inference and t._version_ is UNTRACKED and not (now is not None and now.inference):
        raise errors.InferenceInPlaceError(t, operation)


def check_memory(t: Tensor, operation: str, read: Iterable[Any], computed: bool = False) -> None:
    """Refuse a write whose result would depend on the order in which the elements are written. read: what the operation reads.

    computed: it is known by now that its arguments fit, which PyTorch checks first for some.
    """
    if (operation in _ARGUMENTS_FIRST) is not computed:
        return
    if operation in _SAME_EVERYWHERE:
        if operation in _DISCOURAGED and strided.overlaps_itself(t._array):
            discourage(operation)
        return
    if operation != "index_put_" and strided.overlaps_itself(t._array):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
            "Please clone() the tensor before performing the operation."
        )
    whole = operation in IN_NO_ORDER
    for other in read:
        if isinstance(other, Tensor) and (
            whole if other is t else strided.partly_overlap(t._array, other._array, whole)
        ):
            raise RuntimeError(
                "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory location. "
                "Please clone() the tensor before performing the operation."
            )


def discourage(operation: str) -> None:
    warn_once(
        f"Use of {operation} on expanded tensors is deprecated. Please clone() the tensor before performing this operation. "
        "This also applies to advanced indexing e.g. tensor[indices] = tensor",
    )


_DISCOURAGED = frozenset(("masked_fill_", "index_fill_"))
_SAME_EVERYWHERE = frozenset(("zero_", "fill_", "masked_fill_", "index_fill_"))
IN_NO_ORDER = frozenset(
    ("index_put_", "index_add_", "index_copy_", "index_reduce_", "scatter_", "scatter_add_", "scatter_reduce_", "put_")
)


_ARGUMENTS_FIRST = IN_NO_ORDER - {"index_put_", "put_"}


class CopySlices(Node):
    """The history of a base after a view of it was written: `inner` made the new part, the rest comes from before."""

    __slots__ = ("geometry", "inner", "like")
    inner: Node
    geometry: Any
    like: Any
    _holds = INSIDE
    _family = "torch::autograd::"

    def _label(self) -> str:
        return self.name()

    @property
    def _shown(self) -> Sequence[int | None]:
        return self.inner._shown

    def _vjp(self, g: Any, create: bool) -> Sequence[Any]:
        if self._saved is None:
            raise errors.FreedGraphError(self)
        return Strided.put(g, self, create)  # type: ignore[no-any-return]

    def _release(self, place: Place | None) -> None:
        super()._release(place)
        self.inner._release(place)


CopySlices.__module__ = "builtins"


def check_rebase(t: Tensor, edge: Any) -> None:
    """Refuse, before anything is changed, a history that `rebase` cannot give to `t`."""
    if isinstance(edge, Output) and t._more is not None and t._more.base is not None:
        raise NotImplementedError("an in-place operation with several outputs cannot write to a view; write to a clone")


def rebase(t: Tensor, edge: Any) -> None:
    """Give `t`, just written in place, the history `edge`; its base and the base's other views follow."""
    about = t._more
    if about is None or about.base is None:
        _follow(t, edge)
        written(t)
        return
    if edge is None:
        return
    base = about.base
    node = make(CopySlices, (edge_of(base), *edge._edges[1:]), place=(edge._code, edge._lasti) if edge._code else None)
    node.inner = edge
    node.geometry = about.view.replay or geometry(t, base)
    node.like = (base._array.shape, strided.element_strides(base._array), base._kind, t._kind)
    _follow(base, node)
    written(t)


def _follow(t: Tensor, edge: Any) -> None:
    """Another edge leads to `t` now; where its gradient is kept, it is kept there."""
    before, t._node = t._node, edge
    about = t._more
    if about is not None and about.retains and edge is not None:
        node, nr = (before.node, before.nr) if before.__class__ is Output else (before, 0)
        if isinstance(node, Node) and node._extra is not None:
            node._extra.retain.pop(nr, None)
        retain(t)


def refresh_views(base: Tensor) -> None:
    """Let the living views of `base` follow it: it was written to, or it requires grad since now, or no more.

    A view whose memory was written to since its history was made takes it anew from the base, as PyTorch's views do when they are
    asked for it.
    """
    for held in base._more.views if base._more is not None and base._more.views else ():
        v = held()
        if v is None or v._more is None or v._more.base is not base:
            continue
        about = v._more
        if base._node is None and v._node in (None, LEAF, NOWHERE):
            if v._node is NOWHERE:
                v._node = None
            if about.broken:  # nothing asks for its history now
                about.broken, v._kind = False, KINDS[v._kind.dtype, v._kind.device]
        elif int(about.seen) == int(version(base).n):
            if v._node is None:
                v._node = NOWHERE
        elif about.view.made_in:
            _break(v)
        else:
            _renew(v, base)


def _renew(v: Tensor, base: Tensor) -> None:
    about: Any = v._more
    about.seen = version(base).n
    if about.view.replay is not None:
        with modes.enable_grad():
            _follow(v, about.view.replay(base)._node)
    else:
        _follow(v, Strided.node(base, *geometry(v, base)))


def lone(t: Tensor) -> bool:
    """Whether a write to `t` concerns nobody else: no living view shares the memory, and it is no inference tensor."""
    if t._more is not None and t._more.inference:
        return False
    counter = t._version_
    if counter is None or counter.bases is None:
        return True
    bases = [base for held in counter.bases if (base := held()) is not None]
    if any(view() is not None for base in bases for view in base._more.views or ()):
        return False
    for base in bases:
        base._more.views = None
    counter.bases = None
    return True


def written(t: Tensor) -> None:
    """After a write, when its version is counted: all views of the same memory follow."""
    counter = t._version_
    for held in (counter.bases if counter is not None else None) or ():
        base = held()
        if base is not None:
            refresh_views(base)


_BROKEN: dict[Kind, Kind] = {}


def _break(v: Tensor) -> None:
    """Let any recorded use of `v` raise: its kind sends every call the general way, which looks."""
    more(v).broken = True
    if v._node is None:
        v._node = NOWHERE
    kind = _BROKEN.get(v._kind)
    if kind is None:
        kind = _BROKEN[v._kind] = Kind(v._kind.dtype, v._kind.device)
        kind.plain = kind.simple = False
        _BROKEN[kind] = kind
    v._kind = kind
