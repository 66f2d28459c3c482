"""The pruning methods: which elements to mask out. The functions that apply them are in prune.py."""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, Self

import lamina
from lamina.core.tensor import Tensor
from lamina.nn.modules.module import Module


class BasePruningMethod(ABC):
    """A method chooses a mask in `compute_mask`; as a forward pre-hook it makes the masked parameter.

    The parameter `name` becomes `name_orig`, the mask is the buffer `name_mask`, and `name` itself a plain attribute.
    """

    PRUNING_TYPE: str  # "unstructured": by element; "structured": by slice; "global": whatever the mask says
    _tensor_name: str

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask for a tensor of scores `t`, within `default_mask`."""

    def apply_mask(self, module: Module) -> Tensor:
        """The original parameter times the mask."""
        original = getattr(module, self._tensor_name + "_orig")
        mask = getattr(module, self._tensor_name + "_mask")
        return mask.to(dtype=original.dtype) * original

    @classmethod
    def apply(
        cls, module: Module, name: str, *args: Any, importance_scores: Tensor | None = None, **kwargs: Any
    ) -> BasePruningMethod:
        """Prune `module`'s `name`; one that is pruned already gets a container of all its methods."""
        method: BasePruningMethod = cls(*args, **kwargs)
        method._tensor_name = name
        method = _joined_with_previous(module, name, method)
        first = not isinstance(method, PruningContainer)
        original = getattr(module, name)
        if importance_scores is None:
            importance_scores = original
        elif importance_scores.shape != original.shape:
            raise AssertionError(
                f"importance_scores should have the same shape as parameter {name} of {module}, got "
                f"{importance_scores.shape} vs {original.shape}"
            )
        if first:
            default_mask = lamina.ones_like(original)
        else:
            default_mask = getattr(module, name + "_mask").detach().clone(memory_format=lamina.contiguous_format)
        mask = method.compute_mask(importance_scores, default_mask=default_mask)  # before anything is changed
        if first:
            del module._parameters[name]
            module.register_parameter(name + "_orig", original)
        module.register_buffer(name + "_mask", mask)
        setattr(module, name, method.apply_mask(module))
        for key, hook in list(module._forward_pre_hooks.items()):
            if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
                del module._forward_pre_hooks[key]
        module.register_forward_pre_hook(method)
        return method

    def prune(self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None) -> Tensor:
        """`t` masked, without a module."""
        if importance_scores is None:
            importance_scores = t
        elif importance_scores.shape != t.shape:
            raise AssertionError("importance_scores should have the same shape as tensor t")
        default_mask = lamina.ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(importance_scores, default_mask=default_mask)

    def remove(self, module: Module) -> None:
        """Make the masked parameter a plain one again."""
        name = self._tensor_name
        weight = self.apply_mask(module)
        if hasattr(module, name):
            delattr(module, name)
        original = module._parameters.pop(name + "_orig")
        original.data = weight.data
        del module._buffers[name + "_mask"]
        setattr(module, name, original)


def _joined_with_previous(module: Module, name: str, method: BasePruningMethod) -> BasePruningMethod:
    """`method`, or a container of it after those that `name` is pruned by already."""
    previous = [
        hook
        for hook in module._forward_pre_hooks.values()
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name
    ]
    if not previous:
        return method
    if isinstance(previous[0], PruningContainer):
        container = previous[0]
    else:
        container = PruningContainer(previous[0])
    container.add_pruning_method(method)
    return container


class PruningContainer(BasePruningMethod):
    """Several methods on one parameter: each sees only what the earlier ones left."""

    def __init__(self, *args: Any) -> None:
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        if not args:
            return
        methods = args if len(args) > 1 or not isinstance(args[0], Iterable) else tuple(args[0])
        self._tensor_name = methods[0]._tensor_name
        for method in methods:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod | None) -> None:
        """Add a method. Raises TypeError where it is none, ValueError where it is another parameter's."""
        if method is not None:
            if not isinstance(method, BasePruningMethod):
                raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
            if self._tensor_name != method._tensor_name:
                raise ValueError(
                    f"Can only add pruning methods acting on the parameter named '{self._tensor_name}' to "
                    f"PruningContainer {self}. Found '{method._tensor_name}'"
                )
            self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: Any) -> Any:
        return self._pruning_methods[idx]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """`default_mask` without what the latest method masks out of the rest."""
        method = self._pruning_methods[-1]
        mask = default_mask.to(dtype=t.dtype)
        if method.PRUNING_TYPE == "unstructured":
            rest: Any = mask == 1
        elif method.PRUNING_TYPE == "structured":
            dim = method.dim % t.dim()
            left = mask.sum(dim=[d for d in range(t.dim()) if d != dim]) != 0
            rest = (slice(None),) * dim + (left,)
        elif method.PRUNING_TYPE == "global":
            rest = (slice(None),) * t.dim()
        else:
            raise ValueError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
        new = mask.clone()
        new[rest] = method.compute_mask(t[rest], default_mask=mask[rest]).to(dtype=new.dtype)
        return new


