"""What Python asks of a tensor: its text, iteration, copies, pickles, construction, subclassing.

Here: special methods that need operations. Not here: operations themselves.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

from lamina.autograd import modes
from lamina.core import device as devices
from lamina.core import dtype as dtypes
from lamina.core import factories, printing
from lamina.core.device import CPU
from lamina.core.nested import array_of
from lamina.core.size import Size, check_room, shape_of
from lamina.core.storage import UntypedStorage
from lamina.core.tensor import LEAF, Tensor, looked_at, meta_array, more, version
from lamina.core.typed_storage import TypedStorage
from lamina.primitives import overrides, splitting
from lamina.primitives.filling import set_
from lamina.primitives.levels import Batched
from lamina.primitives.wrapping import wrapped_text, wrappers


def new_tensor(cls: type[Tensor], *args: Any, **kwargs: Any) -> Any:
    """torch.Tensor(...): a shape (uninitialised), a sequence of numbers, or a tensor, of the default dtype."""
    device = kwargs.pop("device", None)
    if device is not None:
        devices.as_device(device)
    if kwargs:
        raise TypeError(
            f"new() received an invalid combination of arguments - got unexpected keyword arguments {sorted(kwargs)}"
        )
    return legacy(cls, dtypes.get_default_dtype(), args)


def legacy(cls: type[Tensor], d: dtypes.dtype, args: tuple[Any, ...], typed: bool = False) -> Any:
    """torch.Tensor(...), of dtype `d`. typed: a tensor that is given must be of it."""
    kind = CPU[d]
    if not args:
        return factories.leaf_like(cls, np.empty(0, kind.np), kind, False)
    first = args[0]
    if len(args) == 1 and isinstance(first, Tensor):
        if typed and first._kind.dtype is not d:
            raise TypeError(f"expected TensorOptions(dtype={d}) (got a tensor of dtype {first._kind.dtype})")
        return overrides.as_subclass(first, cls)
    if len(args) == 1 and isinstance(first, Size):
        return factories.leaf_like(cls, np.empty(tuple(first), kind.np), kind, False)
    if len(args) == 1 and isinstance(first, (UntypedStorage, TypedStorage)):
        return set_(factories.leaf_like(cls, np.empty(0, kind.np), kind, False), first.untyped())
    if len(args) == 1 and isinstance(first, (list, tuple, np.ndarray, range)):
        array = array_of(
            list(first) if isinstance(first, range) else first, None if isinstance(first, np.ndarray) else d
        )
        return factories.leaf_like(cls, array.astype(kind.np), kind, False)
    if any(not hasattr(a, "__index__") for a in args):
        bad = next(a for a in args if not hasattr(a, "__index__"))
        raise TypeError(f"new(): data must be a sequence (got {type(bad).__name__})")
    shape = shape_of(args, "new")
    if any(n < 0 for n in shape):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    check_room(shape, kind.np.itemsize)
    return factories.leaf_like(cls, np.empty(shape, kind.np), kind, False)


def new(self: Tensor, *args: Any, device: Any = None) -> Any:
    """As torch.Tensor(...), with this tensor's dtype. Deprecated: new_empty and new_tensor do it."""
    return legacy(Tensor, self._kind.dtype, args)


def text(self: Tensor, *, tensor_contents: str | None = None) -> str:
    """The repr: PyTorch's, to the character."""
    around = wrappers(self) if modes.transforming() or self.__class__ is Batched else None
    if around:
        return wrapped_text(self, around)
    suffixes = []
    try:
        node = self.grad_fn if self._node is not None and self._node is not LEAF else None
    except RuntimeError:  # a view whose history is lost is shown all the same
        node = None
        suffixes.append("grad_fn=<Invalid>")
    if node is not None:
        suffixes.append(f"grad_fn=<{node.name().rpartition('::')[2]}>")
    elif self._node is not None and not suffixes:  # a leaf, or a view of one that was made while gradients were off
        suffixes.append("requires_grad=True")
    default = dtypes.get_default_dtype()
    if self._more is not None and self._more.tangents:
        shown = [self._more.tangents[level.id] for level in modes.mode().transforms if level.id in self._more.tangents]
        if shown:
            suffixes.append(f"tangent={shown[-1]}")
    cls = type(self)
    prefix = "tensor(" if cls is Tensor or not cls._overrides else f"{cls.__name__}("
    looked_at(self, "its text")
    return printing.format_tensor(
        None if self.is_meta else self._array, dtype=self._kind.dtype.name,
        default_dtypes=(default.name, dtypes.default_complex().name), size=self._array.shape, meta=self.is_meta,
        prefix=prefix, suffixes=suffixes, contents=tensor_contents,
    )  # fmt: skip


