"""`autograd.Function`: operations whose gradient the user writes. The ctx that forward and backward see is the node itself.

Here: Function and its ctx, in the old style (forward with ctx) and the new (setup_context). Not here: running nodes (engine.py),
vmap and forward mode over Functions (they fill `Slots.function`).
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from lamina.autograd import engine, errors, modes
from lamina.autograd.function_call import applied
from lamina.autograd.graph import Node, edge_of, make
from lamina.autograd.saved import Packed, SavedOutput, SavedTensor
from lamina.core.strided import writable
from lamina.core.tensor import Tensor, wrap
from lamina.core.version import users_place
from lamina.core.warn import warn
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
        warn(
            "mark_shared_storage is deprecated. Tensors with shared storages are automatically tracked. Note that calls to `set_()` "
            "are not tracked",
            FutureWarning,
        )


class BackwardCFunction(Node, FunctionCtx):
    """The node of a user's Function, and its ctx: users set attributes on it as they like."""

    __slots__ = ("_inputs", "_like", "_width")
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
        warn("'saved_variables' is deprecated; use 'saved_tensors'", DeprecationWarning)
        return self.saved_tensors

    def _unpacked(self, kept: Any, held: int) -> Any:
        if isinstance(kept, Tensor):
            counter = kept._version_
            if counter is not None and counter.n != held:
                errors.check_unchanged(self, kept, held, counter)
            return kept
        if kept.__class__ is SavedOutput:
            if kept.version.n != held:
                errors.check_unchanged(self, kept, held, kept.version, True)
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
            return value if create else wrap(writable(value))
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
        if r._kind.dtype.category != 2 and (r._kind.dtype.category == 3) != (kind.dtype.category == 3):
            raise RuntimeError(
                "Expected isFloatingType(grad.scalar_type()) || (input_is_complex == grad_is_complex) to be true, but got false. "
                f"Function {type(node).__name__} returned a gradient of {r.dtype} at index {position}, for an input of {kind.dtype}"
            )
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
    _generated_cls: type[BackwardCFunction]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you should invoke them on the "
            "class itself. Instantiating an autograd function will raise an error in a future version of PyTorch.",
            DeprecationWarning,
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
            if bound.kwargs and kwargs:
                _refuse_keywords(cls, bound.kwargs)
        elif kwargs:
            args = inspect.signature(cls.forward).bind(None, *args, **kwargs).args[1:]
        mode = modes.current()
        if mode is not None and mode.transforms:
            if Slots.function is None:
                raise NotImplementedError("autograd.Function inside vmap or forward mode: call it outside of them")
            found = Slots.function(cls, args)
            if found is not NotImplemented:
                return found
        ctx = object.__new__(cls._transformed_cls()) if new_style and modes.transforming() else None
        return applied(cls, args, new_style, mode, users_place(2), ctx)

    @classmethod
    def _transformed_cls(cls) -> type[BackwardCFunction]:
        """The class of its nodes inside a transform of torch.func."""
        found = vars(cls).get("_generated_cls")
        if found is None:
            found = type(
                f"{cls.__name__}GeneratedBackward",
                (cls._backward_cls,),
                {"__slots__": (), "__module__": "torch.autograd.function"},
            )
            cls._generated_cls = found
        return found


def _refuse_keywords(cls: Any, given: dict[str, Any]) -> NoReturn:
    if modes.transforming():
        raise NotImplementedError(
            "Run vmap on autograd.Function with kwarg-only Tensor args. Please do not pass kwarg-only Tensors to autograd.Function. "
            f"Got: {given}"
        )
    raise TypeError(f"{cls.forward.__name__}() got an unexpected keyword argument '{next(iter(given))}'")


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


__all__ = [  # noqa: F822 (two of them load when first used)
    "BackwardCFunction",
    "Function",
    "FunctionCtx",
    "FunctionMeta",
    "InplaceFunction",
    "NestedIOFunction",
    "once_differentiable",
]


def __getattr__(name: str) -> Any:
    """The classes of old programs, which load when first used."""
    if name in ("InplaceFunction", "NestedIOFunction"):
        return getattr(importlib.import_module("lamina.autograd.function_legacy"), name)
    raise AttributeError(f"module 'torch.autograd.function' has no attribute {name!r}")
