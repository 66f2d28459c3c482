"""What autograd adds to Tensor: requires_grad, grad, backward, detach, data, hooks. Installed by primitives/methods.py.

Here: checks of arguments, and the calls into the engine. Not here: the engine (engine.py), text of errors (errors.py).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref

import numpy as np

from lamina.autograd import engine, errors, modes, views
from lamina.autograd.graph import (
    NOWHERE,
    GradientEdge,
    Node,
    Output,
    edge_of,
    extra_of,
    next_seq,
    node_and_number,
    note_end,
    retain,
)
from lamina.autograd.handles import RemovableHandle
from lamina.autograd.leaves import forgotten
from lamina.core.device import CPU
from lamina.core.dtype import float32
from lamina.core.explained import noted
from lamina.core.size import Size
from lamina.core.tensor import LEAF, Slots, Tensor, more, version, wanted_grad_dtype, wrap
from lamina.core.version import Detached, Version
from lamina.core.warn import warn_once


def backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Accumulate into the leaves' `.grad` the gradient of this tensor times `gradient` (a scalar's default: 1).

    retain_graph: keep what the graph saved (default: `create_graph`). create_graph: record the backward itself. inputs: only
    these accumulate. Raises RuntimeError without a graph, or without `gradient` for a tensor that is no scalar.
    """
    run_backward((self,), gradient, retain_graph, create_graph, inputs)


def run_backward(
    tensors: Sequence[Tensor], grad_tensors: Any, retain_graph: bool | None, create_graph: bool, inputs: Any
) -> None:
    if modes.transforming():
        raise RuntimeError(
            "backward() called inside a functorch transform. This is not supported, please use functorch.grad or functorch.vjp instead "
            "or call backward() outside of functorch transforms."
        )
    if inputs is not None:
        if isinstance(inputs, dict):
            inputs = tuple(inputs.values())
        inputs = (inputs,) if isinstance(inputs, (Tensor, GradientEdge)) else tuple(inputs)
        if not inputs:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
        for t in inputs:
            if not isinstance(t, (Tensor, GradientEdge)):
                raise RuntimeError(f"all inputs have to be Tensors or GradientEdges, but got {type(t).__name__}")
    roots = make_roots(tensors, grad_tensors, create_graph)
    captures: dict[Any, int] | None = None
    if inputs is not None:
        captures = {}
        for t in inputs:
            if isinstance(t, Tensor):
                retain_grad(t)  # a non-leaf accumulates by keeping its gradient
            edge = input_edge(t)
            if edge is not None:
                captures.setdefault(edge, len(captures))
    engine.run(
        roots, create=create_graph or _wrapped(), keep=create_graph if retain_graph is None else bool(retain_graph),
        captures=captures, record=create_graph,
    )  # fmt: skip
    if create_graph:
        warn_once(
            "Using backward() with create_graph=True will create a reference cycle between the parameter and its gradient which "
            "can cause a memory leak. We recommend using autograd.grad when creating the graph to avoid this. If you have to use "
            "this function, make sure to reset the .grad fields of your parameters to None after use to break the cycle and avoid "
            "the leak.",
        )


def input_edge(t: Any) -> Any:
    """The edge that stands for an `inputs` argument: a Tensor, or a GradientEdge."""
    if isinstance(t, Tensor):
        return edge_of(t)
    if not isinstance(t, GradientEdge):
        raise TypeError(f"expected a Tensor or a GradientEdge, but got {type(t).__name__}")
    return t.edge()


