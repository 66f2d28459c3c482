"""From a list of samples to a batch: the default collation and conversion.

Tensors, arrays and numbers are stacked; mappings, named tuples and sequences keep their kind, with batches inside. What
`default_collate_fn_map` says of a type goes before; users extend it through `collate`.
"""

import copy
import re
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

import lamina
from lamina.core.tensor import Tensor

CollateMap = dict[type | tuple[type, ...], Callable[..., Any]]

_NOT_BATCHABLE = "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
_TEXT_OR_OBJECT = "SUO"  # kinds of arrays that are no tensors
np_str_obj_array_pattern = re.compile(r"[SaUO]")  # the same for packages that collate by themselves


def default_collate(batch: Any) -> Any:
    """A batch from a list of samples: what a DataLoader does when nothing else is said.

    Raises TypeError for samples of other kinds, RuntimeError for samples of different sizes.
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def collate(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Any:
    """`default_collate` with a map of one's own from types to functions of (batch, *, collate_fn_map)."""
    first = batch[0]
    kind = type(first)
    if collate_fn_map is not None:
        function = collate_fn_map.get(kind) or next(
            (function for known, function in collate_fn_map.items() if isinstance(first, known)), None
        )
        if function is not None:
            return function(batch, collate_fn_map=collate_fn_map)

    def down(column: Any) -> Any:
        return collate(column, collate_fn_map=collate_fn_map)

    if isinstance(first, Mapping):
        return _like(first, {key: down([sample[key] for sample in batch]) for key in first})
    if _is_named_tuple(first):
        return kind(*(down(column) for column in zip(*batch, strict=True)))
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = [down(column) for column in zip(*batch, strict=True)]
        return columns if isinstance(first, tuple) else _like(first, columns)
    raise TypeError(_NOT_BATCHABLE.format(kind))


def default_convert(data: Any) -> Any:
    """Arrays and array scalars inside `data` as tensors, everything else as it is: for loaders without batches."""
    if isinstance(data, Tensor):
        return data
    if isinstance(data, np.ndarray | np.generic):
        return data if data.dtype.kind in _TEXT_OR_OBJECT else lamina.as_tensor(data)
    if isinstance(data, Mapping):
        return _like(data, {key: default_convert(value) for key, value in data.items()})
    if _is_named_tuple(data):
        return type(data)(*(default_convert(value) for value in data))
    if isinstance(data, tuple):
        return [default_convert(value) for value in data]
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return _like(data, [default_convert(value) for value in data])
    return data


def collate_tensor_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Tensor:
    return lamina.stack(batch, 0)


def collate_numpy_array_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Any:
    if batch[0].dtype.kind in _TEXT_OR_OBJECT:
        raise TypeError(_NOT_BATCHABLE.format(batch[0].dtype))
    return collate([lamina.as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Tensor:
    return lamina.as_tensor(np.asarray(batch))


def collate_float_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Tensor:
    return lamina.tensor(batch, dtype=lamina.float64)


def collate_int_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Tensor:
    return lamina.tensor(batch)


def collate_str_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Any:
    return batch


default_collate_fn_map: CollateMap = {
    Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def _is_named_tuple(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")


def _like(container: Any, content: Any) -> Any:
    """`content` in a container of the same kind, with what else it holds; a plain one where that cannot be made."""
    try:
        if isinstance(container, MutableMapping):
            clone = copy.copy(container)
            clone.update(content)
            return clone
        if isinstance(container, MutableSequence):
            clone = copy.copy(container)
            for i, value in enumerate(content):
                clone[i] = value
            return clone
        return type(container)(content)
    except TypeError:
        return content
