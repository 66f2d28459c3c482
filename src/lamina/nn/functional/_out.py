"""`out=`: writing a composite's result where the caller wants it."""

from __future__ import annotations

import lamina
from lamina.core.tensor import Tensor


def write_out(result: Tensor, out: Tensor | None) -> Tensor:
    """`result` itself, or `out` holding it: resized if its shape differs, as PyTorch does.

    Raises RuntimeError if gradients are asked for, or the result's type cannot be cast to that of `out`.
    """
    if out is None:
        return result
    if lamina.is_grad_enabled() and (result.requires_grad or out.requires_grad):
        raise RuntimeError(
            "functions with out=... arguments don't support automatic differentiation, "
            "but one of the arguments requires grad."
        )
    if not lamina.can_cast(result.dtype, out.dtype):
        source, target = (t.type().removeprefix("torch.").removesuffix("Tensor") for t in (result, out))
        raise RuntimeError(f"result type {source} can't be cast to the desired output type {target}")
    if out.shape != result.shape:
        out.resize_(result.shape)
    return out.copy_(result)
