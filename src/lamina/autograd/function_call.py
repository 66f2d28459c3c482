"""One call of a user's Function: forward, and what its results become.

Here: the ctx filled, outputs made into outputs of its node (by whether they were inputs, written to, or views), tensors saved. Not here:
the classes that users see (function.py).
"""

from __future__ import annotations

from typing import Any

from lamina.autograd import errors, modes, views
from lamina.autograd.graph import Output, edge_of, extra_of, next_seq
from lamina.autograd.saved import Packed, SavedOutput
from lamina.core.explained import noted
from lamina.core.tensor import LEAF, Tensor, version, wrap
from lamina.core.version import Place, users_place
from lamina.core.warn import warn

new = object.__new__


def applied(
    cls: Any,
    args: tuple[Any, ...],
    new_style: bool,
    mode: Any,
    place: Place | None,
    ctx: Any | None = None,
) -> Any:
    """Run forward, and make its outputs the node's. ctx: the node, for a caller who goes on with it."""
    if ctx is None:
        ctx = new(cls._backward_cls)
        assert ctx is not None
    grad = mode is None or (mode.grad and not mode.inference)
    tensors, like, inputs, needs = [], [], [], []
    for a in args:
        is_tensor = isinstance(a, Tensor)
        inputs.append(is_tensor)
        needs.append(is_tensor and a._node is not None)
        if is_tensor:
            tensors.append(a)
            like.append((a._array.shape, a._kind))
    recorded = grad and True in needs
    ctx._seq = next_seq()
    ctx._edges = tuple([edge_of(t) for t in tensors])
    ctx._like, ctx._inputs, ctx.needs_input_grad = tuple(like), tuple(inputs), tuple(needs)
    ctx._saved, ctx._versions, ctx._fix, ctx._extra = (), (), None, None
    ctx._code, ctx._lasti = (None, 0) if place is None else place
    if mode is not None and mode.anomaly is not None:
        extra_of(ctx).stack = mode.anomaly.stack()
    token = modes.set_current(modes.INSIDE_FUNCTION if mode is None else mode.but(grad=False, forward_level=False))
    try:
        if new_style:
            output = cls.forward(*args)
            cls.setup_context(ctx, args, output)
        else:
            output = cls.forward(ctx, *args)
    finally:
        modes.reset(token)
    if (
        isinstance(output, Tensor)
        and recorded
        and ctx.dirty_tensors is None is ctx.non_differentiable
        and output._kind.dtype.category > 1
        and (output._more is None or output._more.view is None)
        and not any(output is t for t in tensors)
    ):  # the common case: one new tensor
        ctx._width = 1
        ctx._ends = ((output._array.shape, output._kind, True),)
        output._node = ctx
        _save(ctx, [output], mode)
        return output
    outs = list(output) if isinstance(output, tuple) else [output]
    if new_style:
        _refuse_saved_inputs(ctx, tensors, outs)
    ctx._width = len(outs)
    ctx._ends = tuple([(o._array.shape, o._kind, False) if isinstance(o, Tensor) else None for o in outs])
    outs = _Results(ctx, tensors, recorded).all(outs)
    if recorded:
        ctx._ends = tuple(
            None if like is None else (*like[:2], isinstance(o, Tensor) and o._node is not None)
            for like, o in zip(ctx._ends, outs, strict=True)
        )
        _save(ctx, outs, mode)
    if isinstance(output, tuple):
        return type(output)(*outs) if hasattr(output, "_fields") else tuple(outs)
    return outs[0]


def _refuse_saved_inputs(ctx: Any, tensors: list[Tensor], outs: list[Any]) -> None:
    """Raises RuntimeError where an input that forward returned as it is has been saved: it is another object outside."""
    marked = {id(t) for t in ctx.dirty_tensors or ()}
    returned = {id(o) for o in outs} & {id(t) for t in tensors} - marked
    if any(id(t) in returned for t in (*(ctx.to_save or ()), *(ctx.saved_for_forward or ()))):
        raise RuntimeError(
            "An input that has been returned as-is as output is being saved for backward. This is not supported if you override "
            "setup_context. You should return and save a view of the input instead, e.g. with x.view_as(x) or setup ctx inside the "
            "forward function itself."
        )


