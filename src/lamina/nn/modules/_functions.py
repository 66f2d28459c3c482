"""Autograd functions that modules need for themselves: the identity whose node carries a module's backward hooks."""

from __future__ import annotations

from typing import Any

import lamina


class BackwardHookFunction(lamina.autograd.Function):
    """Its arguments again, behind one node: where a module's gradients can be seen and replaced together."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> tuple[Any, ...]:
        ctx.mark_non_differentiable(*(arg for arg in args if not arg.requires_grad))
        return args

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        return grads
