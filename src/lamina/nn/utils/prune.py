"""Pruning: a mask beside a parameter, applied before each forward.

Here: the methods' common base, the container that a parameter pruned several times gets, and the functions programs
call. The methods themselves are in prune_methods.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.nn.modules.module import Module
from lamina.nn.utils.prune_methods import (
    BasePruningMethod,
    CustomFromMask,
    Identity,
    L1Unstructured,
    LnStructured,
    PruningContainer,
    RandomStructured,
    RandomUnstructured,
)

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


def identity(module: Module, name: str) -> Module:
    """Put a mask of ones on `module`'s `name`."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: float) -> Module:
    """Mask out that many elements (an int) or that fraction of them (a float), at random."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module: Module, name: str, amount: float, importance_scores: Tensor | None = None) -> Module:
    """Mask out that many elements, or that fraction: the smallest, or those of the smallest scores."""
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: float, dim: int) -> Module:
    """Mask out that many slices along `dim`, or that fraction of them, at random."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Module, name: str, amount: float, n: Any, dim: int, importance_scores: Tensor | None = None
) -> Module:
    """Mask out that many slices along `dim`, or that fraction: those of the smallest n-norm (of values or scores)."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Mask out the elements where `mask` is 0."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Any,
    pruning_method: type[BasePruningMethod],
    importance_scores: dict[tuple[Module, str], Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Prune several parameters, (module, name) each, as if they were one tensor.

    Raises TypeError where `parameters` is not iterable or the method is not unstructured.
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    parameters = list(parameters)
    scores = importance_scores if importance_scores is not None else {}
    if not isinstance(scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    values = [getattr(module, name) for module, name in parameters]
    flat_scores = lamina.cat(
        [scores.get(which, value).reshape(-1) for which, value in zip(parameters, values, strict=True)]
    )
    masks = [getattr(module, name + "_mask", None) for module, name in parameters]
    flat_mask = lamina.cat(
        [(lamina.ones_like(v) if m is None else m).reshape(-1) for m, v in zip(masks, values, strict=True)]
    )
    container = PruningContainer()
    container._tensor_name = "temp"
    method = pruning_method(**kwargs)
    method._tensor_name = "temp"
    container.add_pruning_method(method)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. '
            f"Found method {pruning_method} of type {method.PRUNING_TYPE}"
        )
    final_mask = container.compute_mask(flat_scores, flat_mask)
    pieces = final_mask.split([value.numel() for value in values])
    for (module, name), value, piece in zip(parameters, values, pieces, strict=True):
        custom_from_mask(module, name, mask=piece.view_as(value))


def is_pruned(module: Module) -> bool:
    """Whether a parameter of `module`, or of a module below it, is pruned."""
    return any(
        isinstance(hook, BasePruningMethod) for each in module.modules() for hook in each._forward_pre_hooks.values()
    )


def remove(module: Module, name: str) -> Module:
    """Make the pruned `name` a plain parameter again: the mask is applied for good."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed")
