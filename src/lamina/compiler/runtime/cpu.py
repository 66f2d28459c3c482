"""What this machine is: instruction set, vector width, caches, kind of CPU.

Read from what the system says, not from LLVM: it is part of the key of every cached kernel, and a warm start imports no llvmlite.
"""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import codegen


class Cpu(NamedTuple):
    """A kind of CPU, as far as code for it may differ."""

    vendor: str
    family: int
    model: int
    stepping: int
    features: frozenset[str]  # as Linux names them: "avx2", "fma", "avx512f", "amx_tile", ...
    l1: int  # bytes of a core's first level data cache
    l2: int
    l3: int

    @property
    def vector_bits(self) -> int:
        """How wide vectors are: 512 with what of AVX-512 all its machines have but the first, 256 with AVX2, else 128."""
        if {"avx512f", "avx512bw", "avx512vl", "avx512dq"} <= self.features:
            return 512
        return 256 if "avx2" in self.features else 128

    @property
    def identity(self) -> str:
        """What two machines must share to share machine code."""
        return f"{self.vendor} {self.family} {self.model} {self.stepping} {' '.join(sorted(self.features))}"


@cache
def host() -> Cpu:
    """The CPU that this process runs on."""
    fields = _proc_cpuinfo()
    if "flags" not in fields:  # /proc is closed: what NumPy found, and code is for this machine alone
        fields = {"vendor_id": platform.node(), "flags": _numpy_features()}
    features = frozenset(fields["flags"].split())
    if codegen.narrow():
        features = frozenset(name for name in features if not name.startswith(codegen.WIDER))
    family, model, stepping = (int(f) if (f := fields.get(name, "")).isdigit() else 0 for name in _NUMBERS)
    return Cpu(
        fields.get("vendor_id", ""),
        family,
        model,
        stepping,
        features,
        _cache_bytes(1, 32 << 10),
        _cache_bytes(2, 512 << 10),
        _cache_bytes(3, 8 << 20),
    )


@cache
def unsupported() -> str:
    """Why native code cannot run here, or an empty string: so far it is for Linux on x86-64 and Python with a GIL."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "AMD64") or sys.maxsize < 2**32:
        return f"native code is for Linux on x86-64, and this is {sys.platform} on {platform.machine()}"
    if sys.implementation.name != "cpython":
        return f"native code is for CPython, and this is {sys.implementation.name}"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "native code needs a Python with a GIL"
    return ""


_NUMBERS = ("cpu family", "model", "stepping")


def _proc_cpuinfo() -> dict[str, str]:
    """The first processor's lines. One read: the whole file is long, and slow to make, on a large machine."""
    try:
        with open("/proc/cpuinfo", "rb", buffering=0) as file:
            text = file.read(16384).decode("ascii", "replace")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def _numpy_features() -> str:
    known = np._core._multiarray_umath.__cpu_features__  # type: ignore[attr-defined]
    found = [name.lower() for name, has in known.items() if has]
    return " ".join(found + ["avx512bw", "avx512vl", "avx512dq"] * ("avx512_skx" in found))


def _cache_bytes(level: int, default: int) -> int:
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            if (path / "level").read_text().strip() == str(level) and "Instr" not in (path / "type").read_text():
                size = (path / "size").read_text().strip()
                return int(size.rstrip("KM")) << {"K": 10, "M": 20}.get(size[-1:], 0)
        except (OSError, ValueError):
            continue
    return default


def cores() -> int:
    """How many cores' worth of time this process may use: its affinity, or the quota of its container."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(allowed, round(int(quota) / int(period))))
    except (OSError, ValueError):  # none, or "max"
        return allowed
