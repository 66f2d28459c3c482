"""The text of a tensor: PyTorch's repr, character by character, made from a NumPy array.

Here: number formatting, summarisation, line breaking, the suffixes that follow from shape and dtype, the print options.
Not here: which `grad_fn=`, `requires_grad=`, `tangent=` or class prefix a tensor has: its `__repr__` knows and passes them in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass
class PrintOptions:
    """What `set_printoptions` sets. One object for the whole process, as in PyTorch."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


PRINT_OPTS = PrintOptions()

_PROFILES: dict[str, dict[str, float]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors print; what is None stays, except `sci_mode`, where None means "decide for each tensor".

    `profile` ("default", "short" or "full") is applied first, the other arguments on top of it.
    """
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    settings: dict[str, Any] = dict(_PROFILES.get(profile, {})) if profile is not None else {}
    settings.update((name, value) for name, value in given.items() if value is not None)
    for name, value in settings.items():
        setattr(PRINT_OPTS, name, value)
    PRINT_OPTS.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The options in force, as keyword arguments for `set_printoptions`."""
    return asdict(PRINT_OPTS)


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Apply `set_printoptions(**options)` inside a `with` block."""
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


def format_tensor(
    array: np.ndarray | None,
    *,
    dtype: str,
    default_dtypes: tuple[str, str] = ("float32", "complex64"),
    size: Sequence[int] | None = None,
    device: str | None = None,
    meta: bool = False,
    prefix: str = "tensor(",
    suffixes: Sequence[str] = (),
    indent: int | None = None,
    contents: str | None = None,
) -> str:
    """The repr of one tensor, closing parenthesis included.

    Parameters
    ----------
    array
        The values; bfloat16 and float8 as ml_dtypes arrays. None is allowed with `meta` or `contents`.
    dtype
        PyTorch's name of the dtype without the module: "float32".
    default_dtypes
        The default floating and complex dtypes at this moment: these, int64 and bool are not written out.
    size
        The tensor's shape; needed only where `array` is None.
    device
        Written as `device='...'` if not None. `meta` implies 'meta'.
    prefix
        "tensor(", "Parameter containing:\\ntensor(", "MyTensor(": its last line gives the indentation.
    suffixes
        What follows size and dtype: "grad_fn=<MulBackward0>", "requires_grad=True", ...
    indent
        Columns before the values, if not the width of the last line of `prefix`.
    contents
        Printed in place of the values (`Tensor.__repr__`'s `tensor_contents`).
    """
    head = prefix[prefix.rfind("\n") + 1 :]
    indent = len(head) if indent is None else indent
    shape = tuple(array.shape if array is not None else size or ())
    notes = []
    if meta or device is not None:
        notes.append(f"device='{device or 'meta'}'")

    if meta:
        body = "..."
        notes.append(f"size={shape}")
        plain_dtypes: tuple[str, ...] = default_dtypes[:1]
    elif 0 in shape:
        body = "[]"
        if len(shape) != 1:
            notes.append(f"size={shape}")
        plain_dtypes = default_dtypes[:1]
    else:
        if not PRINT_OPTS.edgeitems:
            notes.append(f"size={shape}")
        body = _format_values(array, indent) if contents is None and array is not None else ""
        plain_dtypes = (*default_dtypes, "int64", "bool")

    if dtype not in plain_dtypes:
        notes.append(f"dtype=torch.{dtype}")
    return _with_suffixes(prefix, head + (body if contents is None else contents), (*notes, *suffixes), indent)


def _with_suffixes(prefix: str, text: str, suffixes: Sequence[str], indent: int) -> str:
    """`text` starts with the last line of `prefix`; a suffix that does not fit moves to a line of its own."""
    parts = [prefix[: prefix.rfind("\n") + 1], text]
    column = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if column + len(suffix) + 2 > PRINT_OPTS.linewidth:
            parts.append(",\n" + " " * indent + suffix)
            column = indent + len(suffix)
        else:
            parts.append(", " + suffix)
            column += len(suffix) + 2
    parts.append(")")
    return "".join(parts)


def _format_values(array: np.ndarray, indent: int) -> str:
    """The bracketed values, broken into lines; lines after the first start at column `indent`."""
    edge = PRINT_OPTS.edgeitems
    is_cut = [False] * array.ndim
    if array.ndim and array.size > PRINT_OPTS.threshold:
        if not edge:
            return "[...]"
        is_cut = [length > 2 * edge for length in array.shape]
        kept = [
            [*range(edge), *range(length - edge, length)] if cut else range(length)
            for length, cut in zip(array.shape, is_cut, strict=True)
        ]
        # One gather of the corners that will be shown: the middle of a huge tensor is never read.
        array = array[np.ix_(*kept)]

    cells, width = _format_cells(array)
    if array.ndim == 0:
        return cells[0]

    # From the innermost axis outwards: n neighbours become one bracketed block, until one block is left.
    last = array.ndim - 1
    per_line = max(1, (PRINT_OPTS.linewidth - indent - last) // (width + 2))
    blocks = cells
    for axis in range(last, -1, -1):
        length = array.shape[axis]
        rows = [blocks[start : start + length] for start in range(0, len(blocks), length)]
        if is_cut[axis]:
            for row in rows:
                row.insert(edge, " ..." if axis == last else "...")
        if axis == last:
            rows = [[", ".join(row[i : i + per_line]) for i in range(0, len(row), per_line)] for row in rows]
        separator = "," + "\n" * max(1, last - axis) + " " * (indent + axis + 1)
        blocks = ["[" + separator.join(row) + "]" for row in rows]
    return blocks[0]


def _format_cells(array: np.ndarray) -> tuple[list[str], int]:
    """Each element's text in C order, aligned to one width, and that width."""
    kind = array.dtype.kind
    if kind == "c":
        real, real_width = _format_floats(array.real)
        imag, imag_width = _format_floats(array.imag)
        # The imaginary part touches its sign, so its padding is lost, and with it the alignment: as in PyTorch.
        cells = [a + _signed(b.lstrip()) + "j" for a, b in zip(real, imag, strict=True)]
        return cells, real_width + imag_width + 1
    if kind in "iub":
        texts = [str(value) for value in array.ravel().tolist()]
        return _aligned(texts, max(map(len, texts)))
    return _format_floats(array)


def _signed(text: str) -> str:
    return text if text[0] in "+-" else "+" + text


def _aligned(texts: list[str], width: int) -> tuple[list[str], int]:
    return [text.rjust(width) for text in texts], width


def _format_floats(array: np.ndarray) -> tuple[list[str], int]:
    """Floats as "1." (all whole), "1.5000" or "1.5000e+00"; the finite nonzero ones decide which, and the width."""
    values = array.astype(np.float64).ravel().tolist()
    decisive = [value for value in values if value and math.isfinite(value)]
    whole = all(value.is_integer() for value in decisive)
    if decisive and _use_sci_mode(decisive, whole):
        spec, dot = f".{PRINT_OPTS.precision}e", ""
    elif whole:
        spec, dot = ".0f", "."
    else:
        spec, dot = f".{PRINT_OPTS.precision}f", ""
    # Zeros, infinities and NaNs do not widen the column.
    width = max([1, *(len(format(value, spec)) + len(dot) for value in decisive)])
    texts = [format(value, spec) + (dot if math.isfinite(value) else "") for value in values]
    return _aligned(texts, width)


def _use_sci_mode(decisive: list[float], whole: bool) -> bool:
    if PRINT_OPTS.sci_mode is not None:
        return PRINT_OPTS.sci_mode
    smallest = min(map(abs, decisive))
    largest = max(map(abs, decisive))
    return largest > 1e8 or largest / smallest > 1000.0 or (not whole and smallest < 1e-4)
