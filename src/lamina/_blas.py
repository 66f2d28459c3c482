"""Which matrix kernels NumPy's OpenBLAS takes: said before NumPy is loaded, as it chooses once.

On AMD processors of an unknown family it falls back to kernels for AVX2, although they have AVX-512: matrix products then take up
to twice as long. The choice here is OpenBLAS's own for the families that it knows. A user's OPENBLAS_CORETYPE stays as it is.
"""

import os
import sys

VARIABLE = "OPENBLAS_CORETYPE"
_NEEDED = {"avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512cd"}


def choose() -> None:
    """Set OPENBLAS_CORETYPE, for this process and its children, where it helps and nobody has."""
    if VARIABLE in os.environ or "numpy" in sys.modules or not sys.platform.startswith("linux"):
        return
    kernels = wanted(_processor())
    if kernels:
        os.environ[VARIABLE] = kernels


def wanted(processor: str) -> str:
    """The kernels for a processor as /proc/cpuinfo describes it; an empty string: OpenBLAS knows best."""
    if "AuthenticAMD" not in processor:
        return ""
    flags: set[str] = set()
    for line in processor.splitlines():
        if line.startswith("flags"):
            flags = set(line.split())
            break
    if not flags >= _NEEDED:
        return ""
    return "Cooperlake" if {"avx512_bf16", "avx512_vnni"} <= flags else "SkylakeX"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            return file.read(8192)
    except OSError:
        return ""


choose()
