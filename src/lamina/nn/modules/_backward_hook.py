"""Full backward hooks: two identity nodes, around a module's inputs and its outputs, that show its gradients together.

Here: one call's pair of nodes. Not here: registering hooks and running a call (hooks.py), the identity itself
(_functions.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.core.warn import warn
from lamina.nn.modules._functions import BackwardHookFunction

Grads = tuple[Any, ...]


class BackwardHook:
    """The backward hooks of one call of `module`.

    The output's node runs first, in backward: it keeps the gradients of the outputs (after the pre-hooks). The inputs'
    node runs last: it hands both to the user's hooks. Where no input needs a gradient there is no such node, and the
    first does it all.
    """

    def __init__(
        self, module: Any, user_hooks: Sequence[Callable[..., Any]], user_pre_hooks: Sequence[Callable[..., Any]]
    ):
        self.module = module
        self.user_hooks = user_hooks
        self.user_pre_hooks = user_pre_hooks
        self.grad_outputs: Grads | None = None
        self.inputs: tuple[int, list[int]] | None = None  # how many arguments, and which of them are in the graph
        self.n_inputs = 0
        self.outputs: tuple[int, list[int]] = (0, [])

    def setup_input_hook(self, args: Grads) -> Grads:
        """`args`, those in the graph seen through the identity."""
        self.n_inputs = len(args)
        args, self.inputs = _behind_identity(args, self._at_inputs)
        return args

    def setup_output_hook(self, result: Any) -> Any:
        """`result`, a tensor or a tuple, with its tensors seen through the identity."""
        single = not isinstance(result, tuple)
        results, outputs = _behind_identity((result,) if single else result, self._at_outputs)
        if outputs is not None:
            self.outputs = outputs
        return results[0] if single else results

    def _at_outputs(self, _: Grads, grads: Grads) -> Grads | None:
        self.grad_outputs = _spread(grads, *self.outputs)
        for pre_hook in self.user_pre_hooks:
            replaced = pre_hook(self.module, self.grad_outputs)
            if replaced is not None:
                self.grad_outputs = _same_length(replaced, self.grad_outputs, "Backward pre hook", "grad_output")
        passed_on = self.grad_outputs
        if self.inputs is None and self.user_hooks:
            self._without_inputs(passed_on)
        return tuple(passed_on[i] for i in self.outputs[1]) if self.user_pre_hooks else None

    def _without_inputs(self, grad_outputs: Grads) -> None:
        warn(
            "Full backward hook is firing when gradients are computed with respect to module outputs since no inputs "
            "require gradients. See https://docs.pytorch.org/docs/main/generated/torch.nn.Module.html"
            "#torch.nn.Module.register_full_backward_hook for more details.",
        )
        nothing = (None,) * self.n_inputs
        for hook in self.user_hooks:
            replaced = hook(self.module, nothing, grad_outputs)
            if replaced is not None and not (isinstance(replaced, tuple) and all(g is None for g in replaced)):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always return None or None for "
                    "all gradients."
                )
        self.grad_outputs = None

    def _at_inputs(self, grads: Grads, _: Grads) -> Grads | None:
        if self.grad_outputs is None:  # the gradient came by another way than the module's outputs
            return None
        assert self.inputs is not None
        grad_inputs = _spread(grads, *self.inputs)
        for hook in self.user_hooks:
            replaced = hook(self.module, grad_inputs, self.grad_outputs)
            if replaced is not None:
                grad_inputs = _same_length(replaced, grad_inputs, "Backward hook", "grad_input")
        self.grad_outputs = None
        return tuple(grad_inputs[i] for i in self.inputs[1])


def _behind_identity(
    values: Grads, hook: Callable[[Grads, Grads], Grads | None]
) -> tuple[Grads, tuple[int, list[int]] | None]:
    """`values` with their tensors behind one identity node that runs `hook`; and where those tensors are."""
    where = [i for i, value in enumerate(values) if isinstance(value, Tensor)]
    if not (lamina.is_grad_enabled() and any(values[i].requires_grad for i in where)):
        return values, None
    seen = BackwardHookFunction.apply(*(values[i] for i in where))
    node = next(t.grad_fn for t in seen if t.grad_fn is not None)
    node.register_hook(hook)
    changed = list(values)
    for i, tensor in zip(where, seen, strict=True):
        changed[i] = tensor
    return _rebuilt(values, changed), (len(values), where)


def _rebuilt(like: Grads, values: list[Any]) -> Grads:
    """`values` as a tuple of the class of `like`: named tuples stay named."""
    return type(like)._make(values) if hasattr(like, "_make") else tuple(values)


def _spread(grads: Grads, length: int, where: list[int]) -> Grads:
    """`grads` at the places `where` of a tuple that has None elsewhere."""
    spread: list[Any] = [None] * length
    for i, grad in zip(where, grads, strict=True):
        spread[i] = grad
    return tuple(spread)


def _same_length(replaced: Any, grads: Grads, who: str, what: str) -> Any:
    if len(replaced) != len(grads):
        raise RuntimeError(
            f"{who} returned an invalid number of {what}, got {len(replaced)}, but expected {len(grads)}"
        )
    return replaced