def make_roots(tensors: Sequence[Any], grad_tensors: Any, create: bool) -> list[tuple[Any, Any]]:
    """(edge, cotangent) of each tensor. Raises as PyTorch does for shapes and missing graphs."""
    if grad_tensors is None or isinstance(grad_tensors, Tensor):
        grads: tuple[Any, ...] = (grad_tensors,) * (1 if grad_tensors is not None else len(tensors))
    else:
        grads = tuple(grad_tensors)
    if len(grads) < len(tensors):
        raise RuntimeError(f"got {len(tensors)} tensors and {len(grads)} gradients")
    as_tensors = create or _wrapped()
    roots = []
    for i, (t, g) in enumerate(zip(tensors, grads, strict=False)):  # PyTorch looks at no more of them
        edge = input_edge(t)
        if edge is None or (modes.transforming() and hasattr(t, "_level")):
            # the entries of a batch have no place in the graph
            raise errors.NoGraphError(i, t)
        if g is None and not isinstance(t, Tensor):
            shape, kind = _end_of(t)
            if math.prod(shape) != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            value: Any = np.ones(shape, kind.np)
            value = wrap(value, kind) if as_tensors else value
        elif g is None:
            if t._array.size != 1:
                raise errors.NonScalarError(t)
            if t._kind.dtype.category == 3:
                raise RuntimeError(f"grad can be implicitly created only for real scalar outputs but got {t.dtype}")
            value = np.ones(t._array.shape, t._kind.np)
            value = wrap(value, t._kind) if as_tensors else value
        elif not isinstance(g, Tensor):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(g).__name__}")
        else:
            if not isinstance(t, Tensor):
                shape, kind = _end_of(t, g)
                if tuple(g.shape) != shape:
                    raise RuntimeError(_mismatch(i, g.shape, Size(shape)))
            else:
                if g._array.shape != t._array.shape and g.shape != t.shape:
                    raise RuntimeError(_mismatch(i, g.shape, t.shape))
                kind = t._kind
            _check_complex(i, g, kind.dtype)
            if g._kind is not kind:
                g = g.to(kind.dtype)
            value = g if as_tensors else g._array
        roots.append((edge, value))
    return roots


def _mismatch(i: int, given: Size, wanted: Size) -> str:
    return f"Mismatch in shape: grad_output[{i}] has a shape of {given} and output[{i}] has a shape of {wanted}."


def _check_complex(i: int, g: Tensor, wanted: Any) -> None:
    if (g._kind.dtype.category == 3) != (wanted.category == 3):
        raise RuntimeError(
            "For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in "
            f"dtype: grad_output[{i}] has a dtype of {g.dtype} and output[{i}] has a dtype of {wanted}."
        )


def _end_of(edge: GradientEdge, like: Tensor | None = None) -> tuple[tuple[int, ...], Any]:
    """Shape and kind of the output that `edge` leads to; an edge put together by hand may tell none: that of `like`, or a scalar's."""
    ends = getattr(edge.node, "_ends", ())
    found = ends[edge.output_nr] if edge.output_nr < len(ends) else None
    if found is not None:
        return found[0], found[1]
    return ((), CPU[float32]) if like is None else (tuple(like.shape), like._kind)


def listened() -> bool:
    """Whether this thread's run is recorded by the compiler: then backward computes with Tensors, which it sees."""
    now = modes.current()
    return now is not None and now.listener is not None


def _wrapped() -> bool:
    """Whether a level of vmap or jvp is open, or a run is recorded: then values must stay Tensors."""
    now = modes.current()
    return now is not None and bool(now.transforms or now.listener)


# ---- properties ------------------------------------------------------------------------------------------------------


def _get_requires_grad(self: Tensor) -> bool:
    return self._node is not None


def _set_requires_grad(self: Tensor, value: Any) -> None:
    if value.__class__ is not bool:
        raise RuntimeError("requires_grad must be a bool")
    if value and self._kind.dtype.category < 2:
        raise RuntimeError("only Tensors of floating point and complex dtype can require gradients")
    if value and self._node not in (None, LEAF, NOWHERE) and not getattr(self._node, "open", False):
        raise RuntimeError("you can only change requires_grad flags of leaf variables.")
    _require(self, value)


