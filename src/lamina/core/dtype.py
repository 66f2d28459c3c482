"""Element types: `dtype` objects, their NumPy counterparts, defaults, finfo and iinfo.

Here: what a type is. Not here: how two types combine (promotion.py).
"""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np


class dtype:
    """An element type, equal to PyTorch's of the same name; there is one object per type."""

    __slots__ = (
        "__weakref__",
        "alias",
        "category",
        "is_complex",
        "is_floating_point",
        "is_low",
        "is_signed",
        "name",
        "np",
    )
    __module__ = "torch"

    name: str
    np: np.dtype[Any]
    category: int  # 0 bool, 1 integer, 2 floating, 3 complex: the order of promotion
    is_complex: bool
    is_floating_point: bool
    is_low: bool  # computed in float32 and rounded

    def __init__(self, name: str, numpy_type: Any, category: int, alias: str) -> None:
        self.name, self.np, self.category, self.alias = name, np.dtype(numpy_type), category, alias
        self.is_complex, self.is_floating_point = category == 3, category == 2
        self.is_low = category == 2 and self.np.itemsize < 4
        self.is_signed = not (name.startswith("uint") or name == "bool")

    @property
    def itemsize(self) -> int:
        return self.np.itemsize

    @property
    def abbr(self) -> str:
        """The short name, by which kernels and graphs are labelled."""
        name = self.name.replace("complex", "c").replace("bfloat", "bf").replace("float", "f").replace("uint", "u")
        return "b8" if self.name == "bool" else name.replace("int", "i").replace("_", "")

    def to_real(self) -> dtype:
        return {"complex64": float32, "complex128": float64}.get(self.name, self)

    def to_complex(self) -> dtype:
        if self.name in ("float16", "bfloat16"):
            return complex64
        return {"float32": complex64, "float64": complex128}.get(self.name, self)

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return by_name, (self.name,)

    def __copy__(self) -> dtype:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> dtype:
        return self


bool_ = dtype("bool", np.bool_, 0, "BoolTensor")
uint8 = dtype("uint8", np.uint8, 1, "ByteTensor")
int8 = dtype("int8", np.int8, 1, "CharTensor")
int16 = dtype("int16", np.int16, 1, "ShortTensor")
int32 = dtype("int32", np.int32, 1, "IntTensor")
int64 = dtype("int64", np.int64, 1, "LongTensor")
uint16 = dtype("uint16", np.uint16, 1, "UInt16Tensor")
uint32 = dtype("uint32", np.uint32, 1, "UInt32Tensor")
uint64 = dtype("uint64", np.uint64, 1, "UInt64Tensor")
float16 = dtype("float16", np.float16, 2, "HalfTensor")
bfloat16 = dtype("bfloat16", ml_dtypes.bfloat16, 2, "BFloat16Tensor")
float32 = dtype("float32", np.float32, 2, "FloatTensor")
float64 = dtype("float64", np.float64, 2, "DoubleTensor")
float8_e4m3fn = dtype("float8_e4m3fn", ml_dtypes.float8_e4m3fn, 2, "Float8_e4m3fnTensor")
float8_e5m2 = dtype("float8_e5m2", ml_dtypes.float8_e5m2, 2, "Float8_e5m2Tensor")
float8_e4m3fnuz = dtype("float8_e4m3fnuz", ml_dtypes.float8_e4m3fnuz, 2, "Float8_e4m3fnuzTensor")
float8_e5m2fnuz = dtype("float8_e5m2fnuz", ml_dtypes.float8_e5m2fnuz, 2, "Float8_e5m2fnuzTensor")
float8_e8m0fnu = dtype("float8_e8m0fnu", ml_dtypes.float8_e8m0fnu, 2, "Float8_e8m0fnuTensor")
complex64 = dtype("complex64", np.complex64, 3, "ComplexFloatTensor")
complex128 = dtype("complex128", np.complex128, 3, "ComplexDoubleTensor")

BY_TYPE: dict[type, dtype] = {float: float64, int: int64, bool: bool_, complex: complex128}
"""What `dtype=float` and the like stand for."""

DTYPES: tuple[dtype, ...] = (
    bool_, uint8, int8, int16, int32, int64, uint16, uint32, uint64,
    float16, bfloat16, float32, float64, float8_e4m3fn, float8_e5m2, float8_e4m3fnuz, float8_e5m2fnuz,
    float8_e8m0fnu, complex64, complex128,
)  # fmt: skip


class Unsupported(dtype):
    """A type that programs may name and compare with, but no tensor of it can be made."""

    __slots__ = ("_itemsize", "_reason")
    __module__, __qualname__ = "torch", "dtype"

    def __init__(self, name: str, itemsize: int, category: int, reason: str) -> None:
        self.name, self.category, self.alias, self._itemsize, self._reason = (
            name,
            category,
            f"{name}Tensor",
            itemsize,
            reason,
        )
        self.is_complex, self.is_floating_point, self.is_low = category == 3, category == 2, False
        self.is_signed = not name.startswith(("uint", "quint", "bits"))

    @property
    def np(self) -> np.dtype[Any]:  # type: ignore[override]
        raise NotImplementedError(f"tensors of {self!r} are not supported: {self._reason}")

    @property
    def itemsize(self) -> int:
        return self._itemsize