class _Results:
    """Makes what forward returned into outputs of its node: by whether it was an input, written to, or a view."""

    def __init__(self, ctx: Any, tensors: list[Tensor], recorded: bool) -> None:
        self.ctx, self.recorded = ctx, recorded
        self.inputs = {id(t) for t in tensors}
        for what, given in (("mark_dirty can only accept variables, but argument ", ctx.dirty_tensors),
                            ("mark_non_differentiable only accepts variable arguments, but got ", ctx.non_differentiable)):  # fmt: skip
            if given is not None and not all(isinstance(t, Tensor) for t in given):
                bad = next(i for i, t in enumerate(given) if not isinstance(t, Tensor))
                raise RuntimeError(f"{what}{bad} is of type {type(given[bad]).__name__}")
        self.dirty = {id(t) for t in ctx.dirty_tensors or ()}
        self.cut = {id(t) for t in ctx.non_differentiable or ()}

    def all(self, outs: list[Any]) -> list[Any]:
        if self.dirty - {id(o) for o in outs}:
            raise RuntimeError(
                "Some elements marked as dirty during the forward method were not returned as output. The inputs that are modified "
                "inplace must all be outputs of the Function."
            )
        return [self.one(o, i, len(outs)) if isinstance(o, Tensor) else o for i, o in enumerate(outs)]

    def one(self, out: Tensor, nr: int, count: int) -> Tensor:
        is_input, is_dirty = id(out) in self.inputs, id(out) in self.dirty
        edge = self.ctx if count == 1 else Output(self.ctx, nr)
        if is_dirty:
            if not is_input:
                warn(
                    "ctx.mark_dirty() received a tensor that was not an input. Only input Tensors that have been mutated should be "
                    "passed to ctx.mark_dirty().",
                )
            else:
                version(out).bump(self.ctx._label(), users_place(5))
        if not self.recorded or id(out) in self.cut or out._kind.dtype.category < 2:
            return self._without_history(out, is_input and not is_dirty)
        if is_dirty and is_input:
            return self._rebased(out, edge, count)
        if is_input:
            out = self._alias(out)
        elif out._more is not None and out._more.view is not None:
            out._more.view = views.View("several" if count > 1 else "function", self.ctx._label(), None)
        out._node = edge
        return out

    def _without_history(self, out: Tensor, returned: bool) -> Tensor:
        if out._node is None:
            return self._alias(out) if returned else out
        if id(out) in self.inputs:
            return out.detach()
        if out._more is None or out._more.view is None:
            out._node = None
        return out

    def _rebased(self, out: Tensor, edge: Any, count: int) -> Tensor:
        if out._node is LEAF:
            raise RuntimeError("a leaf Variable that requires grad has been used in an in-place operation.")
        if count > 1 and out._more is not None and out._more.view is not None:
            raise RuntimeError(
                "If your Function modifies inplace an input that is a view of another Tensor, your Function cannot return more than "
                "one Tensor. This is not supported by the current autograd engine. You should either make sure the input is not a "
                "view (using .clone() for example) or make your Function only return one Tensor (potentially splitting it into two "
                "Functions: one doing the inplace that returns a single Tensor and a second one that does the other operations). You "
                "can ask on the forum https://discuss.pytorch.org/ if you need help to do this change."
            )
        if out._more is not None:
            out._more.grad = None  # that of the tensor before
        views.check_inplace(out, self.ctx._label(), True)
        views.rebase(out, edge)
        return out

    def _alias(self, out: Tensor) -> Tensor:
        """An input that is returned as it is: a view of it, so that it can have a history of its own."""
        made = wrap(out._array, out._kind)
        views.attach(made, out, self.ctx._label(), "function")
        return made


def _save(ctx: Any, outs: list[Any], mode: Any) -> None:
    """Keep what forward asked for; an output without its history, which would close a cycle."""
    given = ctx.to_save
    if given is None:
        return
    ctx.to_save = None
    hooks = mode.saved_hooks[-1] if mode is not None and mode.saved_hooks else None
    saved: list[Any] = []
    versions: list[int] = []
    for position, t in enumerate(given):
        held = 0
        if t is not None:
            if not isinstance(t, Tensor):
                raise noted(
                    TypeError(
                        f"save_for_backward can only save variables, but argument {position} is of type {type(t).__name__}"
                    ),
                    ("fix", "keep what is no tensor as an attribute: ctx.k = k"),
                )
            if t._more is not None and t._more.inference:
                raise errors.InferenceSavedError()
            nr = next((i for i, o in enumerate(outs) if o is t), None)
            is_output = nr is not None and getattr(t._node, "node", t._node) is ctx
            if hooks is not None:
                t = Packed(t, hooks, None if is_output else edge_of(t), nr if is_output else None)
            elif is_output:
                t = SavedOutput(t, version(t), nr if len(outs) > 1 else None)
                held = t.version.n
            else:
                held = 0 if t._version_ is None else t._version_.n
        saved.append(t)
        versions.append(held)
    ctx._saved, ctx._versions = tuple(saved), tuple(versions)
