"""Small helpers that packages take from `torch._utils`.

Here: flattening of tensors, questions about devices. Not here, but by their old names: how files become tensors (io/rebuild.py),
exceptions carried between workers (utils/data/_utils/errors.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.io.rebuild import (
    REFUSED,
    _get_layout,
    _rebuild_from_type_v2,
    _rebuild_meta_tensor_no_storage,
    _rebuild_parameter,
    _rebuild_parameter_with_state,
    _rebuild_tensor,
    _rebuild_tensor_v2,
    _rebuild_tensor_v3,
)
from lamina.utils.data._utils.errors import ExceptionWrapper, KeyErrorMessage

__all__ = [
    "ExceptionWrapper",
    "KeyErrorMessage",
    "_get_layout",
    "_rebuild_from_type_v2",
    "_rebuild_meta_tensor_no_storage",
    "_rebuild_parameter",
    "_rebuild_parameter_with_state",
    "_rebuild_tensor",
    "_rebuild_tensor_v2",
    "_rebuild_tensor_v3",
    "classproperty",
]

_rebuild_sparse_tensor, _rebuild_sparse_csr_tensor, _rebuild_nested_tensor, _rebuild_qtensor = (
    REFUSED  # files name them here
)


class classproperty:
    """A property of the class itself."""

    def __init__(self, func: Any) -> None:
        self.func = func

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self.func.__get__(instance, owner)() if hasattr(self.func, "__get__") else self.func(owner)


# ---- many tensors as one ---------------------------------------------------------------------------------------------


def _flatten_dense_tensors(tensors: Sequence[Tensor]) -> Tensor:
    """All elements in one row."""
    return lamina.cat([t.reshape(-1) for t in tensors])


def _unflatten_dense_tensors(flat: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Views of the row, shaped as these tensors."""
    parts = lamina.split(flat, [t.numel() for t in tensors])
    return tuple(part.view(t.shape) for part, t in zip(parts, tensors, strict=True))


def _reorder_tensors_as(tensors: Sequence[Tensor], ordered_tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """`tensors`, which are grouped by type, in the order of types in `ordered_tensors`."""
    by_type: dict[str, list[Tensor]] = defaultdict(list)
    for tensor in tensors:
        by_type[tensor.type()].append(tensor)
    queues = {kind: iter(found) for kind, found in by_type.items()}
    return tuple(next(queues[tensor.type()]) for tensor in ordered_tensors)


def _take_tensors(tensors: Sequence[Tensor], size_limit: int) -> Iterator[list[Tensor]]:
    """Groups of tensors of one type, of about `size_limit` bytes each."""
    groups: dict[str, tuple[list[Tensor], int]] = {}
    for tensor in tensors:
        kind, size = tensor.type(), tensor.numel() * tensor.element_size()
        found, used = groups.get(kind, ([], 0))
        if found and used + size > size_limit:
            yield found
            found, used = [], 0
        found.append(tensor)
        groups[kind] = (found, used + size)
    for found, _ in groups.values():
        if found:
            yield found


# ---- devices ---------------------------------------------------------------------------------------------------------


def _is_privateuse1_backend_available() -> bool:
    """False: devices are not plugged in."""
    return False


def _get_available_device_type() -> None:
    """None: there is no accelerator."""


def _get_all_device_indices() -> list[int]:
    """Empty."""
    return []


def _get_device_index(device: Any, optional: bool = False, allow_cpu: bool = False) -> int:
    """The number of a device. Raises ValueError where it has none and must."""
    if isinstance(device, str):
        device = lamina.device(device)
    if isinstance(device, lamina.device):
        if not allow_cpu and device.type == "cpu":
            raise ValueError(f"Expected a non cpu device, but got: {device}")
        device = -1 if device.type == "cpu" else device.index
    if isinstance(device, int):
        return device
    if optional:
        return -1 if allow_cpu else 0
    raise ValueError(f"Expected a torch.device with a specified index or an integer, but got:{device}")


def _element_size(dtype: Any) -> int:
    """Bytes of one element. Raises RuntimeError for what is no dtype."""
    if not isinstance(dtype, lamina.dtype):
        raise RuntimeError(f"expected torch.dtype, but got {type(dtype)}")
    return dtype.itemsize


def is_compiling() -> bool:
    """False: Python runs."""
    return False
