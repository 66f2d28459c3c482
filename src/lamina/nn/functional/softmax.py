"""softmax and its relatives, along one dimension.

Here: nn.functional's forms of softmax, softmin, log_softmax; gumbel_softmax. Not here: the primitives
(primitives/softmax.py), the losses on top of them (loss_classification.py).
"""

from __future__ import annotations

from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.core.warn import warn
from lamina.nn.functional._checks import check_tensor
from lamina.primitives import softmax as public
from lamina.primitives.functions import bare
from lamina.primitives.inplace import loosely

_softmax, _log_softmax = bare(public.softmax), bare(public.log_softmax)


def _implicit_dim(name: str, ndim: int) -> int:
    """The dimension that PyTorch takes where none is given, with its warning."""
    warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
    )
    return 0 if ndim in (0, 1, 3) else 1


def _given(name: str, input: Tensor, dim: int | None) -> int:
    check_tensor(input, name)
    return _implicit_dim(name, input.dim()) if dim is None else dim


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """exp(input) over its sum along `dim`; with `dtype`, of `input` cast to it.

    Shape as `input`. Without `dim` (deprecated): 0 for 0, 1 and 3 dimensions, else 1, with a warning.
    """
    return _softmax(input, _given("softmax", input, dim), dtype)  # type: ignore[no-any-return]


@loosely
def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """softmax(-input)."""
    return (-input).softmax(_given("softmin", input, dim), dtype)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """log(softmax(input, dim)), computed without forming the quotient."""
    return _log_softmax(input, _given("log_softmax", input, dim), dtype)  # type: ignore[no-any-return]


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A sample of the relaxed categorical distribution with these logits; `hard`: one-hot, with the soft gradient."""
    if eps != 1e-10:
        warn("`eps` parameter is deprecated and has no effect.")
    gumbels = -lamina.empty_like(logits, memory_format=lamina.legacy_contiguous_format).exponential_().log()
    soft = softmax((logits + gumbels) / tau, dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    one_hot = lamina.zeros_like(logits).scatter_(dim, index, 1.0)
    return one_hot - soft.detach() + soft
