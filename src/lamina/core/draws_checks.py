"""What the draws refuse, in PyTorch's words: the names of element types and the checks that several draws share.

Not here: checks of one draw alone (beside it).
"""

from __future__ import annotations

import numpy as np

# NumPy's name: PyTorch's, C++'s, and the binary digits of the significand (floating types).
_TYPES = {
    "bool": ("Bool", "bool", 1),
    "uint8": ("Byte", "unsigned char", 8),
    "int8": ("Char", "signed char", 7),
    "int16": ("Short", "short int", 15),
    "int32": ("Int", "int", 31),
    "int64": ("Long", "long int", 63),
    "uint16": ("UInt16", "short unsigned int", 16),
    "uint32": ("UInt32", "unsigned int", 32),
    "uint64": ("UInt64", "long unsigned int", 64),
    "float16": ("Half", "c10::Half", 11),
    "bfloat16": ("BFloat16", "c10::BFloat16", 8),
    "float32": ("Float", "float", 24),
    "float64": ("Double", "double", 53),
    "complex64": ("ComplexFloat", "c10::complex<float>", 24),
    "complex128": ("ComplexDouble", "c10::complex<double>", 53),
}
_LARGEST = {"float16": 65504.0, "bfloat16": (2.0 - 2.0**-7) * 2.0**127}
_FLOATING = frozenset(("float16", "bfloat16", "float32", "float64"))


def torch_name(dtype: np.dtype) -> str:
    """PyTorch's name of a type in its messages: "Long"."""
    return _TYPES[dtype.name][0]


def cpp_name(dtype: np.dtype) -> str:
    """C++'s name of a type in PyTorch's messages: "long int"."""
    return _TYPES[dtype.name][1]


def digits(dtype: np.dtype) -> int:
    """How many binary digits the type holds exactly."""
    return _TYPES[dtype.name][2]


def is_floating(dtype: np.dtype) -> bool:
    """Whether the type is one of the four real floating ones."""
    return dtype.name in _FLOATING


def largest(dtype: np.dtype) -> float:
    """The largest finite number of a floating type."""
    return _LARGEST[dtype.name] if dtype.name in _LARGEST else float(np.finfo(dtype).max)


def not_implemented(kernel: str, dtype: np.dtype) -> NotImplementedError:
    """PyTorch's refusal of an element type."""
    return NotImplementedError(f"\"{kernel}\" not implemented for '{torch_name(dtype)}'")


def require_floating(kernel: str, dtype: np.dtype, *, wide: bool = False) -> None:
    """Refuse all but the real floating types (`wide`: but float32 and float64)."""
    if not is_floating(dtype) or (wide and dtype.itemsize == 2):
        raise not_implemented(kernel, dtype)


def require_real(kernel: str, dtype: np.dtype, *, boolean: bool) -> None:
    """Refuse complex and the newer unsigned types, and bool unless `boolean`."""
    if dtype.kind == "c" or (dtype.kind == "u" and dtype.itemsize > 1) or (dtype.kind == "b" and not boolean):
        raise not_implemented(kernel, dtype)
