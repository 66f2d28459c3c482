"""Converting the weights of convolutions to a memory format."""

from __future__ import annotations

from typing import Any

from lamina.nn.modules.module import Module

__all__ = ["convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format"]


def convert_conv2d_weight_memory_format(module: Module, memory_format: Any) -> Module:
    """Lay out the weight of each 2-d convolution in `module` in that format, in place; the other members stay."""
    return _convert(module, memory_format, dims=2)


def convert_conv3d_weight_memory_format(module: Module, memory_format: Any) -> Module:
    """Lay out the weight of each 3-d convolution in `module` in that format, in place; the other members stay."""
    return _convert(module, memory_format, dims=3)


def _convert(module: Module, memory_format: Any, dims: int) -> Module:
    for each in module.modules():
        # a convolution is known by what it has: the layers' file is above this one
        if hasattr(each, "transposed") and len(each.kernel_size) == dims:
            weight = each.weight
            weight.data = weight.detach().clone(memory_format=memory_format)
    return module
