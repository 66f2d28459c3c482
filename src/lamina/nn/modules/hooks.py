"""Hooks on modules: the global and per-module registries, and the call that runs them.

Here: `register_*_hook`, for every module and for one, and `Hooked`, the part of `Module` that owns its hooks. Not
here: a call without hooks (module.py), what happens in backward (_backward_hook.py), state-dict hooks (state.py).

A module's hook dictionaries are made when somebody first asks for them (`own_hooks`): that a module has none is then
one lookup per call, and most modules never have any.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from lamina.core.tensor import Tensor
from lamina.core.warn import warn
from lamina.nn.modules._backward_hook import BackwardHook
from lamina.utils.hooks import RemovableHandle

Hook = Callable[..., Any]
Hooks = OrderedDict[int, Hook]

CALL_HOOKS = (
    "_backward_pre_hooks",
    "_backward_hooks",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
)
STATE_HOOKS = (
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)
OWN_HOOKS = frozenset((*CALL_HOOKS, *STATE_HOOKS))


def own_hooks(module: Any, name: str) -> Hooks:
    """The dictionary `name` of `module`'s hooks; the first time, makes it together with its family."""
    state = module.__dict__
    if name not in state:
        for each in CALL_HOOKS if name in CALL_HOOKS else STATE_HOOKS:
            state.setdefault(each, OrderedDict())
    hooks: Hooks = state[name]
    return hooks


def hooks_of(module: Any, name: str) -> Hooks:
    """The same to read: nothing is made where there is none."""
    return module.__dict__.get(name, _NONE)


_NONE: Hooks = OrderedDict()


def drop_empty_hooks(module: Any) -> None:
    """Forget each family of `module`'s dictionaries that holds no hook (compiled modules keep the call's)."""
    state = module.__dict__
    for family in (CALL_HOOKS, STATE_HOOKS):
        if any(state.get(name) for name in family):
            for name in family:
                state.setdefault(name, OrderedDict())
        elif family is STATE_HOOKS or module._compiled_call_impl is None:
            for name in family:
                state.pop(name, None)


_global_backward_pre_hooks: Hooks = OrderedDict()
_global_backward_hooks: Hooks = OrderedDict()
_global_forward_pre_hooks: Hooks = OrderedDict()
_global_forward_hooks: Hooks = OrderedDict()
_global_forward_hooks_with_kwargs: OrderedDict[int, bool] = OrderedDict()
_global_forward_hooks_always_called: OrderedDict[int, bool] = OrderedDict()
_global_buffer_registration_hooks: Hooks = OrderedDict()
_global_module_registration_hooks: Hooks = OrderedDict()
_global_parameter_registration_hooks: Hooks = OrderedDict()
_global_is_full_backward_hook: bool | None = None

any_global_hook: OrderedDict[int, bool] = OrderedDict()  # the ids of the global hooks that a call must run


def _register(hooks: Hooks, hook: Hook, *flags: OrderedDict[int, bool], prepend: bool = False) -> RemovableHandle:
    """Put `hook` into `hooks` and its id into each of `flags`; the handle takes out all of these."""
    handle = RemovableHandle(hooks, extra_dict=list(flags))
    hooks[handle.id] = hook
    for flag in flags:
        flag[handle.id] = True
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def register_module_buffer_registration_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, name, buffer)` at every registration of a buffer.

    What it returns (not None) takes its place.
    """
    return _register(_global_buffer_registration_hooks, hook)


def register_module_module_registration_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, name, submodule)` at every registration of a submodule; what it returns takes its place."""
    return _register(_global_module_registration_hooks, hook)


def register_module_parameter_registration_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, name, param)` at every registration of a parameter; what it returns takes its place."""
    return _register(_global_parameter_registration_hooks, hook)


def register_module_forward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, args)` before every module's forward; what it returns (not None) becomes the arguments."""
    return _register(_global_forward_pre_hooks, hook, any_global_hook)


def register_module_forward_hook(
    hook: Hook, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call `hook(module, args, output)` after every module's forward; what it returns (not None) becomes the output.

    With `with_kwargs` it is `hook(module, args, kwargs, output)`; with `always_call` it is also called when forward
    raised.
    """
    flags = [any_global_hook]
    if with_kwargs:
        flags.append(_global_forward_hooks_with_kwargs)
    if always_call:
        flags.append(_global_forward_hooks_always_called)
    return _register(_global_forward_hooks, hook, *flags)


def register_module_backward_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` of the last node of every module: the old kind, see the full one."""
    _choose_global_kind(full=False)
    return _register(_global_backward_hooks, hook, any_global_hook)


def register_module_full_backward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, grad_output)` when the gradients of any module's outputs are known; it may replace them."""
    return _register(_global_backward_pre_hooks, hook, any_global_hook)


