"""How a batch travels from a worker: pickled, with plain tensors as NumPy arrays.

An array's pickle is its bytes and a short header; a tensor's would carry a storage with everything it shares.
"""

import io
import pickle
from typing import Any

import numpy as np

import lamina
from lamina.core.tensor import Tensor


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if type(value) is Tensor and not value.requires_grad and value.dtype in _array_dtypes():
            return _tensor, (np.ascontiguousarray(value.numpy()).reshape(value.shape),)
        if isinstance(value, Tensor) and value.requires_grad and not value.is_leaf:
            raise RuntimeError(
                "Cowardly refusing to serialize non-leaf tensor which requires_grad, since autograd does not support "
                "crossing process boundaries.  If you just want to transfer the data, call detach() on the tensor "
                "before serializing (e.g., putting it on the queue)."
            )
        return NotImplemented


def packed(value: Any) -> bytes:
    """`value` as bytes. Raises what pickling raises, in the worker, where its cause is."""
    buffer = io.BytesIO()
    _Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(value)
    return buffer.getvalue()


def unpacked(data: bytes) -> Any:
    return pickle.loads(data)


def _tensor(array: np.ndarray[Any, Any]) -> Tensor:
    return lamina.from_numpy(array)


def _array_dtypes() -> frozenset[Any]:
    return frozenset(
        (
            lamina.float64,
            lamina.float32,
            lamina.float16,
            lamina.complex128,
            lamina.complex64,
            lamina.int64,
            lamina.int32,
            lamina.int16,
            lamina.int8,
            lamina.uint8,
            lamina.bool,
        )
    )
