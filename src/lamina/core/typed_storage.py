"""Storages of elements of one dtype, for programs that still name them: TypedStorage, FloatStorage and its kin.

Not here: the bytes themselves (storage.py), how files name storages (io/storage.py).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from lamina.core import device as devices
from lamina.core.dtype import DTYPES, get_default_dtype
from lamina.core.dtype import dtype as DType
from lamina.core.storage import UntypedStorage
from lamina.core.strided import Array
from lamina.core.warn import warn_once

DEPRECATED = (
    "TypedStorage is deprecated. It will be removed in the future and UntypedStorage will be the only storage class. This should only "
    "matter to you if you are using storages directly.  To access UntypedStorage directly, use tensor.untyped_storage() instead of "
    "tensor.storage()"
)

_TYPED_FORMS = """TypedStorage.__init__ received an invalid combination of arguments. Expected one of:
 * (*, torch.device device, torch.dtype dtype)
 * (int size, *, torch.device device, torch.dtype dtype)
 * (Sequence data, *, torch.device device, torch.dtype dtype)
 * (*, UntypedStorage wrap_storage, torch.dtype dtype)
"""
_LEGACY_FORMS = """{} received an invalid combination of arguments. Expected one of:
 * no arguments
 * (int size)
 * (Sequence data)
 * (*, UntypedStorage wrap_storage)