def format_(self: Tensor, spec: str) -> str:
    if not self._array.ndim and not self.is_meta and type(self) is Tensor:
        return format(self.item(), spec)
    return object.__format__(self, spec)


def iterate(self: Tensor) -> Iterator[Tensor]:
    """The entries of the first dimension."""
    if not self._array.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return iter(splitting.unbind(self, 0))


def contains(self: Tensor, element: Any) -> bool:
    if isinstance(element, (Tensor, bool, int, float, complex, np.generic)):
        return bool((element == self).any())  # type: ignore[union-attr]
    raise RuntimeError(f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}.")


def reversed_(self: Tensor) -> Tensor:
    return self if not self._array.ndim else self.flip(0)


def deepcopy(self: Tensor, memo: dict[int, Any]) -> Tensor:
    """A copy of a leaf, its memory and gradient; tensors that share memory share its copy. Raises RuntimeError otherwise."""
    if not self.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  If you were "
            "attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage, see "
            "https://github.com/pytorch/pytorch/pull/103001"
        )
    if id(self) in memo:
        return memo[id(self)]  # type: ignore[no-any-return]
    made: Tensor = object.__new__(type(self))
    made._kind, made._version_, made._more = self._kind, None, None
    if self.is_meta:
        made._array = self._array
    else:
        storage = copy.deepcopy(self.untyped_storage(), memo)
        made._array = np.empty(0, self._kind.np)
        made._node = None
        set_(made, storage, self.storage_offset(), self._array.shape, self.stride())
    made._node = None if self._node is None else LEAF
    memo[id(self)] = made
    if self._more is not None and self._more.grad is not None:
        more(made).grad = copy.deepcopy(self._more.grad, memo)
    for name, value in self.__dict__.items():
        made.__dict__[name] = copy.deepcopy(value, memo)
    return made


def reduce(self: Tensor, protocol: Any) -> Any:
    """Pickles: the storage, and how the tensor looks at it. Whatever requires grad comes back as a leaf that does."""
    data = None if self.is_meta else self.untyped_storage()
    return _rebuild, (
        type(self), data, self._kind.dtype, self.storage_offset() if data is not None else 0, tuple(self._array.shape), self.stride(),
        self._node is not None, dict(self.__dict__),
    )  # fmt: skip


def _rebuild(
    cls: type[Tensor], storage: Any, d: Any, offset: int, size: Any, stride: Any, requires_grad: bool, state: Any
) -> Any:
    if storage is None:
        kind = factories.kind_of(d, devices.meta)
        return factories.leaf_like(cls, meta_array(size, kind, stride), kind, requires_grad)
    made = factories.leaf_like(cls, np.empty(0, d.np), CPU[d], False)
    set_(made, storage, offset, size, stride)
    made._node = LEAF if requires_grad else None
    made.__dict__.update(state)
    return made


def setstate(self: Tensor, state: Any) -> None:
    self.__dict__.update(state)


def make_subclass(cls: type[Tensor], data: Tensor, require_grad: bool = False, **ignored: Any) -> Any:
    """An object of `cls` over the memory of `data`, a leaf."""
    made = factories.leaf_like(cls, data._array, data._kind, require_grad)
    made._version_ = version(data)
    return made


def make_wrapper_subclass(cls: type[Tensor], *args: Any, **kwargs: Any) -> Any:
    raise NotImplementedError(
        "Tensor._make_wrapper_subclass needs __torch_dispatch__, which lamina has not; subclass with __torch_function__ instead"
    )


def ufunc_result(self: Tensor, array: Any, context: Any = None, return_scalar: bool = False) -> Tensor:
    """What NumPy functions on tensors return: tensors again."""
    array = np.asarray(array)
    return factories.from_numpy(array if array.dtype != np.bool_ else array)


METHODS = {
    "__new__": staticmethod(new_tensor),
    "__repr__": text,
    "__format__": format_,
    "__iter__": iterate,
    "__contains__": contains,
    "__reversed__": reversed_,
    "__deepcopy__": deepcopy,
    "__reduce_ex__": reduce,
    "__setstate__": setstate,
    "__array_wrap__": ufunc_result,
    "__torch_function__": classmethod(overrides.default_torch_function),
    "_make_subclass": staticmethod(make_subclass),
    "_make_wrapper_subclass": staticmethod(make_wrapper_subclass),
    "as_subclass": overrides.as_subclass,
}
