"""`autograd.Function`: operations whose gradient the user writes. The ctx that forward and backward see is the node itself.

Here: Function and its ctx, in the old style (forward with ctx) and the new (setup_context). Not here: running nodes (engine.py),
vmap and forward mode over Functions (they fill `Slots.function`).
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from lamina.autograd import engine, errors, modes, views
from lamina.autograd.graph import Node, Output, edge_of, extra_of, make, next_seq
from lamina.autograd.saved import Packed, SavedOutput, SavedTensor
from lamina.core.tensor import LEAF, Tensor, version, wrap
from lamina.core.version import Place, users_place
from lamina.primitives.registry import Slots

new = object.__new__


class FunctionCtx:
    """What forward tells backward."""

    __module__ = "torch.autograd.function"

    def save_for_backward(self, *tensors: Tensor) -> None:
        """Keep tensors (inputs, outputs or others; None too) for backward, which finds them in `saved_tensors`."""
        self.to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for `jvp`."""
        for t in tensors:
            if not (isinstance(t, Tensor) or t is None):
                raise AssertionError(
                    "save_for_forward expects all arguments to be tensors; you should save non-tensors as attributes on ctx."
                )
        self.saved_for_forward = tensors

    def mark_dirty(self, *args: Tensor) -> None:
        """Say which inputs forward has modified in place; they must be among its outputs."""
        self.dirty_tensors = args

    def mark_non_differentiable(self, *args: Tensor) -> None:
        """Say which outputs have no gradient."""
        self.non_differentiable = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (the default) or None for outputs that nobody used."""
        self.materialize_grads = value

    def mark_shared_storage(self, *pairs: Any) -> None:
        warnings.warn(
            "mark_shared_storage is deprecated. Tensors with shared storages are automatically tracked. Note that calls to `set_()` "
            "are not tracked",
            FutureWarning,
            stacklevel=2,
        )


class BackwardCFunction(Node, FunctionCtx):
    """The node of a user's Function, and its ctx: users set attributes on it as they like."""

    __slots__ = ("_ends", "_inputs", "_like", "_width")
    __module__ = "torch.autograd.function"
    _holds = True
    _takes_none = True
    _forward_cls: type[Function]

    _inputs: tuple[bool, ...]  # of forward's arguments: which are tensors
    _like: tuple[Any, ...]  # of the tensor inputs: (shape, kind), to check gradients
    _ends: tuple[Any, ...]  # of the outputs: (shape, kind), for zeros; None: not a tensor
    _width: int

    dirty_tensors: Any = None
    non_differentiable: Any = None
    to_save: Any = None
    saved_for_forward: Any = None
    materialize_grads = True
    _materialize_non_diff_grads = True
    needs_input_grad: tuple[bool, ...]

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What forward saved. Raises RuntimeError once it is freed, or when it has been modified since."""
        if self._saved is None:
            raise errors.FreedGraphError(self)
        found = tuple(self._unpacked(kept, held) for kept, held in zip(self._saved, self._versions, strict=True))
        if self._forward_cls.clear_saved_tensors_on_access:
            self._release(None)
        return found

    @property
    def saved_variables(self) -> tuple[Any, ...]:
        warnings.warn("'saved_variables' is deprecated; use 'saved_tensors'", DeprecationWarning, stacklevel=2)
        return self.saved_tensors

    def _unpacked(self, kept: Any, held: int) -> Any:
        if isinstance(kept, Tensor):
            counter = kept._version_
            if counter is not None and counter.n != held:
                raise errors.ModifiedError(self, kept, held, counter, False)
            return kept
        if kept.__class__ is SavedOutput:
            if kept.version.n != held:
                raise errors.ModifiedError(self, kept, held, kept.version, True)
            return kept.tensor(self)
        return kept.unpack(self) if kept.__class__ is Packed else kept

    def maybe_clear_saved_tensors(self) -> None:
        if self._forward_cls.clear_saved_tensors_on_access:
            self._release(None)

    def _get_user_fn(self) -> Callable[..., Any]:
        cls = self._forward_cls
        backward, vjp = cls.backward, cls.vjp
        if vjp is not Function.vjp and backward is not Function.backward:
            raise RuntimeError(
                "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should only implement one of them."
            )
        return vjp if vjp is not Function.vjp else backward

    def apply(self, *args: Any) -> Any:
        """Run the user's backward."""
        return self._get_user_fn()(self, *args)

    def apply_jvp(self, *args: Any) -> Any:
        """Run the user's jvp."""
        return self._forward_cls.jvp(self, *args)

    def _vjp(self, g: Any, create: bool) -> Sequence[Any]:
        values = ([None] * self._width if g is None else g) if self._width > 1 else [g]
        grads = [self._cotangent(i, v, create) for i, v in enumerate(values)]
        run = engine.current_run()
        if run is None:  # the node is called by hand
            results = self.apply(*grads)
        else:
            outer, run.node = run.node, self
            try:
                results = self.apply(*grads)
            finally:
                run.node = outer
        checked = self._checked(results)
        return checked if create else [None if r is None else r._array for r in checked]

    def _cotangent(self, i: int, value: Any, create: bool) -> Any:
        if value is not None:
            return value if create else wrap(value)
        like = self._ends[i]
        if like is None or not self.materialize_grads:
            return None
        shape, kind, differentiable = like
        if not differentiable and not self._materialize_non_diff_grads:
            return None
        return wrap(np.zeros(shape, kind.np), kind)

    def _checked(self, results: Any) -> list[Any]:
        """The user's gradients, one for each tensor input, in its shape and dtype."""
        name = type(self).__name__
        if not isinstance(results, tuple):
            results = (results,)
        wanted = len(self._inputs)
        if len(results) > wanted and all(r is None for r in results[wanted:]):
            results = results[:wanted]
        if len(results) != wanted:
            raise errors.BackwardCountError(self, wanted, len(results))
        found = []
        for position, (r, is_tensor) in enumerate(zip(results, self._inputs, strict=True), 1):
            if not is_tensor:
                if r is not None:
                    raise RuntimeError(
                        f"function {name} returned a gradient different than None at position {position}, but the corresponding "
                        "forward input was not a Variable"
                    )
                continue
            if r is not None and not isinstance(r, Tensor):
                raise RuntimeError(f"expected Variable or None (got {type(r).__name__})")
            found.append(r)
        return [
            r if r is None or edge is None else fitted(r, like, self, i)  # one that nobody asked for: only hooks see it
            for i, (r, edge, like) in enumerate(zip(found, self._edges, self._like, strict=True))
        ]

    def _label(self) -> str:
        return self._forward_cls.__name__

    @property
    def _raw_saved_tensors(self) -> tuple[Any, ...]:
        if self._saved is None:
            raise errors.FreedGraphError(self)
        return tuple(SavedTensor(self, i) for i in range(len(self._saved)))

    def _register_hook(self, hook: Callable[..., Any]) -> Any:
        return self.register_hook(hook)

    def __call__(self, *grads: Any) -> Any:
        raise TypeError(f"'{type(self).__name__}' object is not callable")

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__name__} object at {hex(id(self))}>"