class Identity(BasePruningMethod):
    """Masks nothing out: for a parameter that is to look pruned."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """`default_mask`."""
        return default_mask

    @classmethod
    def apply(cls, module: Module, name: str) -> Self:
        """See `prune.identity`."""
        return super().apply(module, name)


class RandomUnstructured(BasePruningMethod):
    """Masks out elements at random."""

    PRUNING_TYPE = "unstructured"

    def __init__(self, amount: float) -> None:
        _check_amount(amount)
        self.amount = amount

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """`default_mask` without that many elements."""
        count = _count_to_prune(self.amount, t.nelement())
        mask = default_mask.clone(memory_format=lamina.contiguous_format)
        if count:
            chosen = lamina.rand_like(t).reshape(-1).topk(count).indices
            mask.view(-1)[chosen] = 0
        return mask

    @classmethod
    def apply(cls, module: Module, name: str, amount: float) -> Self:
        """See `prune.random_unstructured`."""
        return super().apply(module, name, amount=amount)


class L1Unstructured(BasePruningMethod):
    """Masks out the smallest elements."""

    PRUNING_TYPE = "unstructured"

    def __init__(self, amount: float) -> None:
        _check_amount(amount)
        self.amount = amount

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """`default_mask` without that many elements."""
        count = _count_to_prune(self.amount, t.nelement())
        mask = default_mask.clone(memory_format=lamina.contiguous_format)
        if count:
            chosen = t.abs().reshape(-1).topk(count, largest=False).indices
            mask.view(-1)[chosen] = 0
        return mask

    @classmethod
    def apply(cls, module: Module, name: str, amount: float, importance_scores: Tensor | None = None) -> Self:
        """See `prune.l1_unstructured`."""
        return super().apply(module, name, amount=amount, importance_scores=importance_scores)


class RandomStructured(BasePruningMethod):
    """Masks out slices at random."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        _check_amount(amount)
        self.amount, self.dim = amount, dim

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """`default_mask` without that many slices along `dim`."""
        _check_slices(t, self.dim)
        count = _count_to_prune(self.amount, t.shape[self.dim])
        if not count:
            return default_mask
        kept = lamina.rand(t.shape[self.dim]).topk(t.shape[self.dim] - count).indices
        return default_mask * _slices_mask(t, self.dim, kept).to(dtype=default_mask.dtype)

    @classmethod
    def apply(cls, module: Module, name: str, amount: float, dim: int = -1) -> Self:
        """See `prune.random_structured`."""
        return super().apply(module, name, amount=amount, dim=dim)


class LnStructured(BasePruningMethod):
    """Masks out the slices of the smallest n-norm."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, n: Any, dim: int = -1) -> None:
        _check_amount(amount)
        self.amount, self.n, self.dim = amount, n, dim

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """`default_mask` without that many slices along `dim`."""
        _check_slices(t, self.dim)
        count = _count_to_prune(self.amount, t.shape[self.dim])
        if not count:
            return default_mask
        dim = self.dim % t.dim()
        norms = lamina.norm(t, p=self.n, dim=[d for d in range(t.dim()) if d != dim])
        kept = norms.topk(t.shape[dim] - count, largest=True).indices
        return default_mask * _slices_mask(t, dim, kept).to(dtype=default_mask.dtype)

    @classmethod
    def apply(
        cls, module: Module, name: str, amount: float, n: Any, dim: int, importance_scores: Tensor | None = None
    ) -> Self:
        """See `prune.ln_structured`."""
        return super().apply(module, name, amount=amount, n=n, dim=dim, importance_scores=importance_scores)


class CustomFromMask(BasePruningMethod):
    """Masks out what a given mask says."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """`default_mask` times the given one."""
        if default_mask.shape != self.mask.shape:
            raise AssertionError(
                f"default_mask shape {default_mask.shape} must match self.mask shape {self.mask.shape}"
            )
        return default_mask * self.mask.to(dtype=default_mask.dtype)

    @classmethod
    def apply(cls, module: Module, name: str, mask: Tensor) -> Self:
        """See `prune.custom_from_mask`."""
        return super().apply(module, name, mask=mask)


def _check_amount(amount: Any) -> None:
    """Whether it is a count (an int, 0 or more) or a fraction (a float from 0 to 1)."""
    if not isinstance(amount, numbers.Real):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    if amount < 0 or (not isinstance(amount, numbers.Integral) and amount > 1.0):
        raise ValueError(f"amount={amount} should either be a float in the range [0, 1] or a non-negative integer")


def _count_to_prune(amount: Any, size: int) -> int:
    if not isinstance(amount, numbers.Integral):
        return round(amount * size)
    if amount > size:
        raise ValueError(f"amount={amount} should be smaller than the number of parameters to prune={size}")
    return amount


def _check_slices(t: Tensor, dim: int) -> None:
    if t.dim() <= 1:
        raise ValueError(
            "Structured pruning can only be applied to multidimensional tensors. "
            f"Found tensor of shape {t.shape} with {t.dim()} dims"
        )
    if not -t.dim() <= dim < t.dim():
        raise IndexError(f"Invalid index {dim} for tensor of size {t.shape}")


def _slices_mask(t: Tensor, dim: int, kept: Tensor) -> Tensor:
    """Ones in the slices `kept` along `dim`, zeros elsewhere."""
    mask = lamina.zeros_like(t)
    mask.index_fill_(dim % t.dim(), kept, 1)
    return mask