def requires_grad_(self: Tensor, requires_grad: bool = True) -> Tensor:
    """Record, or not, what is done with this leaf. Raises RuntimeError for a non-leaf and for integer dtypes."""
    if requires_grad.__class__ is not bool:
        raise TypeError(
            f"requires_grad_(): argument 'requires_grad' (position 1) must be bool, not {type(requires_grad).__name__}"
        )
    if modes.transforming():
        raise RuntimeError(
            "You are attempting to call Tensor.requires_grad_() (or perhaps using torch.autograd.functional.* APIs) inside of a function "
            "being transformed by a functorch transform. This is unsupported, please attempt to use the functorch transforms (e.g. grad, "
            "vjp, jacrev, jacfwd, hessian) or call requires_grad_() outside of a function being transformed instead."
        )
    return _require(self, requires_grad)


def _require(self: Tensor, requires_grad: bool) -> Tensor:
    node = self._node
    if requires_grad:
        if self._more is not None and self._more.inference and not modes.is_inference_mode_enabled():
            raise RuntimeError("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.")
        if node is None or node is NOWHERE:
            if self._kind.dtype.category < 2:
                raise RuntimeError("only Tensors of floating point dtype can require gradients")
            self._node = LEAF
            if self._more is not None:
                self._more.cut = None
                views.refresh_views(self)
    elif node is LEAF:
        self._node = None
        if self._more is not None:
            if self._more.base is not None and self._more.base._node is not None:
                self._node = NOWHERE  # a view requires grad when its base does
            views.refresh_views(self)
    elif node is not None and node is not NOWHERE:
        raise RuntimeError(
            "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph "
            "that doesn't require differentiation use var_no_grad = var.detach()."
        )
    return self


def _get_grad(self: Tensor) -> Tensor | None:
    about = self._more
    found = None if about is None else about.grad
    if found is None and self._node not in (None, LEAF, NOWHERE) and not (about is not None and about.retains):
        errors.warn_non_leaf_grad(self)
    return found


def _set_grad(self: Tensor, value: Any) -> None:
    if value is None:
        forgotten(self)
        if self._more is not None:
            self._more.grad = None
        return
    if not isinstance(value, Tensor):
        raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}")
    if value is self:
        raise RuntimeError("can't assign Variable as its own grad")
    wanted = wanted_grad_dtype(self)
    if wanted is not None and value._kind.dtype is not wanted:
        raise RuntimeError(
            f"attempting to assign a gradient with dtype '{errors.c_type(value)}' to a tensor with grad_dtype "
            f"'{errors.scalar_name(CPU[wanted])}'. The gradient "
            "must match the tensor's grad_dtype (defaults to the tensor's dtype). You can set the tensor's grad_dtype attribute with "
            "a specific dtype, or None to allow any dtype. Set grad_dtype with caution. Diverging the dtypes of a tensor and its "
            "gradient may break downstream systems that assume they match."
        )
    if value._kind.device is not self._kind.device:
        raise RuntimeError(
            f"attempting to assign a gradient with device type '{value.device}' to a tensor with device "
            f"type '{self.device}'. Please ensure that the gradient and the tensor are on the same device"
        )
    if value._array.shape != self._array.shape:
        raise RuntimeError(
            f"attempting to assign a gradient of size '{list(value._array.shape)}' to a tensor of size "
            f"'{list(self._array.shape)}'. Please ensure that the gradient and the tensor are the same size"
        )
    forgotten(self)
    more(self).grad = value


def _del_grad(self: Tensor) -> None:
    forgotten(self)
    if self._more is not None:
        self._more.grad = None


def _get_grad_fn(self: Tensor) -> Node | None:
    node = self._node
    about = self._more
    if about is not None and about.broken:
        raise errors.ViewInPlaceError(self, "", about.view, base_modified=True)
    if node is None or node is LEAF:
        return None
    found, nr = node_and_number(node)
    if found is not None:
        note_end(found, nr, self)
    return found  # type: ignore[no-any-return]


