"""Autograd's mistakes, explained: PyTorch's sentence, then the lines of the user's program, then what to write instead.

Here: one name for all of them. The errors are in graph_errors.py, write_errors.py and operand_errors.py, what they tell of a graph
in history.py, their base class in core/explained.py.
"""

from __future__ import annotations

from lamina.autograd.graph_errors import (
    BackwardCountError,
    DetachedInPlaceError,
    FreedGraphError,
    GradientShapeError,
    HookShapeError,
    HookTypeError,
    ModifiedError,
    NoGraphError,
    NoGraphInputError,
    NonScalarError,
    UnusedInputError,
    check_unchanged,
)
from lamina.autograd.history import Cut, cut_rows, maker_of, note_cut, note_left, place_of, warn_non_leaf_grad
from lamina.autograd.operand_errors import DtypeError, ShapeError, c_type, scalar_name
from lamina.autograd.write_errors import InferenceInPlaceError, InferenceSavedError, LeafInPlaceError, ViewInPlaceError
from lamina.core.explained import BroadcastError, Explained, IndexRangeError, where

__all__ = [
    "BackwardCountError", "BroadcastError", "Cut", "DetachedInPlaceError", "DtypeError", "Explained", "FreedGraphError", "GradientShapeError",
    "HookShapeError", "HookTypeError", "IndexRangeError", "InferenceInPlaceError", "InferenceSavedError", "LeafInPlaceError",
    "ModifiedError", "NoGraphError", "NoGraphInputError", "NonScalarError", "ShapeError", "UnusedInputError", "ViewInPlaceError",
    "c_type", "check_unchanged", "cut_rows", "maker_of", "note_cut", "note_left", "place_of", "scalar_name", "warn_non_leaf_grad", "where",
]  # fmt: skip
