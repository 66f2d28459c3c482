"""Tensor's small questions, and the calls that other devices answer: is_nonzero, is_same_size, sparse_dim, module_load ...

Not here: shape, dtype and history (core/tensor.py, autograd/tensor_api.py).
"""

from __future__ import annotations

from typing import Any

from lamina.autograd.errors import c_type, scalar_name
from lamina.core.device import CPU
from lamina.core.dtype import dtype
from lamina.core.tensor import Tensor, more, wanted_grad_dtype
from lamina.core.typed_storage import LEGACY as STORAGES
from lamina.core.warn import warn
from lamina.primitives.signature import not_tensor


def is_nonzero(input: Tensor) -> bool:
    """Whether the one element of `input` is not zero. Raises RuntimeError unless there is one."""
    if not isinstance(input, Tensor):
        raise not_tensor("is_nonzero", "input", 1, input)
    if input._array.size != 1:
        many = "no values" if not input._array.size else "more than one value"
        raise RuntimeError(f"Boolean value of Tensor with {many} is ambiguous")
    return bool(input)


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have one shape."""
    for position, (name, value) in enumerate((("input", input), ("other", other)), 1):
        if not isinstance(value, Tensor):
            raise not_tensor("is_same_size", name, position, value)
    return bool(input._array.shape == other._array.shape)


def _dense_dim(self: Tensor) -> int:
    """The number of dimensions: all of them are dense."""
    return self._array.ndim


def _sparse_dim(self: Tensor) -> int:
    """0."""
    return 0


def _is_distributed(self: Tensor) -> bool:
    """False: no tensor lies on several machines."""
    return False


def _const_data_ptr(self: Tensor) -> int:
    """The address of the first element, for reading."""
    return self.data_ptr()


def _storage_type(self: Tensor) -> Any:
    """The class of the storage, by its dtype: torch.FloatStorage ..."""
    return STORAGES[self._kind.dtype.alias.replace("Tensor", "Storage")]


def _record_stream(self: Tensor, stream: Any) -> None:
    """Nothing: work is done when a call returns."""


def _module_load(self: Tensor, other: Tensor, assign: bool = False) -> Tensor:
    """What `load_state_dict` puts in the place of this parameter where parameters are swapped: a copy in this dtype, or `other`."""
    if assign:
        return other.detach()
    return self.copy_(other).detach()


def _volatile(self: Tensor) -> bool:
    warn("volatile was removed (Variable.volatile is always False)")
    return False


def _grad_dtype(self: Tensor) -> Any:
    """The dtype of `.grad`. Raises RuntimeError for a tensor that is no leaf."""
    if not self.is_leaf:
        raise RuntimeError("grad_dtype can only be accessed on leaf tensors.")
    return self.dtype if self._more is None else wanted_grad_dtype(self)


def _set_grad_dtype(self: Tensor, wanted: Any) -> None:
    """Let `.grad` be of this dtype; None: of any. Raises RuntimeError for no leaf, and where there is a gradient of another dtype."""
    if not self.is_leaf:
        raise RuntimeError("grad_dtype can only be set on leaf tensors.")
    if wanted is not None and not isinstance(wanted, dtype):
        raise RuntimeError(f"grad_dtype must be a torch.dtype or None, but got {type(wanted).__name__}")
    before = self.grad
    if wanted is not None and before is not None and before.dtype is not wanted:
        raise RuntimeError(
            f"Cannot set grad_dtype to '{scalar_name(CPU[wanted])}' because there is already a gradient with dtype '{c_type(before)}'. "
            "Please clear the gradient (.grad = None) before changing grad_dtype, or ensure the new grad_dtype matches the existing "
            "gradient's dtype."
        )
    more(self).grad_dtype = wanted


METHODS: dict[str, Any] = {
    "is_nonzero": is_nonzero, "is_same_size": is_same_size, "dense_dim": _dense_dim, "sparse_dim": _sparse_dim,
    "is_distributed": _is_distributed, "const_data_ptr": _const_data_ptr, "storage_type": _storage_type,
    "record_stream": _record_stream, "module_load": _module_load,
}  # fmt: skip
PROPERTIES: dict[str, Any] = {
    "volatile": property(_volatile),
    "grad_dtype": property(_grad_dtype, _set_grad_dtype),
}