def fitted(r: Tensor, like: Any, node: Node, position: int) -> Tensor:
    """A gradient in the shape and dtype of its input. Raises RuntimeError where it cannot be."""
    shape, kind = like
    given = r._array.shape
    if given != shape:
        lead = len(given) - len(shape)
        if lead < 0 or any(n not in (1, m) for n, m in zip(shape, given[lead:], strict=True)):
            raise errors.GradientShapeError(node, position, list(given), list(shape))
        r = r.sum_to_size(shape)
    if r._kind is not kind:
        if r._kind.dtype.category == 3 and kind.dtype.category < 3:
            r = r.real
        r = r.to(kind.dtype)
    return r


class FunctionMeta(type):
    """Gives each Function the class of its nodes."""

    def __init__(cls, name: str, bases: tuple[type, ...], attrs: dict[str, Any]) -> None:
        cls._backward_cls = type(
            name + "Backward", (BackwardCFunction,),
            {"__slots__": (), "__module__": "torch.autograd.function", "_forward_cls": cls},
        )  # fmt: skip
        super().__init__(name, bases, attrs)


class Function(metaclass=FunctionMeta):
    """Base of user's operations: give `forward` and `backward` as static methods, and call `apply`."""

    __module__ = "torch.autograd.function"
    generate_vmap_rule = False
    clear_saved_tensors_on_access = False
    boxed_grads_call = False
    _backward_cls: type[BackwardCFunction]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you should invoke them on the "
            "class itself. Instantiating an autograd function will raise an error in a future version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd function with static "
            "forward method. (Example: https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute: `forward(ctx, *args)`, or `forward(*args)` where `setup_context` is given. Nothing in it is recorded."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Keep on `ctx` what backward needs."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The inputs' gradients from the outputs': one for each argument of forward, None where there is none."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with backward mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """The outputs' tangents from the inputs'."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with forward mode AD."
        )

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        """The function on a batch: returns outputs and their batch dimensions."""
        raise NotImplementedError(
            "To use autograd.Function with vmap, you must either override the vmap staticmethod or set generate_vmap_rule=True."
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Call the function, and record it."""
        new_style = cls.setup_context is not Function.setup_context
        if new_style:
            bound = inspect.signature(cls.forward).bind(*args, **kwargs)
            bound.apply_defaults()
            args = bound.args
        elif kwargs:
            args = inspect.signature(cls.forward).bind(None, *args, **kwargs).args[1:]
        mode = modes.current()
        if mode is not None and mode.transforms:
            if Slots.function is None:
                raise NotImplementedError("autograd.Function inside vmap or forward mode: call it outside of them")
            found = Slots.function(cls, args)
            if found is not NotImplemented:
                return found
        return _applied(cls, args, new_style, mode, users_place(2))


