"""Low precision in kernels that keep something for the way back: it is kept in float32, not rounded."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.primitives.kernels.windows import Array


def widened(*arrays: Array | None) -> list[Any]:
    """float16 and bfloat16 as float32, all else (None too) as it is."""
    return [
        a.astype(np.float32) if a is not None and a.dtype.itemsize < 4 and a.dtype.kind in "fV" else a for a in arrays
    ]
