"""safetensors files: flat dicts of named tensors, without pickle.

Here: tensors to and from the safetensors package's arrays. Not here: the format, which that package reads and checks.
"""

from __future__ import annotations

import os
from typing import Any

import ml_dtypes
import numpy as np

import lamina
from lamina.core.tensor import Tensor
from lamina.io.atomic import replacing

Path = str | os.PathLike[str]

# What NumPy has no type of its own for: the name in files, and that of dtype and ml_dtypes.
_EXOTIC = {"BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
_NUMPY = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
}


def save_file(tensors: dict[str, Tensor], filename: Path, metadata: dict[str, str] | None = None) -> None:
    """Save named tensors to a file, which is written beside and renamed. Raises as `save`."""
    from safetensors import numpy as arrays  # its module loads slowly: with the first file

    content = _to_arrays(tensors)
    with replacing(filename) as file:
        arrays.save_file(content, file.name, metadata)


def save(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """Named tensors as the bytes of a safetensors file.

    Raises
    ------
    ValueError
        If a value is not a contiguous tensor.
    RuntimeError
        If two tensors share memory, which the format cannot express.
    """
    from safetensors import numpy as arrays  # its module loads slowly: with the first file

    return bytes(arrays.save(_to_arrays(tensors), metadata))


def load_file(filename: Path, device: Any = "cpu") -> dict[str, Tensor]:
    """The tensors of a safetensors file, by name. Raises SafetensorError if it is malformed."""
    import safetensors  # its module loads slowly: with the first file

    with safetensors.safe_open(os.fspath(filename), framework="np") as file:
        names = list(file.keys())
        if not any(file.get_slice(name).get_dtype().startswith("F8") for name in names):
            return {name: _to_tensor(file.get_tensor(name)).to(device) for name in names}
    # For float8 the reader of files finds no NumPy type; the reader of bytes leaves the type to us.
    with open(filename, "rb") as content:
        return {name: tensor.to(device) for name, tensor in load(content.read()).items()}


def load(data: bytes) -> dict[str, Tensor]:
    """The tensors in the bytes of a safetensors file, by name. Raises SafetensorError if they are malformed."""
    import safetensors  # its module loads slowly: with the first file

    return {name: _to_tensor(_view(entry)) for name, entry in safetensors.deserialize(data)}


def _view(entry: dict[str, Any]) -> np.ndarray[Any, Any]:
    kind = entry["dtype"]
    if kind not in _EXOTIC and kind not in _NUMPY:
        raise NotImplementedError(
            f"safetensors dtype {kind} has no counterpart here: convert the file to another dtype"
        )
    numpy_type = np.dtype(getattr(ml_dtypes, _EXOTIC[kind]) if kind in _EXOTIC else _NUMPY[kind])
    return np.frombuffer(entry["data"], numpy_type).reshape(entry["shape"])


def _to_arrays(tensors: dict[str, Tensor]) -> dict[str, np.ndarray[Any, Any]]:
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise ValueError(f"Key `{name}` is invalid, expected torch.Tensor but received {type(tensor)}")
        if not tensor.is_contiguous():
            raise ValueError(
                f"You are trying to save a non contiguous tensor: `{name}` which is not allowed. Call `.contiguous()` "
                "on it, or save the tensor of which it is a part."
            )
    _refuse_shared(tensors)
    return {name: _to_array(tensor.detach()) for name, tensor in tensors.items()}


def _refuse_shared(tensors: dict[str, Tensor]) -> None:
    spans = sorted((t.data_ptr(), t.data_ptr() + t.numel() * t.element_size(), name) for name, t in tensors.items())
    spans = [span for span in spans if span[0] < span[1]]
    for (_, end, name), (start, _, other) in zip(spans, spans[1:], strict=False):
        if start < end:
            raise RuntimeError(
                "Some tensors share memory, this will lead to duplicate memory on disk and potential differences when "
                f"loading them again: {name!r} and {other!r}. Save one of them, or a `.clone()`."
            )


def _to_array(tensor: Tensor) -> np.ndarray[Any, Any]:
    name = str(tensor.dtype).removeprefix("torch.")
    if name in _EXOTIC.values():
        bits = lamina.uint16 if tensor.element_size() == 2 else lamina.uint8
        return tensor.view(bits).numpy().view(getattr(ml_dtypes, name))  # type: ignore[no-any-return]
    return tensor.numpy()


def _to_tensor(array: np.ndarray[Any, Any]) -> Tensor:
    name = array.dtype.name
    if name in _EXOTIC.values():
        return lamina.from_numpy(array.view(f"u{array.itemsize}")).view(getattr(lamina, name))
    return lamina.from_numpy(array)
