"""The `reduction` of a loss: its legal values, the older `size_average` and `reduce`, and the reduction itself."""

from __future__ import annotations

import lamina
from lamina.core.tensor import Tensor
from lamina.core.warn import warn

REDUCTIONS = ("none", "mean", "sum")


def check_reduction(reduction: str) -> None:
    """ValueError unless `reduction` is "none", "mean" or "sum"."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction")


def resolve_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction asked for; the deprecated pair wins over `reduction`, with a warning, where either is given."""
    if size_average is not None or reduce is not None:
        averaged, reduced = (True if given is None else given for given in (size_average, reduce))
        reduction = "mean" if averaged and reduced else "sum" if reduced else "none"
        warn(
            f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.",
        )
    check_reduction(reduction)
    return reduction


def apply_reduction(loss: Tensor, reduction: str) -> Tensor:
    """`loss` itself, its mean or its sum."""
    if reduction == "mean":
        return lamina.mean(loss)
    if reduction == "sum":
        return lamina.sum(loss)
    return loss
