"""`Tensor`: a strided array with a kind, and the seams at which autograd attaches itself.

Here: the object, its memory and shape, and its ways out (item, numpy, DLPack). Not here: operations (primitives/methods.py
installs them), gradients (autograd/tensor_api.py installs them), text (printing.py).
"""

from __future__ import annotations

import copyreg
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import ref

import numpy as np

from lamina.core import device as devices
from lamina.core import dtype as dtypes
from lamina.core import strided
from lamina.core.device import CPU, Kind
from lamina.core.explained import noted
from lamina.core.size import Size, size_of, wrap_dim
from lamina.core.storage import UntypedStorage, storage_of
from lamina.core.strided import Array
from lamina.core.tensor_base import TensorBase
from lamina.core.typed_storage import DEPRECATED, TypedStorage
from lamina.core.version import UNTRACKED, Version
from lamina.core.warn import warn_once

LEAF: Any = type("Leaf", (), {"__slots__": (), "__repr__": lambda self: "LEAF"})()
"""In a tensor's `_node`: it is a leaf that requires grad. (None: it does not; else the node, or output of one, that made it.)"""


class Slots:
    """What the modes above tell this room; autograd/tensor_api.py fills it."""

    recording: Callable[[], bool] = staticmethod(lambda: True)  # operations of this thread are recorded
    inference: Callable[[], bool] = staticmethod(lambda: False)  # this thread is in inference mode
    left: Callable[[str], None] = staticmethod(lambda what: None)  # values with history leave as numbers
    seen: Callable[[Any, str], None] | None = None  # while a run is recorded: Python looks at values


class More:
    """What few tensors have; the class holds the defaults."""

    grad: Any = None
    base: Any = None  # of a view: the tensor whose memory it looks at
    view: Any = None  # of a view: autograd/views.py's record of how it was made
    views: list[ref[Any]] | None = None  # of a base: its living views
    seen: int = 0  # of a view: the version of the memory when its history was made
    hooks: Any = None  # gradient hooks of a leaf, in order of registration
    post_hooks: Any = None  # post-accumulate hooks
    accumulate: ref[Any] | None = None  # the AccumulateGrad object that a user has seen
    accumulate_extra: Any = None  # and its hooks
    retains: bool = False
    tangents: Any = None  # forward mode: {level: tangent}
    broken: bool = False  # a view whose memory was written in a way that its history cannot follow
    cut: Any = None  # why it does not require grad although something before it does
    inference: bool = False
    output_nr: int = 0
    name: str | None = None
    imaginary: bool = False
    users_class: Any = None
    grad_dtype: Any = False  # of `.grad`; None: any; False: the tensor's own


class TensorType(type):
    """The class of Tensor and its subclasses: lets classes that print as torch's be pickled by their own place."""


def _own_class(name: str) -> Any:
    return _OWN_CLASSES[name]


_OWN_CLASSES: dict[str, type] = {}
copyreg.pickle(
    TensorType, lambda cls: (_own_class, (cls.__name__,)) if _OWN_CLASSES.get(cls.__name__) is cls else cls.__qualname__
)


def own_class(cls: Any) -> Any:
    """Class decorator: pickles refer to this class through lamina, whatever module it prints."""
    _OWN_CLASSES[cls.__name__] = cls
    return cls


