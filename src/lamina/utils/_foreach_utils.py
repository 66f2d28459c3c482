"""Groups of tensors by device and dtype, for functions that work on many tensors at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina.core.tensor import Tensor


def _get_foreach_kernels_supported_devices() -> list[str]:
    """Where PyTorch has kernels for lists of tensors."""
    return ["cuda", "xpu", "mtia", "privateuseone"]


def _get_fused_kernels_supported_devices() -> list[str]:
    """Where PyTorch has kernels for whole optimizer steps."""
    return ["mps", "cuda", "xpu", "hpu", "cpu", "mtia", "privateuseone"]


def _group_tensors_by_device_and_dtype(
    tensorlistlist: Sequence[Sequence[Tensor | None]], with_indices: bool = False
) -> dict[Any, Any]:
    """(device, dtype) of the first list's tensors -> (the lists, each with only what is beside those; their places)."""
    groups: dict[Any, tuple[list[list[Tensor | None]], list[int]]] = {}
    for place, first in enumerate(tensorlistlist[0]):
        if first is None:
            raise RuntimeError("the first list holds tensors only")
        lists, places = groups.setdefault((first.device, first.dtype), ([[] for _ in tensorlistlist], []))
        for found, given in zip(lists, tensorlistlist, strict=True):
            if given:
                found.append(given[place])
        if with_indices:
            places.append(place)
    return groups


def _device_has_foreach_support(device: Any) -> bool:
    """Whether the device is one of those."""
    return device.type in _get_foreach_kernels_supported_devices()


def _has_foreach_support(tensors: Sequence[Tensor], device: Any) -> bool:
    """Whether all these tensors could go to such kernels."""
    return _device_has_foreach_support(device) and all(t is None or type(t) is Tensor for t in tensors)
