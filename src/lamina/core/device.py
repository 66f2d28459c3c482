"""Devices, layouts and memory formats: names without behaviour. Kinds: the interned pair of dtype and device."""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import Any

from lamina.core.dtype import DTYPES, UNSUPPORTED, dtype
from lamina.core.explained import noted

_KNOWN = "cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, fpga, maia, xla, lazy, vulkan, mps, meta, hpu, mtia, privateuseone"


class device:
    """Where a tensor's bytes are: "cpu", or "meta" (shape and dtype without bytes)."""

    __slots__ = ("index", "type")
    __module__ = "torch"

    type: str
    index: int | None

    def __new__(cls, type: Any, index: int | None = None) -> device:
        if isinstance(type, device) and index is None:
            return type
        self = object.__new__(cls)
        if isinstance(type, int) and not isinstance(type, bool):
            if type < 0:
                raise RuntimeError("Device index must not be negative")
            type, index = "cuda", type
        if not isinstance(type, str):
            raise TypeError(f"device(): argument 'type' (position 1) must be str, not {type.__class__.__name__}")
        if not type:
            raise RuntimeError("Device string must not be empty")
        match = re.fullmatch(r"([a-z_]+)(?::(0|[1-9]\d*))?", type)
        if match is None or match[1] not in _KNOWN.split(", "):
            if match is None and type.split(":")[0].strip() in _KNOWN.split(", "):
                raise RuntimeError(f"Invalid device string: '{type}'")
            raise RuntimeError(
                f"Expected one of {_KNOWN} device type at start of device string: {match[1] if match else type}"
            )
        if match[2] is not None and index is not None:
            raise RuntimeError(f"type (string) must not include an index because index was passed explicitly: {type}")
        self.type = match[1]
        self.index = int(match[2]) if match[2] is not None else index
        return self

    def __repr__(self) -> str:
        return f"device(type='{self.type}'" + (")" if self.index is None else f", index={self.index})")

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> tuple[Any, ...]:
        return _device, (str(self),)

    def __enter__(self) -> device:
        """A context in which factories that are given no device make tensors here."""
        defaults.set((*(defaults.get() or (None,)), self))
        return self

    def __exit__(self, *error: object) -> None:
        outer = defaults.get()[:-1]
        defaults.set(() if outer == (None,) else outer)


defaults: ContextVar[tuple[Any, ...]] = ContextVar("lamina.default_devices", default=())
"""This thread's default device (or None), then those of the contexts that it is in; empty: the CPU."""


def _device(name: str) -> device:
    return device(name)


NO_CUDA = ("fix", "lamina computes on the CPU: device='cpu', or ask torch.cuda.is_available() first")
"""What is said below PyTorch's sentence."""

cpu = device("cpu")
meta = device("meta")


def as_device(given: Any) -> device:
    """`cpu` or `meta` from what a user passes as `device=`. Raises RuntimeError for a device that lamina has not."""
    if given is None:
        return cpu
    found = device(given)
    if found.type == "cpu":
        return cpu
    if found.type == "meta":
        return meta
    if found.type == "cuda":
        # programs match on this sentence to fall back to the CPU
        raise noted(AssertionError("Torch not compiled with CUDA enabled"), NO_CUDA)
    raise RuntimeError(f"lamina has no device '{found}': it has 'cpu' and 'meta'; pass device='cpu'")


class Kind:
    """The dtype and device of a tensor, interned: one identity test tells that two tensors need no promotion."""

    __slots__ = ("category", "device", "dtype", "np", "plain", "simple")

    def __init__(self, d: dtype, where: device) -> None:
        self.dtype, self.device, self.np = d, where, d.np
        self.category = d.category
        self.plain = where is cpu and not d.is_low  # computed as it is
        self.simple = self.plain and d.category < 3  # and rules need no conjugation


class _UnsupportedKind(Kind):
    """The kind of a dtype without tensors: whoever makes memory of it meets the refusal."""

    __slots__ = ()

    def __init__(self, d: dtype, where: device) -> None:
        self.dtype, self.device, self.category, self.plain, self.simple = d, where, d.category, False, False

    @property
    def np(self) -> Any:  # type: ignore[override]
        return self.dtype.np


KINDS: dict[tuple[dtype, device], Kind] = {(d, where): Kind(d, where) for d in DTYPES for where in (cpu, meta)}
KINDS |= {(d, where): _UnsupportedKind(d, where) for d in UNSUPPORTED for where in (cpu, meta)}
CPU: dict[dtype, Kind] = {d: KINDS[d, cpu] for d in (*DTYPES, *UNSUPPORTED)}
BY_NUMPY: dict[Any, Kind] = {d.np: CPU[d] for d in DTYPES}


class _Named:
    """A constant that is only a name: it prints as torch's."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _named, (self.name,)


class layout(_Named):
    __slots__ = ()
    __module__ = "torch"


class memory_format(_Named):
    __slots__ = ()
    __module__ = "torch"


class qscheme(_Named):
    __slots__ = ()
    __module__ = "torch"


strided = layout("strided")
sparse_coo, sparse_csr = layout("sparse_coo"), layout("sparse_csr")
sparse_csc, sparse_bsr, sparse_bsc = layout("sparse_csc"), layout("sparse_bsr"), layout("sparse_bsc")
jagged, _mkldnn = layout("jagged"), layout("_mkldnn")
contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")
per_tensor_affine, per_channel_affine = qscheme("per_tensor_affine"), qscheme("per_channel_affine")

_CONSTANTS = {c.name: c for c in list(globals().values()) if isinstance(c, _Named)}


def _named(name: str) -> _Named:
    return _CONSTANTS[name]
