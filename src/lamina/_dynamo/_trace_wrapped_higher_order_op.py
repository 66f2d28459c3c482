"""`torch._dynamo._trace_wrapped_higher_order_op`: a context that masks written for `vmap` are built in.

Not here: how an index that is a tensor is read under `vmap` (primitives/indexing.py): always as the context asks for.
"""

import contextlib

__all__ = ["TransformGetItemToIndex"]


class TransformGetItemToIndex(contextlib.nullcontext[None]):
    """Without effect: `x[i]` with a tensor `i` is an index under `vmap` in any case."""

    def __init__(self) -> None:
        super().__init__()
