"""In-place forms and `out=`: derived from the operation itself, for every primitive and composite.

Here: checks, the write, the version, the history of what was written. Not here: rules for views (autograd/views.py).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from lamina.autograd import modes, views
from lamina.autograd.graph import Output
from lamina.autograd.saved import SavedOutput
from lamina.core import device as devices
from lamina.core import strided
from lamina.core.explained import noted
from lamina.core.parameter import Parameter
from lamina.core.promotion import common_dtype
from lamina.core.strided import Array
from lamina.core.tensor import LEAF, Tensor, meta_array, version, wrap
from lamina.core.version import UNTRACKED, users_place
from lamina.core.warn import warn
from lamina.primitives.argument_types import allows_anything, check_strict, refuse, refuse_attribute, strict_arguments
from lamina.primitives.compared import as_written
from lamina.primitives.out_dtypes import check_cast, check_out_dtype
from lamina.primitives.overridable import asked
from lamina.primitives.registry import Slots

F = TypeVar("F", bound=Callable[..., Any])


def _no_batch(*values: Any) -> bool:
    """Whether no tensor is inside vmap's batch: those of this and of the user's classes go the long way."""
    return all(v.__class__ is Tensor or v.__class__ is Parameter or not isinstance(v, Tensor) for v in values)


def inplace(op: Callable[..., Any], name: str | None = None) -> Any:
    """The method `name`: `op` on self, written into self, which is returned."""
    label = name or op.__name__ + "_"
    p, composite = getattr(op, "primitive", None), hasattr(op, "fused")
    direct = p is not None and isinstance(p.forward, np.ufunc) and p.promote in ("same", "float") and 2 not in p.refuses
    ufunc = p.forward if p is not None and direct else None

    compares = p is not None and p.promote == "bool" and len(p.inputs) == 2
    update = getattr(op, "update", None)
    ordered = label not in views.IN_NO_ORDER  # else what is read must be looked at first

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        mode = modes.current()
        if (
            update is not None
            and (mode is None or (mode.plain and not mode.transforms))
            and update(self, args, kwargs, mode)
        ):
            version(self).bump(label, users_place(2))
            return self
        if kwargs and "out" in kwargs:
            raise TypeError(f"{label}() got an unexpected keyword argument 'out'")
        plain = mode is None or (mode.plain and (not mode.transforms or _no_batch(self, *args)))
        if ufunc is not None and plain and not kwargs:
            kind = self._kind
            if kind.plain and kind.dtype.category == 2 and (self._node is None or (mode is not None and not mode.grad)):
                if len(args) == 1:
                    other = args[0]
                    if other.__class__ is Tensor or other.__class__ is Parameter:
                        ready = other._kind is kind and (other._node is None or (mode is not None and not mode.grad))
                        ready = ready and (
                            other._more is None or other._more.base is None
                        )  # else they may share memory
                        operand: Any = other._array
                    else:
                        ready, operand = other.__class__ is float or other.__class__ is int, other
                else:
                    ready, operand = not args, None
                array = self._array
                ready = ready and (array.flags.c_contiguous or not strided.overlaps_itself(array))
                ready = ready and views.lone(self)
                if ready and (operand.__class__ is not np.ndarray or operand.ndim <= array.ndim):
                    counter, place = version(self), users_place(2)
                    try:
                        if args:
                            ufunc(array, operand, out=array)
                        else:
                            ufunc(array, out=array)
                        counter.bump(label, place)
                        return self
                    except ValueError:  # shapes: `write` says which
                        pass
                    except BaseException:  # an interrupt comes behind the write
                        counter.bump(label, place)
                        raise
        if asked((self, *args), kwargs):
            return Slots.override(method, (self, *args), kwargs)
        try:
            if (
                plain
                and ordered
                and is_direct(self, mode)
                and not (args and (mode is None or mode.grad) and _requires(args))
            ):
                array = self._array
                result = op(wrap(array, self._kind), *args, **kwargs)
                if result._kind is self._kind and result._array.shape == array.shape and result._node is None:
                    return written_directly(self, result._array, label)
            given = (*args, *kwargs.values())
            if compares:
                return write(self, label, lambda s: as_written(op.__name__, s, given[0], op(s, *args, **kwargs)), given)
            return write(self, label, lambda s: op(s, *args, **kwargs), given, composite)
        except NotImplementedError:
            if p is not None and p.elementwise and p.promote == "same":  # PyTorch looks at the target first
                check_cast(common_dtype((self, *args)), self._kind.dtype)
            raise

    method.__name__ = method.__qualname__ = label
    return method


def is_direct(self: Any, mode: Any) -> bool:
    """Whether a write to `self` is not recorded, and concerns nobody else."""
    return (
        (self.__class__ is Tensor or self.__class__ is Parameter)
        and self._kind.simple
        and (self._node is None or (mode is not None and not mode.grad))
        and (mode is None or (mode.plain and not mode.transforms))
        and self._array.flags.c_contiguous
        and views.lone(self)
    )


def written_directly(self: Tensor, values: Any, name: str) -> Tensor:
    """`self` with new values: an array of its shape and dtype, or a number."""
    version(self).bump(name, users_place(3))  # first: an interrupt leaves nothing written that is not counted
    self._array[...] = values
    return self


def _requires(values: Any) -> bool:
    return any(
        v._node is not None if isinstance(v, Tensor) else isinstance(v, (tuple, list)) and _requires(v) for v in values
    )


def write(
    self: Tensor, name: str, compute: Callable[[Tensor], Tensor], args: Any = (), composite: bool = False
) -> Tensor:
    """Put `compute(self)` into self's memory, with its history. Nothing is changed when anything is wrong.

    composite: the node keeps a graph inside, which sees the old values; so do the user's hooks of saved tensors.
    """
    mode = modes.current()
    if not isinstance(self, Tensor):
        raise TypeError(f"{name}(): argument 'input' must be Tensor, not {type(self).__name__}")
    if mode is not None and mode.transforms:
        found = Slots.inplace(self, name, compute, args)
        if found is not NotImplemented:
            return self
    if name in ("abs_", "absolute_") and self._kind.category == 3:
        raise RuntimeError("In-place abs is not supported for complex tensors.")
    grad = mode is None or mode.grad
    recorded = grad and self._kind.category > 1 and (self._node is not None or _requires(args)) and name not in _APART
    views.check_inplace(self, name, recorded)
    views.check_memory(self, name, args)
    listener = None if mode is None else mode.listener
    apart = recorded and (composite or (mode is not None and bool(mode.saved_hooks)))
    old = wrap(_kept(self._array, listener) if apart else self._array, self._kind)
    old._node = None if self._node is LEAF else self._node
    result = compute(old)
    views.check_memory(self, name, args, computed=True)
    check_target(self, result, name)
    node = result._node
    holder = node.node if node.__class__ is Output else node
    if holder is not None and holder._saved:
        if any(kept is old for kept in holder._saved):
            old._array = _kept(old._array, listener)
    if listener is not None:
        listener.write(self._array, result._array)
    views.check_rebase(self, node if recorded else None)
    base = self if self._more is None or self._more.base is None else self._more.base
    before, place = (self._node, base._node), users_place(2)
    try:
        _carry_out(self, result, node if recorded else None, name, place)
    except BaseException:  # an interrupt: memory, version and history go together
        self._node, base._node = before
        _carry_out(self, result, node if recorded else None, name, place)
        raise
    return self


def _carry_out(self: Tensor, result: Tensor, node: Any, name: str, place: Any) -> None:
    """The write itself. node: the history that the written gets."""
    if self._kind.device is not devices.meta:
        # elements that are one in memory: an old value must not be written after the new one
        where: Any = result._array != self._array if strided.overlaps_itself(self._array) else True
        np.copyto(self._array, result._array, casting="unsafe", where=where)
    counter = version(self)
    counter.bump(name, place)
    made = result._node
    holder = made.node if made.__class__ is Output else made
    if holder is not None and holder._saved:
        holder._saved = tuple(_written(kept, result, self) for kept in holder._saved)
        holder._versions = tuple(
            counter.n if kept.__class__ is SavedOutput and kept.version is counter else held
            for kept, held in zip(holder._saved, holder._versions, strict=True)
        )
    if node is not None:
        views.rebase(self, node)
    else:
        views.written(self)


_APART = frozenset(("logical_not_", "logical_and_", "logical_or_", "logical_xor_"))
"""What they write has no history, and leaves that of the target as it is."""


def _kept(array: Array, listener: Any) -> Array:
    """A copy of what is about to be written over."""
    made = array.copy()
    if listener is not None:
        listener.copied(array, made)
    return made


def _written(kept: Any, result: Tensor, target: Tensor) -> Any:
    """A result that its node saved now lives in the memory that was written."""
    if kept.__class__ is SavedOutput and kept.array is result._array and result._kind is target._kind:
        return SavedOutput(target, version(target), kept.nr)
    return kept


def check_target(self: Tensor, result: Tensor, name: str) -> None:
    """Whether `result` can be written into self: PyTorch's shape and type rules."""
    if result._array.shape != self._array.shape:
        raise RuntimeError(
            f"output with shape {list(self._array.shape)} doesn't match the broadcast shape {list(result._array.shape)}"
        )
    check_cast(result._kind.dtype, self._kind.dtype)


