"""What PyTorch gives for the samples of primitives: values, and gradients where they are conventions of its own.

The file is written by `python tests/oracle/record_primitives.py`, in an environment with PyTorch; `make oracle` checks that it is
true. A sample is known by a digest of its arrays and parameters, so that a new one leaves the others known. Here: reading.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).parents[1] / "expected" / "primitive_values.json"
Arrays = list[Any]


def digest(args: Sequence[Any], params: dict[str, Any]) -> str:
    """What a sample is known by."""
    text = hashlib.sha1()
    for a in args:
        if isinstance(a, np.ndarray):
            text.update(f"{a.dtype.str} {a.shape}".encode())
            text.update((np.round(a, 6) + 0.0).tobytes() if a.dtype.kind in "fc" else a.tobytes())
        else:
            text.update(repr(a).encode())
    for key in sorted(params):
        value = params[key]
        text.update(
            f"{key}={value.tolist() if isinstance(value, np.ndarray) else getattr(value, '__name__', value)!r}".encode()
        )
    return text.hexdigest()[:12]


def packed(arrays: Sequence[Any]) -> list[Any]:
    """Arrays as JSON: dtype, shape, numbers (complex ones as pairs)."""
    rows = []
    for a in arrays:
        a = np.asarray(a)
        flat = np.ascontiguousarray(a).reshape(-1)
        rows.append(
            [a.dtype.name, list(a.shape), (flat.view(flat.real.dtype) if a.dtype.kind == "c" else flat).tolist()]
        )
    return rows


def unpacked(rows: Sequence[Any]) -> Arrays:
    arrays = []
    for name, shape, numbers in rows:
        kind = np.dtype(name)
        flat = np.array(numbers, np.empty(0, kind).real.dtype) if kind.kind == "c" else np.array(numbers, kind)
        arrays.append(flat.view(kind).reshape(shape))
    return arrays


def known() -> dict[str, dict[str, dict[str, Arrays]]]:
    """By primitive and digest: "values", and "gradients" of those arguments whose gradient is a convention."""
    table = json.loads(FILE.read_text())
    return {
        name: {key: {what: unpacked(rows) for what, rows in row.items()} for key, row in of.items()}
        for name, of in table.items()
    }
