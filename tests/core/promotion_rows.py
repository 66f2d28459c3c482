"""Which dtype two operands give: the table, written by whichever library is passed.

One row for each operation and kind of operands, one letter for each pair of dtypes. PyTorch's table is recorded beside this
file (promotion_rows.txt); `python promotion_rows.py` with PyTorch at hand writes it anew.
"""

import operator
import sys
import warnings
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

RECORD = Path(__file__).with_suffix(".txt")

DTYPES = {
    "b": "bool", "u": "uint8", "c": "int8", "s": "int16", "i": "int32", "l": "int64", "h": "float16", "B": "bfloat16",
    "f": "float32", "d": "float64", "F": "complex64", "D": "complex128",
}  # fmt: skip
NUMBERS = {"b": True, "l": 3, "d": 2.5, "D": 1 + 2j}
ERRORS = {
    RuntimeError: "!",
    TypeError: "?",
    NotImplementedError: "-",
    AttributeError: "x",
    ValueError: "v",
    IndexError: "v",
}

Make = Callable[[Any, str], Any]
OPERANDS: dict[str, tuple[str, Make]] = {
    "tensor": ("".join(DTYPES), lambda torch, letter: torch.ones(2, dtype=dtype_of(torch, letter))),
    "0-d": ("".join(DTYPES), lambda torch, letter: torch.ones((), dtype=dtype_of(torch, letter))),
    "number": ("".join(NUMBERS), lambda torch, letter: NUMBERS[letter]),
}

Run = Callable[[Any, Any, Any], Any]
OPERATIONS: dict[str, Run] = {
    name: lambda torch, x, y, name=name: getattr(operator, name)(x, y)
    for name in "add sub mul truediv floordiv mod pow lt eq and_ lshift matmul".split()
    + "iadd imul itruediv ifloordiv ipow iand".split()
}
OPERATIONS |= {
    "where": lambda torch, x, y: torch.where(torch.tensor([True, False]), x, y),
    "cat": lambda torch, x, y: torch.cat([x.reshape(-1), y.reshape(-1)]),
    "stack": lambda torch, x, y: torch.stack([x, y]),
    "maximum": lambda torch, x, y: torch.maximum(x, y),
    "atan2": lambda torch, x, y: torch.atan2(x, y),
    "hypot": lambda torch, x, y: torch.hypot(x, y),
    "xlogy": lambda torch, x, y: torch.xlogy(x, y),
    "div_trunc": lambda torch, x, y: torch.div(x, y, rounding_mode="trunc"),
    "add_alpha": lambda torch, x, y: torch.add(x, y, alpha=2.5),
    "lerp": lambda torch, x, y: torch.lerp(x, y, 0.5),
    "addcmul": lambda torch, x, y: torch.addcmul(x, x, y),
    "clamp_min": lambda torch, x, y: torch.clamp(x, min=y),
    "masked_fill": lambda torch, x, y: x.masked_fill(torch.tensor([True, False]), y),
    "setitem": lambda torch, x, y: (x.__setitem__(0, y), x)[1],
    "copy_": lambda torch, x, y: x.copy_(y),
    "fill_": lambda torch, x, y: x.fill_(y),
    "out": lambda torch, x, y: torch.add(x, x, out=torch.empty_like(y)),
    "result_type": lambda torch, x, y: torch.ones(1, dtype=torch.result_type(x, y)),
    "can_cast": lambda torch, x, y: x if torch.can_cast(x.dtype, y.dtype) else None,
    "tensor": lambda torch, x, y: torch.tensor([x, y]),
    "full_like": lambda torch, x, y: torch.full_like(x, y),
    "arange": lambda torch, x, y: torch.arange(x, 5 + y),
    "power": lambda torch, x, y: torch.pow(x, y),
    "float_power": lambda torch, x, y: torch.float_power(x, y),
}


def dtype_of(torch: Any, letter: str) -> Any:
    return getattr(torch, DTYPES[letter])


def rows(torch: Any) -> Iterator[str]:
    """The table's rows: operation, kinds of the two operands, a letter for each pair (or the sign of an error)."""
    letters = {dtype_of(torch, letter): letter for letter in DTYPES}
    for name, run in OPERATIONS.items():
        for left, right in product(OPERANDS, OPERANDS):
            signs = "".join(
                result(torch, letters, run, left, x, right, y)
                for x, y in product(*(OPERANDS[k][0] for k in (left, right)))
            )
            if not set(signs) <= set(ERRORS.values()):
                yield f"{name} {left} {right} {signs}"


def result(torch: Any, letters: dict[Any, str], run: Run, left: str, x: str, right: str, y: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = run(torch, OPERANDS[left][1](torch, x), OPERANDS[right][1](torch, y))
    except tuple(ERRORS) as error:
        return ERRORS[type(error)]
    return letters.get(found.dtype, "*") if isinstance(found, torch.Tensor) else "."


if __name__ == "__main__":
    import torch

    sys.stdout.reconfigure(newline="\n")
    RECORD.write_text("\n".join(rows(torch)) + "\n")