def store(out: Tensor, result: Tensor, name: str = "out") -> Tensor:
    """Write a result to the tensor given as `out=`; it is resized when its shape differs."""
    if not isinstance(out, Tensor):
        raise TypeError(f"argument 'out' must be Tensor, not {type(out).__name__}")
    mode = modes.current()
    if mode is not None and mode.transforms and (hasattr(out, "_level") or hasattr(result, "_level")):
        raise RuntimeError(
            f"Batching rule not implemented for aten::{name.lstrip('_')}.out; the fallback path doesn't work on out= or view ops."
        )
    if (mode is None or mode.grad) and (result._node is not None or out._node is not None):
        raise noted(
            RuntimeError(
                f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the arguments requires grad."
            ),
            ("fix", "the function's result in place of out=; or no_grad, where no gradient is wanted"),
        )
    if (result._more is not None and result._more.tangents) or (out._more is not None and out._more.tangents):
        raise NotImplementedError(
            f"Trying to use forward AD with {name}_out that does not support it because it is an out= function"
        )
    if out._version_ is UNTRACKED:  # made in inference mode
        views.check_inplace(out, name, False)
    check_out_dtype(name, result._kind.dtype, out._kind.dtype)
    if out._kind.device is not result._kind.device:
        raise RuntimeError(f"Expected out tensor to have device {result.device}, but got {out.device} instead")
    views.check_memory(out, name, ())
    if out._array.shape != result._array.shape:
        resize_out(out, result._array.shape)
    if mode is not None and mode.listener is not None:
        mode.listener.write(out._array, result._array)
    if out._kind.device is not devices.meta:
        np.copyto(out._array, result._array, casting="unsafe")
    version(out).bump(name, users_place(2))
    if out._version_.bases:  # type: ignore[union-attr]
        views.written(out)
    return out


