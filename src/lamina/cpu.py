"""The CPU under the interface that accelerators have, so that programs can be written for either."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = [
    "Event",
    "Stream",
    "current_device",
    "current_stream",
    "device_count",
    "get_capabilities",
    "is_available",
    "is_initialized",
    "set_device",
    "stream",
    "synchronize",
]


def is_available() -> bool:
    """True."""
    return True


def is_initialized() -> bool:
    """True."""
    return True


def device_count() -> int:
    """1."""
    return 1


def current_device() -> str:
    """ "cpu"."""
    return "cpu"


_FEATURES = {"SSE": "sse", "SSE2": "sse2", "SSE3": "sse3", "SSSE3": "ssse3", "SSE41": "sse4_1", "SSE42": "sse4_2", "AVX": "avx",
             "F16C": "f16c", "FMA3": "fma3", "FMA4": "fma4", "AVX2": "avx2", "AVX512F": "avx512_f", "AVX512CD": "avx512_cd",
             "AVX512BW": "avx512_bw", "AVX512DQ": "avx512_dq", "AVX512VL": "avx512_vl", "AVX512IFMA": "avx512_ifma",
             "AVX512VBMI": "avx512_vbmi", "AVX512VNNI": "avx512_vnni", "AVX512VBMI2": "avx512_vbmi2", "SVE": "sve"}  # fmt: skip


def get_capabilities() -> dict[str, Any]:
    """Which vector instructions NumPy found, by PyTorch's names."""
    found = np._core._multiarray_umath.__cpu_features__
    return {theirs: bool(found.get(ours)) for ours, theirs in _FEATURES.items()}


def _is_avx2_supported() -> bool:
    return bool(get_capabilities()["avx2"])


def _is_avx512_supported() -> bool:
    return bool(get_capabilities()["avx512_f"])


def set_device(device: Any) -> None:
    """Nothing: there is one."""


def synchronize(device: Any = None) -> None:
    """Nothing: operations are done when they return."""


class Stream:
    """The one queue of work, which is always done."""

    def __init__(self, device: Any = None, *, priority: int = -1) -> None:
        self.device, self.priority = device, priority

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def query(self) -> bool:
        """True: all is done."""
        return True

    def wait_stream(self, stream: "Stream") -> None:
        """Nothing to wait for."""


class Event:
    """A point in that queue: what was before it is done."""

    def __init__(
        self, device: Any = None, *, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ) -> None:
        self.device = device

    def record(self, stream: Stream | None = None) -> None:
        """Nothing to remember."""

    def wait(self, stream: Stream | None = None) -> None:
        """Nothing to wait for."""

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def query(self) -> bool:
        """True: all is done."""
        return True


_stream = Stream()


def current_stream(device: Any = None) -> Stream:
    """The one stream."""
    return _stream


@contextlib.contextmanager
def stream(stream: Stream | None) -> Iterator[None]:
    """A context that changes nothing."""
    yield
