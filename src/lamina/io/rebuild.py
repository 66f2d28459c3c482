"""Tensors from what a file says of them, and back: the functions behind `torch._utils._rebuild_*`.

The arguments of the rebuild functions come from files that nobody vouches for: each is checked here before it is used.
Not here: reading opcodes (unpickler.py), bytes (storage.py).
"""

from __future__ import annotations

import codecs
import math
import pickle
from collections import OrderedDict
from typing import Any

import lamina
from lamina.core.parameter import Buffer, Parameter
from lamina.core.tensor import Tensor
from lamina.io import storage as storages
from lamina.primitives.refusals import refusal

ENCODE = codecs.encode
_LARGEST = 2**63 - 1


def _rebuild_tensor(storage: Any, storage_offset: int, size: Any, stride: Any) -> Tensor:
    """A tensor over a typed storage."""
    if not isinstance(storage, (lamina.TypedStorage, _TypedMeta)):
        raise pickle.UnpicklingError(f"a tensor needs a typed storage, the file gives a {type(storage).__name__}")
    return _over_storage(storage.untyped(), storage.dtype, storage_offset, size, stride)


def _rebuild_tensor_v2(
    storage: Any,
    storage_offset: int,
    size: Any,
    stride: Any,
    requires_grad: bool,
    backward_hooks: Any,
    metadata: Any = None,
) -> Tensor:
    return _finish(_rebuild_tensor(storage, storage_offset, size, stride), requires_grad, metadata)


def _rebuild_tensor_v3(
    storage: Any,
    storage_offset: int,
    size: Any,
    stride: Any,
    requires_grad: bool,
    backward_hooks: Any,
    dtype: Any,
    metadata: Any = None,
) -> Tensor:
    """For dtypes that have no storage class of their own: the dtype is given beside plain bytes."""
    if not isinstance(dtype, lamina.dtype):
        raise pickle.UnpicklingError(f"a tensor needs a dtype, the file gives a {type(dtype).__name__}")
    plain = storage.untyped() if isinstance(storage, (lamina.TypedStorage, _TypedMeta)) else storage
    return _finish(_over_storage(plain, dtype, storage_offset, size, stride), requires_grad, metadata)


def _rebuild_meta_tensor_no_storage(dtype: Any, size: Any, stride: Any, requires_grad: bool) -> Tensor:
    if not isinstance(dtype, lamina.dtype):
        raise pickle.UnpicklingError(f"a tensor needs a dtype, the file gives a {type(dtype).__name__}")
    _check_geometry(0, size, stride)
    return _finish(lamina.empty_strided(tuple(size), tuple(stride), dtype=dtype, device="meta"), requires_grad, None)


def _rebuild_parameter(data: Any, requires_grad: bool, backward_hooks: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise pickle.UnpicklingError(f"a Parameter needs a tensor, the file gives a {type(data).__name__}")
    return Parameter(data, bool(requires_grad))


def _rebuild_parameter_with_state(data: Any, requires_grad: bool, backward_hooks: Any, state: Any) -> Tensor:
    return with_state(_rebuild_parameter(data, requires_grad, backward_hooks), state)


def _rebuild_from_type_v2(func: Any, new_type: Any, args: Any, state: Any) -> Tensor:
    """A tensor of a subclass, or one with attributes of its own."""
    if not any(func is builder for builder in _BUILDERS):
        raise pickle.UnpicklingError("the function given for a tensor does not rebuild tensors")
    if not (isinstance(new_type, type) and issubclass(new_type, Tensor)):
        raise pickle.UnpicklingError("the class given for a tensor is not one of tensors")
    built = func(*args)
    if type(built) is not new_type:
        built = built.as_subclass(new_type)
    return with_state(built, state)


def _get_layout(name: str) -> Any:
    layout = getattr(lamina, name.removeprefix("torch."), None) if type(name) is str else None
    if not isinstance(layout, lamina.layout):
        raise pickle.UnpicklingError("the file names a layout that does not exist")
    return layout


_BUILDERS = (
    _rebuild_tensor,
    _rebuild_tensor_v2,
    _rebuild_tensor_v3,
    _rebuild_meta_tensor_no_storage,
    _rebuild_parameter,
)
REFUSED = tuple(
    refusal(name, "the file holds a tensor that lamina has not; in PyTorch, save " + instead)
    for name, instead in (
        ("_rebuild_sparse_tensor", "it dense: tensor.to_dense()"),
        ("_rebuild_sparse_csr_tensor", "it dense: tensor.to_dense()"),
        ("_rebuild_nested_tensor", "it padded: tensor.to_padded_tensor(0.0)"),
        ("_rebuild_qtensor", "it without quantisation: tensor.dequantize()"),
    )
)
"""What files name to rebuild tensors of other layouts: raise NotImplementedError."""

IN_UTILS = (*_BUILDERS, _rebuild_parameter_with_state, *REFUSED)


class _TypedMeta:
    """A typed storage on the meta device."""

    def __init__(self, storage: storages.MetaStorage, dtype: Any) -> None:
        self._storage, self.dtype = storage, dtype

    def untyped(self) -> storages.MetaStorage:
        return self._storage


def typed_storage(storage: Any, dtype: Any) -> Any:
    """`storage` seen as elements of `dtype`: what a persistent id turns into."""
    if isinstance(storage, storages.MetaStorage):
        return storage if dtype is None else _TypedMeta(storage, dtype)
    return storages.typed(storage, lamina.uint8 if dtype is None else dtype)


def with_state(built: Any, state: Any) -> Any:
    """Give `built` the attributes that were saved with it: a dict, or a pair of dict and slots."""
    if state is None:
        return built
    if getattr(type(built), "__setstate__", None) is not getattr(Tensor, "__setstate__", None):
        built.__setstate__(state)
        return built
    attributes, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    for values in (attributes, slots):
        if values:
            if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
                raise pickle.UnpicklingError("the attributes of a tensor must be a dict with names as keys")
            # Into __dict__, not by setattr: a file does not call property setters.
            vars(built).update(values)
    return built


def _over_storage(storage: Any, dtype: Any, offset: Any, size: Any, stride: Any) -> Tensor:
    is_meta = isinstance(storage, storages.MetaStorage)
    if not is_meta and not storages.is_storage(storage):
        raise pickle.UnpicklingError(f"a tensor needs a storage, the file gives a {type(storage).__name__}")
    need = (_check_geometry(offset, size, stride) + 1) * dtype.itemsize
    if need > storage.nbytes():
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and itemsize "
            f"{dtype.itemsize} requiring a storage size of {need} are out of bounds for storage of size "
            f"{storage.nbytes()}"
        )
    if is_meta:
        return lamina.empty_strided(tuple(size), tuple(stride), dtype=dtype, device="meta")
    return lamina.empty(0, dtype=dtype).set_(storage, offset, tuple(size), tuple(stride))


