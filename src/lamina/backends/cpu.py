"""The CPU's features."""

import numpy as np


def get_cpu_capability() -> str:
    """ "AVX512", "AVX2" or "DEFAULT": the widest vectors that NumPy found."""
    features = np._core._multiarray_umath.__cpu_features__
    if features.get("AVX512F") and features.get("AVX512_SKX", True):
        return "AVX512"
    return "AVX2" if features.get("AVX2") else "DEFAULT"