_QUANTISED = "quantised tensors are not in lamina; use float32 or bfloat16"
_PACKED = "numbers of less than a byte are not in lamina; use uint8 or int8"
complex32 = Unsupported("complex32", 4, 3, "half complex numbers are not in lamina; use complex64")
UNSUPPORTED: tuple[dtype, ...] = (
    complex32,
    *(Unsupported(name, size, 1, _QUANTISED) for name, size in (
        ("qint8", 1), ("quint8", 1), ("qint32", 4), ("quint4x2", 1), ("quint2x4", 1))),
    *(Unsupported(f"{kind}{bits}", 1, 1, _PACKED) for kind in ("uint", "int") for bits in range(1, 8)),
    *(Unsupported(name, 2 if name == "bits16" else 1, 1, "bits without a meaning are not in lamina; use uint8")
      for name in ("bits8", "bits16", "bits1x8", "bits2x4", "bits4x2")),
    Unsupported("float4_e2m1fn_x2", 1, 2, _PACKED),
)  # fmt: skip
_BY_NAME = {d.name: d for d in (*DTYPES, *UNSUPPORTED)}
_BY_NUMPY = {d.np: d for d in DTYPES}
ALIASES = {
    "half": float16, "float": float32, "double": float64, "long": int64, "int": int32, "short": int16,
    "chalf": complex32, "cfloat": complex64, "cdouble": complex128, "bool": bool_,
}  # fmt: skip


def by_name(name: str) -> dtype:
    return _BY_NAME[name]


def from_numpy_dtype(numpy_type: np.dtype[Any]) -> dtype:
    """The dtype of arrays of `numpy_type`. Raises TypeError where PyTorch has none."""
    found = _BY_NUMPY.get(numpy_type)
    if found is None:
        found = _BY_NUMPY.get(numpy_type.newbyteorder("=")) if numpy_type.kind in "biufc" else None
        if found is None:
            raise TypeError(
                f"can't convert np.ndarray of type {numpy_type.type.__module__}.{numpy_type.type.__name__}. The only "
                "supported types are: float64, float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, "
                "uint32, uint16, uint8, and bool."
            )
    return found


_default: list[dtype] = [float32]


def get_default_dtype() -> dtype:
    """The dtype of floating tensors made without one (float32 unless set)."""
    return _default[0]


def set_default_dtype(d: dtype, /) -> None:
    """Set the dtype of floating tensors made without one. Raises TypeError unless it is a floating dtype."""
    if not isinstance(d, dtype):
        raise TypeError(f"invalid dtype object: only floating-point types are supported as the default type, not {d!r}")
    if not d.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    _default[0] = d


def default_complex() -> dtype:
    return complex128 if _default[0] is float64 else complex64


class finfo:
    """Limits of a floating dtype: `bits`, `eps`, `max`, `min`, `tiny`, `smallest_normal`, `resolution`."""

    __module__ = "torch"

    def __init__(self, type: dtype | None = None) -> None:
        type = get_default_dtype() if type is None else BY_TYPE.get(type, type)  # type: ignore[call-overload]
        if not isinstance(type, dtype):
            raise TypeError(f"finfo(): argument 'type' must be torch.dtype, not {_name(type)}")
        if type.category < 2:
            raise TypeError(
                f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle '{type.name}'"
            )
        info = ml_dtypes.finfo(type.to_real().np)  # type: ignore[no-untyped-call]
        self.dtype = type.to_real().name
        self.bits = int(info.bits)
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        self.tiny = self.smallest_normal = float(info.tiny)
        self.resolution = 10.0 ** -int(info.nmant * math.log10(2))  # decimal digits that survive

    def __repr__(self) -> str:
        shown = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        return "finfo(" + ", ".join(f"{k}={getattr(self, k):g}" for k in shown) + f", dtype={self.dtype})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, finfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(self.dtype)


class iinfo:
    """Limits of an integer dtype: `bits`, `max`, `min`."""

    __module__ = "torch"

    def __init__(self, type: dtype) -> None:
        type = BY_TYPE.get(type, type)  # type: ignore[call-overload]
        if not isinstance(type, dtype):
            raise TypeError(f"iinfo(): argument 'type' must be torch.dtype, not {_name(type)}")
        if type.category > 1:
            raise TypeError(f"torch.iinfo() requires an integer input type. Use torch.finfo to handle '{type.name}'")
        if type is bool_:
            raise TypeError("torch.bool is not supported by torch.iinfo")
        info = np.iinfo(type.np)
        self.dtype, self.bits, self.max, self.min = type.name, int(info.bits), int(info.max), int(info.min)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, iinfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(self.dtype)


def _name(x: object) -> str:
    return type(x).__name__
