"""prelu and hardshrink: the activations that are methods of a Tensor too. The others: nn/functional/rectifier.py."""

from __future__ import annotations

from lamina.core.tensor import Tensor
from lamina.primitives.elementwise import where_
from lamina.primitives.kernels.select import select
from lamina.primitives.registry import elementwise
from lamina.primitives.signature import not_implemented, not_tensor, parsed, scalar_name

prelu_ = elementwise(
    "prelu_kernel", lambda x, y: select(x > 0, x, x * y),
    grads=(lambda g, x, y: where_(x > 0, g, g * y), lambda g, x: where_(x > 0, 0.0, g * x)),
    emit=lambda b, x, y: b.select(b.gt(x, 0.0), x, b.mul(x, y)))  # fmt: skip

hardshrink_ = elementwise(
    "hardshrink", lambda x, y: select((x >= -y) & (x <= y), 0.0, x),
    grads=(lambda g, x, y: where_((x >= -y) & (x <= y), 0.0, g), None),
    emit=lambda b, x, y: b.select(b.and_(b.ge(x, b.neg(y)), b.le(x, y)), 0.0, x), number="Hardshrink")  # fmt: skip


@parsed
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """`input` where positive, `weight * input` elsewhere; one weight for all, or one per channel (dimension 1).

    Raises RuntimeError if the number of weights is neither 1 nor the number of channels, or the types differ.
    """
    if not isinstance(weight, Tensor):
        raise not_tensor("prelu", "weight", 2, weight)
    x, w, kinds = input._array, weight._array, (input._kind.dtype, weight._kind.dtype)
    if kinds[0] is not kinds[1]:
        raise RuntimeError(f"prelu: Type promoting not supported. Got {' and '.join(map(scalar_name, kinds))}")
    if kinds[0].category != 2:
        raise not_implemented("prelu_cpu", kinds[0])
    if w.size != 1:
        if not x.ndim:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = x.shape[1] if x.ndim >= 2 else 1
        if channels != w.size:
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. "
                f"Found parameter numbers = {w.size} and channel size = {channels}."
            )
    if w.ndim > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {w.ndim}")
    shape = (1, w.size, *(1,) * (x.ndim - 2)) if x.ndim >= 2 else (1,) * x.ndim
    return prelu_(input, weight if w.shape == shape else weight.view(shape))  # type: ignore[no-any-return]


@parsed
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """`input` outside [-lambd, lambd], 0 inside."""
    if input._kind.category != 2:
        raise not_implemented("hardshrink_cpu", input._kind.dtype)
    return hardshrink_(input, lambd)  # type: ignore[no-any-return]