def resize_out(out: Tensor, shape: tuple[int, ...]) -> None:
    if out._array.size:
        warn(
            f"An output with one or more elements was resized since it had shape {list(out._array.shape)}, which does not match the "
            f"required output shape {list(shape)}. This behavior is deprecated, and in a future PyTorch release outputs will not be "
            "resized unless they have zero elements. You can explicitly reuse an out tensor t by resizing it, inplace, to zero "
            "elements with t.resize_(0).",
        )
    if out._kind.device is devices.meta:
        out._array = meta_array(shape, out._kind)
    else:
        out._array = np.empty(shape, out._kind.np)


def with_out(function: Callable[..., Any]) -> Any:
    """Add the keyword `out=` to a function that returns a Tensor, or a tuple of them."""
    strict = strict_arguments(function)

    @functools.wraps(function)
    def public(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        if strict and (kwargs or len(args) > strict[0][0]):
            args, kwargs = check_strict(function, strict, args, kwargs) or (args, kwargs)
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            refuse(function, args, kwargs, error)
            raise
        return result if out is None else put_out(function.__name__, result, out)

    return public


def of_tensors(function: F) -> F:
    """Let a function whose arguments are not looked at one by one refuse, in PyTorch's words, what its annotations do not allow."""
    strict = strict_arguments(function)

    @functools.wraps(function)
    def public(*args: Any, **kwargs: Any) -> Any:
        if strict and (kwargs or len(args) > strict[0][0]):
            args, kwargs = check_strict(function, strict, args, kwargs) or (args, kwargs)
        try:
            return function(*args, **kwargs)
        except Exception as error:
            refuse(function, args, kwargs, error)
            raise

    if allows_anything(function, 1):
        public.__dict__["of_a_tensor"] = function  # what is a method: `self` is a Tensor
    return cast(F, public)


def loosely(function: F) -> F:
    """`of_tensors` for a function that is written in Python in PyTorch, too: what it takes for true or false is its own affair."""

    @functools.wraps(function)
    def public(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            refuse_attribute(args, kwargs, error)
            refuse(function, args, kwargs, error, parsed=False)
            raise

    return cast(F, public)


def put_out(name: str, result: Any, out: Any) -> Any:
    """Write what the function `name` returned, a Tensor or a tuple of them, to what was given as `out=`."""
    if not isinstance(result, tuple):
        return store(out, result, name)
    if not isinstance(out, (tuple, list)) or len(out) != len(result):
        raise TypeError(f"{name}(): argument 'out' must be tuple of Tensors, not {type(out).__name__}")
    return type(result)([store(o, r, name) for o, r in zip(out, result, strict=True)])
