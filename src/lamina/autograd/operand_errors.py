"""Errors of operands: shapes and dtypes that do not go together, and PyTorch's names of dtypes."""

from __future__ import annotations

from typing import Any

from lamina.autograd.history import maker_of
from lamina.core.explained import Explained, where
from lamina.core.version import users_place


def scalar_name(t: Any) -> str:
    """PyTorch's C++ name of the dtype of a tensor, or of a kind, as its messages spell it."""
    return _SCALARS[(t._kind if hasattr(t, "_kind") else t).dtype.name]


def c_type(t: Any) -> str:
    """PyTorch's C++ type of a tensor's elements."""
    return _C_TYPES[t._kind.dtype.name]


_SCALARS = {
    "bool": "Bool", "uint8": "Byte", "int8": "Char", "int16": "Short", "int32": "Int", "int64": "Long", "float16": "Half",
    "bfloat16": "BFloat16", "float32": "Float", "float64": "Double", "complex64": "ComplexFloat", "complex128": "ComplexDouble",
    "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64", "float8_e4m3fn": "Float8_e4m3fn", "float8_e5m2": "Float8_e5m2",
    "float8_e4m3fnuz": "Float8_e4m3fnuz", "float8_e5m2fnuz": "Float8_e5m2fnuz", "float8_e8m0fnu": "Float8_e8m0fnu",
}  # fmt: skip
_C_TYPES = {
    "bool": "bool", "uint8": "unsigned char", "int8": "signed char", "int16": "short", "int32": "int", "int64": "long int",
    "float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float", "float64": "double",
    "complex64": "c10::complex<float>", "complex128": "c10::complex<double>",
}  # fmt: skip


class ShapeError(Explained, RuntimeError):
    """Two matrices, or batches of them, whose shapes do not fit a product. sentence: PyTorch's, where it is another than of mm."""

    def __init__(self, first: Any, second: Any, sentence: str = "") -> None:
        shape, other = tuple(first._array.shape), tuple(second._array.shape)
        super().__init__(shape, other, sentence, users_place(3), maker_of(first), maker_of(second))

    def sentence(self) -> str:
        shape, other, sentence, *_ = self.fields
        return (
            sentence or f"mat1 and mat2 shapes cannot be multiplied ({_matrix(shape)} and {_matrix(other, row=False)})"
        )

    def story(self) -> list[tuple[str, str]]:
        shape, other, _, place, first, second = self.fields
        last = (shape or (1,))[-1]
        wanted = (other or (1,))[-1 if len(other) < 2 else -2]
        names = self._operands(place, ("mat1", "mat2"))
        in_layer = self._in_layer
        rows = [
            ("at", where(place)),
            ("mat1", _described(names[0], shape, first)),
            ("mat2", _described(names[1] + ", transposed" * in_layer, other, None if in_layer else second)),
        ]
        if last == wanted:
            return [*rows, ("expected", f"{list(shape[:-2])} matrices in each, not {list(other[:-2])} in {names[1]}")]
        if not in_layer and shape[:-2] == other[:-2] and shape[-1:] == other[-1:]:
            return [*rows, ("fix", f"{names[0]} @ {names[1]}.transpose(-2, -1), where the second is to be turned")]
        return [*rows, ("expected", f"{wanted} as the last dimension of {names[0]}, not {last}")]


def _described(name: str, what: Any, maker: Any) -> str:
    made = where(maker)
    text = f"{name}  {list(what) if isinstance(what, tuple) else what}"
    return f"{text}, made at {made}" if made else text


def _matrix(shape: tuple[int, ...], row: bool = True) -> str:
    if len(shape) == 1:
        return f"1x{shape[0]}" if row else f"{shape[0]}x1"
    rows = 1
    for n in shape[:-1]:
        rows *= n
    return f"{rows}x{shape[-1]}" if row else f"{shape[-2]}x{shape[-1]}"


class DtypeError(Explained, RuntimeError):
    """Two operands of a product in different dtypes."""

    def __init__(self, name: str, first: Any, second: Any) -> None:
        super().__init__(name, first._kind.dtype, second._kind.dtype, users_place(4), maker_of(first), maker_of(second))

    def sentence(self) -> str:
        name, first, second, *_ = self.fields
        if name == "addmm":
            return f"mat1 and mat2 must have the same dtype, but got {_SCALARS[first.name]} and {_SCALARS[second.name]}"
        if name == "self":
            return f"self and mat2 must have the same dtype, but got {_SCALARS[first.name]} and {_SCALARS[second.name]}"
        if name == "mm":
            return (
                f"expected m1 and m2 to have the same dtype, but got: {_C_TYPES[first.name]} != {_C_TYPES[second.name]}"
            )
        return f"expected scalar type {_SCALARS[first.name]} but found {_SCALARS[second.name]}"

    def story(self) -> list[tuple[str, str]]:
        _, first, second, place, one, two = self.fields
        names = self._operands(place, ("the first", "the second"))
        in_layer = self._in_layer
        return [
            ("at", where(place)),
            ("first", _described(names[0], first, one)),
            ("second", _described(names[1], second, None if in_layer else two)),
            ("fix", _conversion(names, first, second, in_layer)),
        ]


def _conversion(names: list[str], first: Any, second: Any, in_layer: bool) -> str:
    """What to convert: integers to the other's dtype; a layer's input to the layer's (NumPy's numbers are float64)."""
    if in_layer:
        whole = f", or the network, model.to({first})" if first.category == 2 else ""
        return f"convert the data, {'.to' if names[0] == 'the input' else names[0] + '.to'}({second}){whole}"
    if first.category < 2:
        return f"{names[0]}.to({second})"
    return f"{names[1]}.to({first})" + (f", or {names[0]}.to({second})" if second.category > 1 else "")