@own_class
class Tensor(TensorBase, metaclass=TensorType):
    """An n-dimensional array of one dtype, with PyTorch's interface."""

    __slots__ = ("__dict__", "__weakref__", "_array", "_kind", "_more", "_node", "_version_")
    __module__ = "torch"
    _overrides = True  # subclasses: __torch_function__ is asked (Parameter: not)
    __array_priority__ = 1000  # ndarray * tensor is tensor.__rmul__

    if (
        TYPE_CHECKING
    ):  # typing.get_type_hints of a user's subclass reads them as names of the module that `__module__` says
        _array: Array
        _kind: Kind
        _node: Any
        _version_: Version | None
        _more: More | None

    __hash__ = object.__hash__  # by identity, and in C: tensors are keys in the engine

    # ---- facts -------------------------------------------------------------------------------------------------------

    @property
    def dtype(self) -> dtypes.dtype:
        return self._kind.dtype

    @property
    def device(self) -> devices.device:
        return self._kind.device

    @property
    def layout(self) -> devices.layout:
        return devices.strided

    @property
    def shape(self) -> Size:
        return size_of(Size, self._array.shape)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the length of one dimension."""
        shape = self._array.shape
        if dim is None:
            return size_of(Size, shape)
        if not shape:
            raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
        return shape[wrap_dim(dim, len(shape))]

    def stride(self, dim: int | None = None) -> Any:
        """Strides in elements, or that of one dimension."""
        strides = strided.element_strides(self._array)
        return strides if dim is None else strides[wrap_dim(dim, len(strides))]

    def dim(self) -> int:
        return self._array.ndim

    ndimension = dim

    @property
    def ndim(self) -> int:
        return self._array.ndim

    def numel(self) -> int:
        return self._array.size

    nelement = numel

    @property
    def itemsize(self) -> int:
        return self._kind.dtype.itemsize

    def element_size(self) -> int:
        return self._kind.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self._array.size * self._kind.dtype.itemsize

    def is_floating_point(self) -> bool:
        return self._kind.dtype.is_floating_point

    def is_complex(self) -> bool:
        return self._kind.dtype.is_complex

    def is_signed(self) -> bool:
        return self._kind.dtype.is_signed

    def is_contiguous(self, memory_format: Any = devices.contiguous_format) -> bool:
        """Whether elements lie densely in row-major order (or in that of `memory_format`)."""
        if memory_format is devices.contiguous_format or memory_format is devices.preserve_format:
            return bool(self._array.flags.c_contiguous)
        wanted = 4 if memory_format is devices.channels_last else 5
        return self._array.ndim == wanted and strided.is_channels_last(self._array)

    is_cuda = is_xpu = is_mps = is_sparse = is_sparse_csr = is_quantized = is_nested = is_mkldnn = is_ipu = is_xla = (
        False
    )
    is_vulkan = is_maia = is_mtia = is_hpu = False

    @property
    def is_cpu(self) -> bool:
        return self._kind.device is devices.cpu

    @property
    def is_meta(self) -> bool:
        return self._kind.device is devices.meta

    def get_device(self) -> int:
        return -1

    @property
    def names(self) -> tuple[None, ...]:
        return (None,) * self._array.ndim

    @property
    def name(self) -> str | None:
        return None if self._more is None else self._more.name

    def has_names(self) -> bool:
        return False

    def is_pinned(self, device: Any = None) -> bool:
        return False

    def is_shared(self) -> bool:
        return self.untyped_storage().is_shared()

    def share_memory_(self) -> Tensor:
        self.untyped_storage().share_memory_()
        return self

    def pin_memory(self, device: Any = None) -> Tensor:
        return self

    def is_inference(self) -> bool:
        return self._more is not None and self._more.inference

    def is_conj(self) -> bool:
        return False

    def is_neg(self) -> bool:
        return False

    def _is_zerotensor(self) -> bool:
        return False

    # ---- memory ------------------------------------------------------------------------------------------------------

    def data_ptr(self) -> int:
        """The address of the first element; 0 when there is none."""
        return strided.address(self._array) if self._array.size and self.is_cpu else 0

    def untyped_storage(self) -> UntypedStorage:
        return storage_of(strided.owner_of(self._array))

    def storage(self) -> TypedStorage:
        warn_once(DEPRECATED)
        return TypedStorage(wrap_storage=self.untyped_storage(), dtype=self.dtype)

    _typed_storage = storage

    def storage_offset(self) -> int:
        """Elements between the storage's start and the first element."""
        if not self._array.size:
            return 0
        return (strided.address(self._array) - self.untyped_storage().data_ptr()) // self.itemsize

    @property
    def _version(self) -> int:
        if self._version_ is UNTRACKED:
            raise RuntimeError("Inference tensors do not track version counter.")
        return 0 if self._version_ is None else int(self._version_.n)

    @property
    def _base(self) -> Tensor | None:
        return None if self._more is None else self._more.base

    @property
    def output_nr(self) -> int:
        return getattr(self._node, "nr", 0)

    def _is_view(self) -> bool:
        return self._more is not None and self._more.base is not None

    @property
    def _cdata(self) -> int:
        return id(self)

    # ---- ways out ----------------------------------------------------------------------------------------------------

    def item(self) -> Any:
        """The value of a one-element tensor, as a Python number."""
        if self._array.size != 1:
            raise RuntimeError(f"a Tensor with {self._array.size} elements cannot be converted to Scalar")
        self._refuse_meta("item")
        self._leaving("item()")
        value = self._array.item()
        return value if value.__class__ in _NUMBERS else float(value)

    def tolist(self) -> Any:
        """Nested lists of Python numbers; a number for a 0-d tensor."""
        self._refuse_meta("tolist")
        self._leaving("tolist()")
        array = self._array
        return (array.astype(np.float32) if array.dtype.kind == "V" or self._kind.dtype.is_low else array).tolist()

    def __bool__(self) -> bool:
        if self._array.size != 1:
            if self._array.size == 0:
                raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
            raise noted(
                RuntimeError("Boolean value of Tensor with more than one value is ambiguous"),
                ("fix", ".any() or .all() of the comparison; where(condition, a, b) to choose element by element"),
            )
        return bool(self.item())

    def __float__(self) -> float:
        return float(self._real_scalar("double"))

    def __int__(self) -> int:
        return int(self._real_scalar("int64_t"))

    def __complex__(self) -> complex:
        return complex(self._scalar())

    def _scalar(self) -> Any:
        """`item()`, with PyTorch's warning (the first time) where history is left behind."""
        if self._node is not None:
            warn_once(
                "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.\n"
                "Consider using tensor.detach() first.",
            )
        if self._array.size != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        return self.item()

    def _real_scalar(self, wanted: str) -> Any:
        value = self._scalar()
        if isinstance(value, complex):
            if value.imag:
                raise RuntimeError(f"value cannot be converted to type {wanted} without overflow")
            return value.real
        return value

    def __index__(self) -> int:
        if self._kind.dtype.category > 1 or self._array.size != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __len__(self) -> int:
        if not self._array.ndim:
            raise TypeError("len() of a 0-d tensor")
        return len(self._array)

    def numpy(self, *, force: bool = False) -> Array:
        """The array under the tensor: the same memory. `force`: detach first."""
        if self._node is not None and not force and Slots.recording():
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        self._refuse_meta("numpy")
        self._leaving("numpy()")
        if self._kind.dtype is dtypes.bfloat16 or self._kind.dtype.name.startswith("float8"):
            raise TypeError(f"Got unsupported ScalarType {_SCALAR_NAMES[self._kind.dtype.name]}")
        return self._array.view()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        array = self.numpy()
        if dtype is not None and np.dtype(dtype) != array.dtype:
            if copy is False:
                raise ValueError("Unable to avoid copy while creating an array as requested.")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __buffer__(self, flags: int) -> memoryview:  # Python 3.12's buffer protocol
        return memoryview(self.numpy())  # type: ignore[arg-type]

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None
    ) -> Any:
        if self._node is not None:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        if stream is not None:
            raise AssertionError("stream should be None on cpu.")
        return self.numpy().__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def _leaving(self, what: str) -> None:
        """Values are about to leave for Python: an error may have to tell, and a recording must know."""
        looked_at(self, what)
        if self._node is not None or (self._more is not None and self._more.cut is not None):
            Slots.left(what)

    def _refuse_meta(self, what: str) -> None:
        if self._kind.device is devices.meta:
            if what == "item":
                raise RuntimeError("Tensor.item() cannot be called on meta tensors")
            if what == "numpy":
                raise TypeError(
                    "can't convert meta device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
                )
            raise NotImplementedError(f"Cannot copy out of meta tensor; no data! ({what}() needs values)")

    def __dir__(self) -> list[str]:
        return sorted(set(dir(type(self))) | set(self.__dict__))


