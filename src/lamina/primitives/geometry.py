"""In-place changes of how a tensor looks at its memory: t_, transpose_, squeeze_, unsqueeze_, as_strided_, resize_as_ ...

The values stay where they are; the tensor's shape, strides and history change. Not here: writes of values (filling.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.autograd import modes, views
from lamina.core import device as devices
from lamina.core import strided
from lamina.core.size import shape_of
from lamina.core.tensor import LEAF, Tensor, version, wrap
from lamina.core.version import users_place
from lamina.primitives import filling, rearrange, shape
from lamina.primitives.inplace import of_tensors, write
from lamina.primitives.levels import Batched, reseat
from lamina.primitives.nodes import overload


def reseated(view: Callable[..., Tensor], name: str, forms: int = 1) -> Any:
    """The method `name`: self looks at its memory as `view(self)` does. forms: how many PyTorch's `view` has."""

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if self.__class__ is Batched:
            return reseat(self, view(self, *args, **kwargs))
        mode = modes.current()
        grad = mode is None or mode.grad
        if grad:
            views.check_inplace(self, name, self._node is not None)
        old = wrap(self._array, self._kind)
        old._node = None if self._node is LEAF else self._node
        out = view(old, *args, **kwargs)
        self._array = out._array
        about = self._more
        if about is not None and about.view is not None and about.view.replay is not None:
            before = about.view.replay
            about.view = views.View(
                about.view.made_in, about.view.maker, lambda base: view(before(base), *args, **kwargs)
            )
        counter = version(self)
        counter.bump(name, users_place(2))
        if grad and out._node is not None:
            self._node = overload(out, forms)._node
            if about is not None:
                about.seen = counter.n
        if about is not None and about.tangents:
            about.tangents = {level: view(tangent, *args, **kwargs) for level, tangent in about.tangents.items()}
        views.written(self)
        return self

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"As {name[:-1]}, in place: this tensor looks at its memory so from now on."
    return method


def _t(self: Tensor) -> Tensor:
    if self._array.ndim > 2:
        raise RuntimeError(f"t_() expects a tensor with <= 2 dimensions, but self is {self._array.ndim}D")
    return rearrange.t(self)


t_ = reseated(_t, "t_")
transpose_ = reseated(rearrange.transpose, "transpose_")
swapaxes_ = reseated(rearrange.transpose, "swapaxes_")
swapdims_ = reseated(rearrange.transpose, "swapdims_")
squeeze_ = reseated(rearrange.squeeze, "squeeze_", 3)
unsqueeze_ = reseated(rearrange.unsqueeze, "unsqueeze_")
as_strided_ = reseated(shape.as_strided, "as_strided_")


@of_tensors
def resize_as_(self: Tensor, the_template: Tensor, *, memory_format: Any = None) -> Tensor:
    """Resize, in place, to the shape of another tensor, and for preserve_format to its format."""
    if memory_format is devices.preserve_format:
        rank = the_template._array.ndim
        last = strided.is_channels_last(the_template._array) and not the_template.is_contiguous()
        last_format = devices.channels_last if rank == 4 else devices.channels_last_3d
        memory_format = last_format if last and self._array.shape != the_template._array.shape else None
    return filling.resize_(self, the_template._array.shape, memory_format=memory_format)


def resize(self: Tensor, *sizes: Any) -> Tensor:
    """Another shape for the same elements, recorded. Deprecated: reshape does it."""
    wanted, have = shape_of(sizes, "resize"), self._array.shape
    if strided.numel(wanted) != self._array.size:
        raise RuntimeError(
            f"requested resize to {'x'.join(map(str, wanted))} ({strided.numel(wanted)} elements in total), but the given tensor has a "
            f"size of {'x'.join(map(str, have))} ({self._array.size} elements). autograd's resize can only change the shape of a given "
            "tensor, while preserving the number of elements. "
        )
    return rearrange.reshape(self.contiguous(), wanted)


def resize_as(self: Tensor, tensor: Tensor) -> Tensor:
    """The same elements in the shape of another tensor. Deprecated: reshape_as does it."""
    return resize(self, tensor._array.shape)


def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether the two look at the same memory in the same way."""
    same = (
        self._array.shape == tensor._array.shape
        and self.stride() == tensor.stride()
        and self.data_ptr() == tensor.data_ptr()
    )
    return same and strided.owner_of(self._array) is strided.owner_of(tensor._array)


def dim_order(self: Tensor, *, ambiguity_check: Any = False) -> tuple[int, ...]:
    """Dimensions from the outermost to the innermost in memory."""
    steps = self.stride()
    return tuple(sorted(range(len(steps)), key=lambda d: -steps[d]))


# ---- element by element, by a Python function ------------------------------------------------------------------------


def _called(name: str, self: Tensor, function: Callable[..., Any], *others: Tensor) -> Tensor:
    if any(t._node is not None for t in (self, *others)):
        raise RuntimeError(f"Can't call {name}() on Variable that requires grad. Use var.detach().{name}() instead.")
    for t in others:
        if t._kind is not self._kind:
            raise TypeError(
                f"{name}: expected torch.{self._kind.dtype.alias} for 'other' (got torch.{t._kind.dtype.alias})"
            )
    arrays = [rearrange.expand(t, self._array.shape)._array.reshape(-1).tolist() for t in (self, *others)]
    values = (
        np.array([function(*v) for v in zip(*arrays, strict=True)]).astype(self._kind.np).reshape(self._array.shape)
    )
    return write(self, name, lambda old: wrap(values, old._kind))


def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Replace each element by a function of it."""
    return _called("apply_", self, callable)


def map_(self: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Replace each element by a function of it and the one of `tensor` there."""
    return _called("map_", self, callable, tensor)


def map2_(self: Tensor, x: Tensor, y: Tensor, callable: Callable[[Any, Any, Any], Any]) -> Tensor:
    """Replace each element by a function of it and those of x and y there."""
    return _called("map2_", self, callable, x, y)