def _check_geometry(offset: Any, size: Any, stride: Any) -> int:
    """The index of the last element (-1: none). Raises UnpicklingError for what is not the geometry of a tensor."""
    if not (isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride) <= 64):
        raise pickle.UnpicklingError("size and stride of a tensor must be tuples of one length")
    if not all(type(n) is int and 0 <= n <= _LARGEST for n in (offset, *size, *stride)):
        raise pickle.UnpicklingError("size, stride and offset of a tensor must be whole numbers, not below 0")
    if math.prod(size) > _LARGEST:
        raise pickle.UnpicklingError(f"no tensor has as many elements as size {size} says")
    if 0 in size:
        return -1
    return int(offset) + sum((n - 1) * step for n, step in zip(size, stride, strict=True))


def _finish(built: Tensor, requires_grad: Any, metadata: Any) -> Tensor:
    if isinstance(metadata, dict):
        # PyTorch saves a lazily conjugated or negated tensor as its base and a mark.
        if metadata.get("conj"):
            built = built.conj().resolve_conj()
        if metadata.get("neg"):
            built = built.neg()
    if requires_grad:
        built.requires_grad_(True)
    return built


def reduce_tensor(tensor: Tensor) -> tuple[Any, tuple[Any, ...]]:
    """What pickle calls `__reduce__`, in PyTorch's shape: a rebuild function above, and its arguments.

    The storage among the arguments is for a pickler's `persistent_id`; plain pickling takes the storage's own reduce.
    """
    state = dict(vars(tensor))
    if Parameter in type(tensor).__mro__:
        arguments: tuple[Any, ...] = (tensor.detach(), tensor.requires_grad, OrderedDict())
        return (_rebuild_parameter_with_state, (*arguments, state)) if state else (_rebuild_parameter, arguments)
    func, arguments = _reduce_plain(tensor)
    # PyTorch's Buffer has no instances: it marks tensors, by an attribute that is part of the state.
    kind = Tensor if type(tensor) is Buffer else type(tensor)
    if kind is Tensor and not state:
        return func, arguments
    return _rebuild_from_type_v2, (func, kind, arguments, state or None)


def _reduce_plain(tensor: Tensor) -> tuple[Any, tuple[Any, ...]]:
    if tensor.is_conj() or tensor.is_neg():
        tensor = tensor.resolve_conj().resolve_neg()
    size, stride = tuple(tensor.size()), tuple(tensor.stride())
    if tensor.is_meta:
        return _rebuild_meta_tensor_no_storage, (tensor.dtype, size, stride, tensor.requires_grad)
    storage = tensor.untyped_storage()
    place = (tensor.storage_offset(), size, stride, tensor.requires_grad, OrderedDict())
    if tensor.dtype in storages.STORAGE_TYPES:
        return _rebuild_tensor_v2, (storages.typed(storage, tensor.dtype), *place)
    return _rebuild_tensor_v3, (storage, *place, tensor.dtype)