def _applied(
    cls: type[Function],
    args: tuple[Any, ...],
    new_style: bool,
    mode: Any,
    place: Place | None,
    ctx: BackwardCFunction | None = None,
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
    token = modes.set_current(modes.with_grad(mode, False))
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


class _Results:
    """Makes what forward returned into outputs of its node: by whether it was an input, written to, or a view."""

    def __init__(self, ctx: BackwardCFunction, tensors: list[Tensor], recorded: bool) -> None:
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
                warnings.warn(
                    "ctx.mark_dirty() received a tensor that was not an input. Only input Tensors that have been mutated should be "
                    "passed to ctx.mark_dirty().",
                    stacklevel=6,
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
        views.rebase(out, edge)
        return out

    def _alias(self, out: Tensor) -> Tensor:
        """An input that is returned as it is: a view of it, so that it can have a history of its own."""
        made = wrap(out._array, out._kind)
        views.attach(made, out, self.ctx._label(), "function")
        return made


def _save(ctx: BackwardCFunction, outs: list[Any], mode: Any) -> None:
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
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {position} is of type {type(t).__name__}"
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


class Error(Node):
    """Stands for the derivative of a backward that has none."""

    __slots__ = ()
    __module__ = "torch.autograd"

    def _vjp(self, g: Any, create: bool) -> Sequence[Any]:
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")


def once_differentiable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator for a backward that cannot be differentiated again: doing so raises RuntimeError."""

    @functools.wraps(fn)
    def wrapper(ctx: Any, *args: Any) -> Any:
        with modes.no_grad():
            outputs = fn(ctx, *args)
        edges = tuple(edge_of(a) for a in args if isinstance(a, Tensor) and a._node is not None)
        if not modes.is_grad_enabled() or not edges:
            return outputs
        several = outputs if isinstance(outputs, tuple) else (outputs,)
        made = []
        for o in several:
            if isinstance(o, Tensor):
                o = wrap(o._array, o._kind)
                o._node = make(Error, edges)
            made.append(o)
        return tuple(made) if isinstance(outputs, tuple) else made[0]

    return wrapper


class InplaceFunction(Function):
    """A Function that may be told to work in place. Kept for old programs."""

    __module__ = "torch.autograd.function"

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


def _flat(value: Any) -> Iterable[Any]:
    if isinstance(value, (list, tuple)):
        for v in value:
            yield from _flat(v)
    elif isinstance(value, dict):
        for v in value.values():
            yield from _flat(v)
    else:
        yield value


def _rebuilt(like: Any, values: Any) -> Any:
    if isinstance(like, (list, tuple)):
        return type(like)(_rebuilt(v, values) for v in like)
    if isinstance(like, dict):
        return type(like)((k, _rebuilt(v, values)) for k, v in like.items())
    return next(values)


class NestedIOFunction(Function):
    """A Function whose inputs and outputs are nested: `forward_extended` and `backward_extended`. Kept for old programs."""

    __module__ = "torch.autograd.function"

    @classmethod
    def apply(cls, *input: Any) -> Any:
        shapes: dict[str, Any] = {}

        class Flat(Function):
            @staticmethod
            def forward(ctx: Any, *flat: Any) -> Any:
                result = cls.forward_extended(ctx, *_rebuilt(input, iter(flat)))
                shapes["out"] = result
                return tuple(_flat(result))

            @staticmethod
            def backward(ctx: Any, *gradients: Any) -> Any:
                return tuple(_flat(cls.backward_extended(ctx, *_rebuilt(shapes["like"], iter(gradients)))))

        Flat.__name__ = cls.__name__
        Flat._backward_cls.__name__ = f"{cls.__name__}Backward"
        outs = Flat.apply(*_flat(input))
        result = shapes.pop("out")
        shapes["like"] = _rebuilt(result, iter([None] * len(outs)))
        if not isinstance(result, tuple):
            shapes["like"] = (shapes["like"],)
        return _rebuilt(result, iter(outs))

    @staticmethod
    def forward_extended(ctx: Any, *input: Any) -> Any:
        raise NotImplementedError

    @staticmethod
    def backward_extended(ctx: Any, *grad_output: Any) -> Any:
        raise NotImplementedError


__all__ = [
    "BackwardCFunction", "Function", "FunctionCtx", "FunctionMeta", "InplaceFunction", "NestedIOFunction", "once_differentiable",
]  # fmt: skip