def register_module_full_backward_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` when the gradients of any module's inputs are known.

    May replace them.
    """
    _choose_global_kind(full=True)
    return _register(_global_backward_hooks, hook, any_global_hook)


def _choose_global_kind(full: bool) -> None:
    global _global_is_full_backward_hook
    if _global_is_full_backward_hook is (not full):
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a global Module hook. "
            "Please use only one of them."
        )
    _global_is_full_backward_hook = full


def run_registration_hooks(hooks: Hooks, module: Any, name: str, value: Any) -> Any:
    """`value`, or what the global registration `hooks` put in its place."""
    for hook in hooks.values():
        replaced = hook(module, name, value)
        if replaced is not None:
            value = replaced
    return value


class Hooked:
    """The part of `Module` that owns hooks and runs a call with them."""

    _is_full_backward_hook: bool | None = None
    _compiled_call_impl: Callable[..., Any] | None = None
    forward: Callable[..., Any]

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before each forward; what it returns (not None) becomes the arguments.

        With `with_kwargs` it is `hook(module, args, kwargs)` and returns None or both. `prepend`: before the hooks
        already there.
        """
        flags = (own_hooks(self, "_forward_pre_hooks_with_kwargs"),) if with_kwargs else ()
        return _register(own_hooks(self, "_forward_pre_hooks"), hook, *flags, prepend=prepend)

    def register_forward_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after each forward; what it returns (not None) becomes the output.

        With `with_kwargs` it is `hook(module, args, kwargs, output)`; with `always_call` it is also called when
        forward raised.
        """
        flags = []
        if with_kwargs:
            flags.append(own_hooks(self, "_forward_hooks_with_kwargs"))
        if always_call:
            flags.append(own_hooks(self, "_forward_hooks_always_called"))
        return _register(own_hooks(self, "_forward_hooks"), hook, *flags, prepend=prepend)

    def register_backward_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` of the last node of the output.

        The old kind: it sees one node only. Use `register_full_backward_hook`.
        """
        self._choose_kind(full=False)
        return _register(own_hooks(self, "_backward_hooks"), hook)

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` when the gradients of the outputs are known; it may return others."""
        return _register(own_hooks(self, "_backward_pre_hooks"), hook, prepend=prepend)

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when the gradients of the inputs are known.

        It may return others.
        """
        self._choose_kind(full=True)
        return _register(own_hooks(self, "_backward_hooks"), hook, prepend=prepend)

    def _choose_kind(self, full: bool) -> None:
        if self._is_full_backward_hook is (not full):
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a single Module. "
                "Please use only one of them."
            )
        self._is_full_backward_hook = full

    def _get_backward_hooks(self) -> tuple[list[Hook], list[Hook]]:
        """The full backward hooks and the old ones, global before own."""
        full: list[Hook] = []
        old: list[Hook] = []
        for kind, hooks in (
            (_global_is_full_backward_hook, _global_backward_hooks),
            (self._is_full_backward_hook, hooks_of(self, "_backward_hooks")),
        ):
            (full if kind else old).extend(hooks.values())
        return full, old

    def _get_backward_pre_hooks(self) -> list[Hook]:
        return [*_global_backward_pre_hooks.values(), *hooks_of(self, "_backward_pre_hooks").values()]

    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        """forward with all hooks around it."""
        call = HookedCall(self, args, kwargs)
        try:
            return call.run()
        except Exception:
            call.run_always_called()
            raise


class HookedCall:
    """One call of a module with hooks: its arguments and result as the hooks leave them."""

    def __init__(self, module: Hooked, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.module, self.args, self.kwargs = module, args, kwargs
        self.result: Any = None
        self.called: set[int] = set()  # forward hooks that have had their turn

    def run(self) -> Any:
        module = self.module
        self._run_pre_hooks()
        full, old = module._get_backward_hooks()
        pre = module._get_backward_pre_hooks()
        backward = None
        if full or pre:
            backward = BackwardHook(module, full, pre)
            self.args = backward.setup_input_hook(self.args)
        self.result = module.forward(*self.args, **self.kwargs)
        for key, hook, with_kwargs, _ in self._forward_hooks():
            self.called.add(key)
            self._run_forward_hook(hook, with_kwargs)
        if backward is not None:
            if not isinstance(self.result, (Tensor, tuple)):
                warn(
                    "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors"
                    f" but received {type(self.result)}",
                )
            self.result = backward.setup_output_hook(self.result)
        if old:
            register_on_last_node(module, old, self.args, self.result)
        return self.result

    def _run_pre_hooks(self) -> None:
        for hook in (*_global_forward_pre_hooks.values(),):  # a copy: a hook may remove itself
            self._set_args(hook(self.module, self.args))
        with_kwargs = hooks_of(self.module, "_forward_pre_hooks_with_kwargs")
        for key, hook in (*hooks_of(self.module, "_forward_pre_hooks").items(),):
            if key not in with_kwargs:
                self._set_args(hook(self.module, self.args))
                continue
            both = hook(self.module, self.args, self.kwargs)
            if both is None:
                continue
            if not (isinstance(both, tuple) and len(both) == 2):
                raise RuntimeError(
                    f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {both}."
                )
            self.args, self.kwargs = both

    def _set_args(self, replaced: Any) -> None:
        if replaced is not None:
            self.args = replaced if isinstance(replaced, tuple) else (replaced,)

    def _forward_hooks(self) -> Iterator[tuple[int, Hook, bool, bool]]:
        """Each forward hook with its id, whether it takes kwargs, and whether it is always called."""
        for hooks, with_kwargs, always in (
            (_global_forward_hooks, _global_forward_hooks_with_kwargs, _global_forward_hooks_always_called),
            (
                hooks_of(self.module, "_forward_hooks"),
                hooks_of(self.module, "_forward_hooks_with_kwargs"),
                hooks_of(self.module, "_forward_hooks_always_called"),
            ),
        ):
            for key, hook in (*hooks.items(),):
                yield key, hook, key in with_kwargs, key in always

    def _run_forward_hook(self, hook: Hook, with_kwargs: bool) -> None:
        if with_kwargs:
            replaced = hook(self.module, self.args, self.kwargs, self.result)
        else:
            replaced = hook(self.module, self.args, self.result)
        if replaced is not None:
            self.result = replaced

    def run_always_called(self) -> None:
        """After an exception: the hooks that wish to be called all the same and have not been."""
        for key, hook, with_kwargs, always in self._forward_hooks():
            if always and key not in self.called:
                try:
                    self._run_forward_hook(hook, with_kwargs)
                except Exception as error:
                    whose = "global module" if key in _global_forward_hooks else "module"
                    warn(
                        f"{whose} forward hook with ``always_call=True`` raised an exception that was silenced as "
                        f"another error was raised in forward: {error}",
                    )


def register_on_last_node(module: Hooked, hooks: list[Hook], inputs: Any, result: Any) -> None:
    """Put backward hooks of the old kind on the node of the (first) tensor in `result`, and warn of what they miss."""
    tensor = result
    while not isinstance(tensor, Tensor):
        if isinstance(tensor, dict):
            tensor = next(value for value in tensor.values() if isinstance(value, Tensor))
        else:
            tensor = tensor[0]
    node = tensor.grad_fn
    if node is None:
        return
    for hook in hooks:
        node.register_hook(functools.wraps(hook)(functools.partial(hook, module)))
    missing = _missed_by_old_hooks(inputs, result, node)
    if missing:
        warn(
            f"{missing} Please use register_full_backward_hook to get the documented behavior.",
            category=FutureWarning,
        )


def _missed_by_old_hooks(inputs: Any, result: Any, node: Any) -> str | None:
    deprecated = "is deprecated and will be removed in future versions. This hook will be missing some"
    for what, grads, values in (
        ("that does not return a single Tensor or a tuple of Tensors", "of the grad_output", result),
        ("that does not take as input a single Tensor or a tuple of Tensors", "of the grad_input", inputs),
    ):
        if not (
            isinstance(values, Tensor) or (isinstance(values, tuple) and all(isinstance(v, Tensor) for v in values))
        ):
            return f"Using non-full backward hooks on a Module {what} {deprecated} {grads}."
    if isinstance(result, tuple) and any(t.grad_fn is not node for t in result):
        return (
            "Using a non-full backward hook when outputs are generated by different autograd Nodes "
            f"{deprecated} grad_output."
        )
    sources = {t.grad_fn for t in ((inputs,) if isinstance(inputs, Tensor) else inputs) if t.grad_fn is not None}
    if {edge[0] for edge in node.next_functions} != sources:
        return (
            f"Using a non-full backward hook when the forward contains multiple autograd Nodes {deprecated} grad_input."
        )
    return None