"""


def _check(forms: str, args: tuple[Any, ...], wrapped: Any) -> None:
    """Refuse what no form of the constructor takes. Raises TypeError, RuntimeError."""
    if wrapped is not None:
        if args:
            raise RuntimeError(f"{forms}No positional arguments should be given when using 'wrap_storage'")
        if not isinstance(wrapped, UntypedStorage):
            raise TypeError(f"{forms}Argument 'wrap_storage' must be UntypedStorage, but got {type(wrapped)}")
    elif len(args) > 1:
        raise RuntimeError(f"{forms}Too many positional arguments")
    elif args and isinstance(args[0], str):
        raise TypeError(f"new(): invalid data type '{type(args[0]).__name__}'")
    elif args and not isinstance(args[0], (int, Sequence)):
        raise TypeError(f"{forms}Argument type not recognized: {type(args[0])}")


class TypedStorage:
    """A storage seen as elements of one dtype: what `tensor.storage()` returns."""

    __module__ = "torch.storage"
    __slots__ = ("__weakref__", "_untyped_storage", "dtype")
    _untyped_storage: UntypedStorage
    dtype: DType

    def __init__(
        self,
        *args: Any,
        wrap_storage: Any = None,
        dtype: DType | None = None,
        device: Any = None,
        _internal: bool = False,
    ) -> None:
        _check(_TYPED_FORMS, args, wrap_storage)
        if wrap_storage is not None:
            for wrong, error, text in (
                (dtype is None, RuntimeError, "Argument 'dtype' must be specified"),
                (not isinstance(dtype, DType), TypeError, f"Argument 'dtype' must be torch.dtype, not {type(dtype)}"),
                (
                    device is not None,
                    RuntimeError,
                    "Argument 'device' should not be specified when 'wrap_storage' is given",
                ),
            ):
                if wrong:
                    raise error(_TYPED_FORMS + text)
        devices.as_device(device)
        self.dtype = get_default_dtype() if dtype is None else dtype
        if wrap_storage is not None:
            self._untyped_storage = wrap_storage
            return
        given = args[0] if args else 0
        count = given if isinstance(given, int) else len(given)
        self._untyped_storage = UntypedStorage(count * self.dtype.itemsize)
        if not isinstance(given, int):
            self._elements()[:] = given

    def untyped(self) -> UntypedStorage:
        return self._untyped_storage

    @property
    def device(self) -> devices.device:
        return devices.cpu

    def _elements(self) -> Array:
        return self._untyped_storage._bytes.view(self.dtype.np)

    def size(self) -> int:
        return self._untyped_storage.nbytes() // self.dtype.itemsize

    __len__ = size

    def nbytes(self) -> int:
        return self._untyped_storage.nbytes()

    def element_size(self) -> int:
        return self.dtype.itemsize

    def data_ptr(self) -> int:
        return self._untyped_storage.data_ptr()

    def _data_ptr(self) -> int:
        return self._untyped_storage.data_ptr()

    @property
    def _cdata(self) -> int:
        return self._untyped_storage._cdata

    def tolist(self) -> list[Any]:
        return self._elements().tolist()  # type: ignore[no-any-return]

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            raise RuntimeError("slices are only supported in UntypedStorage.__getitem__")
        if not -self.size() <= i < self.size():
            raise IndexError(f"index {i} out of range for storage of size {self.size()}")
        return self._elements()[i].item()

    def __setitem__(self, i: Any, value: Any) -> None:
        self._elements()[i] = value

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def clone(self) -> TypedStorage:
        return TypedStorage(wrap_storage=self._untyped_storage.clone(), dtype=self.dtype)

    def is_shared(self) -> bool:
        return self._untyped_storage.is_shared()

    def pickle_storage_type(self) -> str:
        return self.dtype.alias.replace("Tensor", "Storage")

    def type(self, dtype: Any = None, non_blocking: bool = False) -> str:
        """The name of its class."""
        return f"torch.{self.pickle_storage_type()}"

    def _to(self, kind: Any) -> TypedStorage:
        bytes_ = self._elements().astype(kind.np).view(np.uint8)
        return TypedStorage(wrap_storage=UntypedStorage._from_bytes(bytes_), dtype=kind)

    def copy_(self, source: TypedStorage, non_blocking: bool = False) -> TypedStorage:
        """Write the elements of another storage here."""
        self._elements()[:] = source._elements()
        return self

    def fill_(self, value: Any) -> TypedStorage:
        """Write one value everywhere."""
        self._elements()[:] = value
        return self

    def resize_(self, size: int) -> None:
        """Grow or shrink."""
        self._untyped_storage.resize_(size * self.dtype.itemsize)

    def resizable(self) -> bool:
        """True."""
        return True

    def cpu(self) -> TypedStorage:
        """Itself."""
        return self

    pin_memory = share_memory_ = cpu
    is_cuda = is_hpu = is_sparse = False
    filename = None

    def is_pinned(self, device: Any = None) -> bool:
        """False."""
        return False

    def get_device(self) -> int:
        """-1: the CPU."""
        return -1

    @classmethod
    def from_file(cls, filename: str, shared: bool = False, size: int = 0) -> Any:
        """The elements of a file, mapped."""
        kind = getattr(cls, "dtype", None)
        kind = kind if isinstance(kind, DType) else get_default_dtype()
        return TypedStorage(wrap_storage=UntypedStorage.from_file(filename, shared, size * kind.itemsize), dtype=kind)

    def __deepcopy__(self, memo: dict[int, Any]) -> TypedStorage:
        return TypedStorage(wrap_storage=copy.deepcopy(self._untyped_storage, memo), dtype=self.dtype)

    def __copy__(self) -> TypedStorage:
        return self.clone()

    def __reduce__(self) -> tuple[Any, ...]:
        return _typed, (self._untyped_storage, self.dtype)

    def __repr__(self) -> str:
        rows = " " + "\n ".join(map(str, self.tolist()))
        return f"{rows}\n[torch.storage.TypedStorage(dtype={self.dtype}, device=cpu) of size {self.size()}]"


def _typed(storage: UntypedStorage, kind: Any) -> TypedStorage:
    return TypedStorage(wrap_storage=storage, dtype=kind)


class _LegacyMeta(type):
    """FloatStorage and its kin: a storage is an instance if it has their dtype."""

    dtype: Any

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, TypedStorage) and instance.dtype is cls.dtype


class _LegacyStorage:
    """What FloatStorage and its kin are subclasses of."""

    __module__ = "torch.storage"

    def __new__(cls, *args: Any, **named: Any) -> Any:
        raise RuntimeError("Only child classes of _LegacyStorage can be instantiated")


def _legacy(kind: Any) -> Any:
    def make(cls: Any, *args: Any, wrap_storage: Any = None, **named: Any) -> TypedStorage:
        forms = _LEGACY_FORMS.format(f"{cls}.__new__")
        for name in named:
            if name in ("device", "dtype"):
                raise RuntimeError(f"{forms}Keyword argument '{name}' cannot be specified")
            raise TypeError(f"TypedStorage.__new__() got an unexpected keyword argument '{name}'")
        _check(forms, args, wrap_storage)
        warn_once(DEPRECATED)
        return TypedStorage(*args, wrap_storage=wrap_storage, dtype=kind)

    def new_shared(cls: Any, size: int) -> TypedStorage:
        made = TypedStorage(size, dtype=kind).fill_(0)
        made.untyped().share_memory_()
        return made

    def from_buffer(
        cls: Any, buffer: Any, byte_order: str = "native", count: int = -1, offset: int = 0
    ) -> TypedStorage:
        bytes_ = UntypedStorage.from_buffer(buffer, byte_order, count, offset, dtype=kind)
        return TypedStorage(wrap_storage=bytes_, dtype=kind)

    def from_file(cls: Any, filename: str, shared: bool = False, size: int = 0) -> TypedStorage:
        mapped = UntypedStorage.from_file(filename, shared, size * kind.itemsize)
        return TypedStorage(wrap_storage=mapped, dtype=kind)

    facts = {
        "__module__": "torch", "dtype": kind, "__new__": make, "from_buffer": classmethod(from_buffer),
        "from_file": classmethod(from_file), "_new_shared": classmethod(new_shared),
    }  # fmt: skip
    return _LegacyMeta(kind.alias.replace("Tensor", "Storage"), (_LegacyStorage,), facts)


LEGACY: dict[str, Any] = {
    d.alias.replace("Tensor", "Storage"): _legacy(d)
    for d in DTYPES
    if not d.name.startswith(("float8", "uint16", "uint32", "uint64"))
}
"""torch.FloatStorage and its kin, by name."""


def _dtype_to_storage_type_map() -> dict[DType, str]:
    return {storage.dtype: name for name, storage in LEGACY.items()}


def _storage_type_to_dtype_map() -> dict[str, DType]:
    return {name: storage.dtype for name, storage in LEGACY.items()}


def _conversion(kind: Any) -> Callable[[Any], TypedStorage]:
    def convert(self: Any) -> TypedStorage:
        """Its elements (those of an untyped one are bytes) in another dtype."""
        source = self if isinstance(self, TypedStorage) else TypedStorage(wrap_storage=self, dtype=_BYTE)
        return source._to(kind)

    return convert


_BYTE = next(d for d in DTYPES if d.name == "uint8")
_CONVERSIONS = {
    "double": "float64", "float": "float32", "half": "float16", "bfloat16": "bfloat16", "long": "int64", "int": "int32",
    "short": "int16", "char": "int8", "byte": "uint8", "bool": "bool", "complex_double": "complex128",
    "complex_float": "complex64", "float8_e5m2": "float8_e5m2", "float8_e4m3fn": "float8_e4m3fn",
    "float8_e5m2fnuz": "float8_e5m2fnuz", "float8_e4m3fnuz": "float8_e4m3fnuz",
}  # fmt: skip
for _name, _dtype in _CONVERSIONS.items():
    for _class in (TypedStorage, UntypedStorage):
        setattr(_class, _name, _conversion(next(d for d in DTYPES if d.name == _dtype)))