_NUMBERS = frozenset((int, float, bool, complex))
_SCALAR_NAMES = {
    "bfloat16": "BFloat16",
    "float8_e4m3fn": "Float8_e4m3fn",
    "float8_e5m2": "Float8_e5m2",
    "float8_e4m3fnuz": "Float8_e4m3fnuz",
    "float8_e5m2fnuz": "Float8_e5m2fnuz",
    "float8_e8m0fnu": "Float8_e8m0fnu",
}
_new = object.__new__


def wrap(array: Any, kind: Kind | None = None) -> Tensor:
    """A tensor around `array` (not copied), without history. 0-d results of NumPy may come as scalars."""
    if array.__class__ is not np.ndarray:
        array = np.asarray(array)
    t = _new(Tensor)
    t._array = array
    t._kind = devices.BY_NUMPY[array.dtype] if kind is None else kind
    t._node = t._version_ = t._more = None
    return t


def looked_at(t: Tensor, what: str) -> None:
    """Python is about to decide something by the values of `t`: a recording must know."""
    if Slots.seen is not None:
        Slots.seen(t, what)


def more(t: Tensor) -> More:
    """The rare attributes of `t`, to be changed."""
    found = t._more
    if found is None:
        found = t._more = More()
    return found


def wanted_grad_dtype(t: Tensor) -> Any:
    """The dtype that the gradient of `t` is to have; None: any."""
    found = False if t._more is None else t._more.grad_dtype
    return t._kind.dtype if found is False else found


def version(t: Tensor) -> Version:
    """The version counter of `t`, to be shared or bumped."""
    found = t._version_
    if found is None:
        found = t._version_ = Version()
    return found


def meta_array(shape: tuple[int, ...], kind: Kind, strides: tuple[int, ...] | None = None) -> Array:
    """What a meta tensor holds in place of values."""
    return strided.untouched(shape, kind.np, strides)


def cpu_kind(d: dtypes.dtype) -> Kind:
    return CPU[d]


def refuse_layout(name: str) -> NoReturn:
    raise NotImplementedError(
        f"lamina has dense tensors only: {name} is not there; use a dense tensor and a mask instead"
    )


def numel_of(shape: tuple[int, ...]) -> int:
    return math.prod(shape)
