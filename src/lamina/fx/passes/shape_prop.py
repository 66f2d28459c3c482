"""What each value of a graph looks like: shape, dtype, strides; noted in `node.meta` by running it once."""

from __future__ import annotations

from typing import Any, NamedTuple

import lamina
from lamina.fx.interpreter import Interpreter
from lamina.fx.node import Node, map_aggregate


class TensorMetadata(NamedTuple):
    """What is known of a tensor without its values."""

    shape: lamina.Size
    dtype: lamina.dtype
    requires_grad: bool
    stride: tuple[int, ...]
    memory_format: Any
    is_quantized: bool
    qparams: dict[str, Any]


def _extract_tensor_metadata(result: lamina.Tensor, include_contiguity: bool = True) -> TensorMetadata:
    formats = (lamina.contiguous_format, lamina.channels_last, lamina.channels_last_3d)
    found = next((f for f in formats if result.is_contiguous(memory_format=f)), None) if include_contiguity else None
    return TensorMetadata(result.shape, result.dtype, result.requires_grad, result.stride(), found, False, {})


class ShapeProp(Interpreter):
    """Runs a graph and notes in `meta["tensor_meta"]` and `meta["type"]` what each node gave."""

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        tensors: list[Any] = []

        def looked_at(v: Any) -> Any:
            if not isinstance(v, lamina.Tensor):
                return v
            tensors.append(v)
            return _extract_tensor_metadata(v)

        described = map_aggregate(result, looked_at)
        if tensors:
            n.meta["tensor_meta"] = described
        n.meta["type"] = type(result)
        return result

    def propagate(self, *args: Any) -> Any:
        """Run on these arguments. Returns the result."""
        return super().run(*args)