def _set_grad_fn(self: Tensor, value: Any) -> None:
    if value is not None:
        raise RuntimeError("_grad_fn can be only set to None")
    detach_(self)


def _get_is_leaf(self: Tensor) -> bool:
    return _get_grad_fn(self) is None


def _get_retains_grad(self: Tensor) -> bool:
    return self._more is not None and self._more.retains


def _get_data(self: Tensor) -> Tensor:
    """The same memory without history, with a version counter of its own."""
    made = wrap(self._array, self._kind)
    if self._more is not None and self._more.inference:
        more(made).inference, made._version_ = (
            True,
            Version(),
        )  # writes to it are counted, and allowed: as PyTorch has it
    return _as_class(self, made)


def _as_class(self: Tensor, made: Tensor) -> Tensor:
    cls = type(self)
    if cls is Tensor or not getattr(cls, "_overrides", True):
        return made
    again: Tensor = object.__new__(cls)
    again._array, again._kind, again._node, again._version_, again._more = (
        made._array,
        made._kind,
        None,
        made._version_,
        made._more,
    )
    return again


def _set_data(self: Tensor, value: Tensor) -> None:
    """Look at the memory of `value` from now on; history stays."""
    if not isinstance(value, Tensor):
        raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
    if self._node is not None and value._kind.dtype.category < 2:
        raise RuntimeError("data set to a tensor that requires gradients must be floating point or complex dtype")
    self._array, self._kind = value._array, value._kind


def detach(self: Tensor) -> Tensor:
    """The same memory and version, without history."""
    made = wrap(self._array, self._kind)
    made._version_ = version(self)
    if self._more is not None and self._more.inference:
        more(made).inference, made._version_ = True, Version()  # as of `data`: it may be written, and is counted alone
    if self._node is not None:
        errors.note_cut(made, "detach()", self)
    return _as_class(self, made)


def detach_(self: Tensor) -> Tensor:
    """Cut this tensor from its history, in place (but not in inference mode). Raises RuntimeError for a view."""
    if modes.is_inference_mode_enabled():
        return self
    if self._more is not None and self._more.view is not None:
        raise RuntimeError(
            "Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP) for training, and "
            "gradient_as_bucket_view is set as True, gradients are views of DDP buckets, and hence detach_() cannot be called on "
            "these gradients. To fix this error, please refer to the Optimizer.zero_grad() function in torch/optim/optimizer.py as the "
            "solution."
        )
    if self._node is not None and self._node is not LEAF:
        counter = version(self)
        mark = counter.n = Detached(counter.n)
        mark.since, mark.who = next_seq(), ref(self)
    self._node = None
    if self._more is not None:
        views.refresh_views(self)
    return self


# ---- hooks -----------------------------------------------------------------------------------------------------------


