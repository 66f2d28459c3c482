"""Weight normalisation by a forward pre-hook: the old form. The new one is in parametrizations.py."""

from __future__ import annotations

from typing import Any

from lamina.core.parameter import Parameter
from lamina.core.tensor import Tensor
from lamina.core.warn import warn
from lamina.nn.modules.module import Module
from lamina.nn.parameter import is_lazy
from lamina.primitives import fused

__all__ = ["WeightNorm", "norm_except_dim", "remove_weight_norm", "scaled_direction", "weight_norm"]


def norm_except_dim(v: Tensor, dim: int = -1) -> Tensor:
    """The 2-norm over all dimensions but `dim`, kept as size 1; for -1 over all, as a 0-d tensor."""
    if dim == -1:
        return v.norm()
    v.size(dim)  # raises IndexError where there is no such dimension
    others = tuple(d for d in range(v.dim()) if d != dim % v.dim())
    return v.norm(2, others, keepdim=True) if others else v.abs()


@fused("WeightNormInterface")
def _scaled_slices(v: Tensor, g: Tensor, dim: int) -> Tensor:
    return v * (g / norm_except_dim(v, dim))


def scaled_direction(v: Tensor, g: Tensor, dim: int) -> Tensor:
    """g * v / |v|, the norm being that of each slice along `dim` (-1: of the whole)."""
    if dim in (0, v.dim() - 1):
        return _scaled_slices(v, g, dim)
    return v * (g / norm_except_dim(v, dim))


class WeightNorm:
    """The pre-hook: it makes the weight from its two parts before each forward."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = -1 if dim is None else dim

    def compute_weight(self, module: Module) -> Tensor:
        """The weight of magnitude `<name>_g` and direction `<name>_v`."""
        return scaled_direction(getattr(module, self.name + "_v"), getattr(module, self.name + "_g"), self.dim)

    @staticmethod
    def apply(module: Module, name: str, dim: int | None) -> WeightNorm:
        """Replace the parameter `name` by its two parts. Raises RuntimeError where that is done already."""
        if any(isinstance(hook, WeightNorm) and hook.name == name for hook in module._forward_pre_hooks.values()):
            raise RuntimeError(f"Cannot register two weight_norm hooks on the same parameter {name}")
        self = WeightNorm(name, dim)
        weight = getattr(module, name)
        if is_lazy(weight):
            raise ValueError(
                "The module passed to `WeightNorm` can't have uninitialized parameters. "
                "Make sure to run the dummy forward before applying weight normalization"
            )
        magnitude = norm_except_dim(weight, self.dim)
        del module._parameters[name]
        module.register_parameter(name + "_g", Parameter(magnitude.data))
        module.register_parameter(name + "_v", Parameter(weight.data))
        setattr(module, name, self.compute_weight(module))
        module.register_forward_pre_hook(self)
        return self

    def remove(self, module: Module) -> None:
        """Make the weight one parameter again."""
        weight = self.compute_weight(module)
        delattr(module, self.name)
        del module._parameters[self.name + "_g"]
        del module._parameters[self.name + "_v"]
        setattr(module, self.name, Parameter(weight.data))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Reparametrize `module`'s `name` as magnitude (`<name>_g`, one per slice of `dim`) and direction (`<name>_v`)."""
    warn(
        "`torch.nn.utils.weight_norm` is deprecated in favor of `torch.nn.utils.parametrizations.weight_norm`.",
        category=FutureWarning,
    )
    WeightNorm.apply(module, name, dim)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Undo `weight_norm`. Raises ValueError where it was not done."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, WeightNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"weight_norm of '{name}' not found in {module}")
