"""torch.masked: reductions and normalisations over the elements that a mask selects, of dense tensors.

Here: names. Not here: the operations (operations.py). MaskedTensor, a tensor type of its own, is refused by name.
"""

from __future__ import annotations

from lamina.masked.maskedtensor import MaskedTensor, as_masked_tensor, is_masked_tensor, masked_tensor
from lamina.masked.operations import (
    _canonical_dim,
    _combine_input_and_mask,
    _input_mask,
    _output_mask,
    _reduction_identity,
    amax,
    amin,
    argmax,
    argmin,
    cumprod,
    cumsum,
    log_softmax,
    logaddexp,
    logsumexp,
    mean,
    median,
    norm,
    normalize,
    prod,
    softmax,
    softmin,
    std,
    sum,
    var,
)

__all__ = [
    "MaskedTensor",
    "_canonical_dim",
    "_combine_input_and_mask",
    "_input_mask",
    "_output_mask",
    "_reduction_identity",
    "amax",
    "amin",
    "argmax",
    "argmin",
    "as_masked_tensor",
    "cumprod",
    "cumsum",
    "is_masked_tensor",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "masked_tensor",
    "mean",
    "median",
    "norm",
    "normalize",
    "prod",
    "softmax",
    "softmin",
    "std",
    "sum",
    "var",
]