def register_hook(self: Tensor, hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(grad)` when this tensor's gradient is known; what it returns, unless None, replaces the gradient."""
    node = self._node
    if node is None:
        raise _no_hook(self)
    edge_of(self)  # raises for a view whose history is lost
    if node is LEAF or node is NOWHERE:
        about = more(self)
        if about.hooks is None:
            about.hooks = OrderedDict()
        return RemovableHandle(about.hooks, hook)
    node, nr = (node.node, node.nr) if node.__class__ is Output else (node, 0)
    return RemovableHandle(extra_of(node).tensor_hooks.setdefault(nr, OrderedDict()), hook)


def _hooks_of(self: Tensor) -> tuple[dict[Any, Any], Any]:
    """Where the hooks of a tensor are kept: a dictionary, and the key in it."""
    node = self._node
    if node is None or node is LEAF or node is NOWHERE:
        return vars(more(self)), "hooks"
    node, nr = (node.node, node.nr) if node.__class__ is Output else (node, 0)
    return extra_of(node).tensor_hooks, nr


def _get_backward_hooks(self: Tensor) -> Any:
    """The hooks of this tensor, by the id of their handles; None where it never had one."""
    if self._more is None and self._node in (None, LEAF, NOWHERE):
        return None
    where, key = _hooks_of(self)
    return where.get(key)


def _set_backward_hooks(self: Tensor, hooks: Any) -> None:
    where, key = _hooks_of(self)
    if hooks is None:
        where.pop(key, None)
    else:
        where[key] = hooks


def register_post_accumulate_grad_hook(self: Tensor, hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(leaf)` after a gradient has been accumulated into this leaf."""
    if self._node is None:
        raise _no_hook(self)
    if _get_grad_fn(self) is not None:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    about = more(self)
    if about.post_hooks is None:
        about.post_hooks = OrderedDict()
    return RemovableHandle(about.post_hooks, hook)


def _no_hook(t: Tensor) -> RuntimeError:
    return noted(
        RuntimeError("cannot register a hook on a tensor that doesn't require gradient"),
        *(
            errors.cut_rows(t, guess=False)
            or [("fix", "requires_grad_() on it, or on what it is computed from, before")]
        ),
    )


def retain_grad(self: Tensor) -> None:
    """Keep the gradient of this non-leaf in `.grad`."""
    if self._node is None:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    if self._node in (LEAF, NOWHERE) or (self._more is not None and self._more.retains):
        return
    if modes.transforming():
        raise RuntimeError(
            "You are attempting to call Tensor.retain_grad() inside of a function being transformed by a functorch transform. This is "
            "unsupported, please attempt to use the functorch transforms (e.g. grad, vjp, jacrev, jacfwd, hessian) or call "
            "retain_grad() outside of a function being transformed instead."
        )
    edge_of(self)  # raises for a view whose history is lost
    more(self).retains = True
    retain(self)


def _reset_grad_fn_hooks(self: Tensor) -> None:
    return None


def _refuse(name: str) -> Callable[..., None]:
    def setter(self: Tensor, value: Any) -> None:
        raise AttributeError(f"attribute '{name}' of 'torch._C.TensorBase' objects is not writable")

    return setter


def _undeletable(error: type[Exception], text: str) -> Callable[[Tensor], None]:
    def deleter(self: Tensor) -> None:
        raise error(text)

    return deleter


PROPERTIES = {
    "requires_grad": property(
        _get_requires_grad, _set_requires_grad, _undeletable(RuntimeError, "requires_grad must be a bool")
    ),
    "grad": property(_get_grad, _set_grad, _del_grad),
    "_grad": property(_get_grad, _set_grad, _del_grad),
    "grad_fn": property(_get_grad_fn, _refuse("grad_fn")),
    "_grad_fn": property(
        _get_grad_fn,
        _set_grad_fn,
        _undeletable(RuntimeError, "Deletion of _grad_fn not allowed. Detach tensor instead!"),
    ),
    "is_leaf": property(_get_is_leaf, _refuse("is_leaf")),
    "_backward_hooks": property(
        _get_backward_hooks,
        _set_backward_hooks,
        _undeletable(RuntimeError, "Deletion of _backwards_hooks not allowed!"),
    ),
    "retains_grad": property(_get_retains_grad, _refuse("retains_grad")),
    "data": property(
        _get_data, _set_data, _undeletable(RuntimeError, "Deleting tensor data is not allowed. Delete tensor instead!")
    ),
}
METHODS = {
    "backward": backward,
    "requires_grad_": requires_grad_,
    "detach": detach,
    "detach_": detach_,
    "register_hook": register_hook,
    "register_post_accumulate_grad_hook": register_post_accumulate_grad_hook,
    "retain_grad": retain_grad,
}
Slots.recording, Slots.inference, Slots.left = (
    modes.is_grad_enabled, modes.is_inference_mode_enabled, errors.note_left,
)  # fmt: skip
