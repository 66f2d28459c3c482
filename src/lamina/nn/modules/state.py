"""A module's state: `state_dict`, `load_state_dict`, and the hooks around them.

Here: `Stateful`, the part of `Module` that saves and loads. Not here: files (io/), pickling a module whole (module.py).
"""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Callable, Mapping
from typing import Any

import lamina
from lamina.core.explained import noted
from lamina.core.parameter import Parameter
from lamina.core.tensor import Tensor
from lamina.core.warn import warn
from lamina.nn.modules.hooks import hooks_of, own_hooks
from lamina.nn.modules.tree import Tree
from lamina.nn.parameter import is_lazy
from lamina.utils.hooks import RemovableHandle

EXTRA_STATE = _EXTRA_STATE_KEY_SUFFIX = "_extra_state"


class _IncompatibleKeys(namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """What `load_state_dict` found not to fit: names missing in the state, and names the module does not have."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()

    __str__ = __repr__


class _WrappedHook:
    """A load hook that is handed the module first, when it asked for it."""

    def __init__(self, hook: Callable[..., Any], module: Any = None) -> None:
        self.hook, self.module = hook, module
        self.with_module = module is not None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.with_module:
            return self.hook(self.module, *args, **kwargs)
        return self.hook(*args, **kwargs)


class _PostHook:
    """A public state-dict hook: it may change the dictionary and must return nothing."""

    def __init__(self, hook: Callable[..., Any]) -> None:
        self.hook = hook

    def __call__(self, *args: Any) -> None:
        if self.hook(*args) is not None:
            raise RuntimeError("state_dict post-hook must return None")


class Stateful(Tree):
    """The part of `Module` that is saved to and loaded from dictionaries of tensors."""

    _version: int = 1
    _non_persistent_buffers_set: set[str]

    def get_extra_state(self) -> Any:
        """What a subclass wants in its state_dict besides tensors; to be defined together with `set_extra_state`."""
        raise RuntimeError("Reached a code path in Module.get_extra_state() that should never be called.")

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` gave."""
        raise RuntimeError("Reached a code path in Module.set_extra_state() that should never be called.")

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before the state is collected."""
        return _added(own_hooks(self, "_state_dict_pre_hooks"), hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` after the state is collected, to change it."""
        return _added(own_hooks(self, "_state_dict_hooks"), _PostHook(hook))

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """The same, for a hook that may return a dictionary in place of the one it was given."""
        hooks = own_hooks(self, "_state_dict_hooks")
        if any(isinstance(other, _PostHook) and other.hook is hook for other in hooks.values()):
            raise RuntimeError(
                "Cannot register the same function as the state dict post hook that was previously registered via "
                "register_state_dict_post_hook"
            )
        return _added(hooks, hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, *args)` before `_load_from_state_dict(*args)`, to convert the state or report on it."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], with_module: bool = False
    ) -> RemovableHandle:
        """The same; without `with_module` the hook is not given the module."""
        wrapped = _WrappedHook(hook, self if with_module else None)
        return _added(own_hooks(self, "_load_state_dict_pre_hooks"), wrapped)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after loading; it may change the keys in place."""
        return _added(own_hooks(self, "_load_state_dict_post_hooks"), hook)

    def state_dict(
        self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Parameters and persistent buffers by dotted name: the tensors themselves, detached unless `keep_vars`."""
        if args:
            warn("Positional args are being deprecated, use kwargs instead.", category=FutureWarning)
            destination = args[0] if destination is None else destination
            prefix = args[1] if len(args) > 1 and prefix == "" else prefix
            keep_vars = args[2] if len(args) > 2 and keep_vars is False else keep_vars
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        local_metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local_metadata
        for hook in hooks_of(self, "_state_dict_pre_hooks").values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in hooks_of(self, "_state_dict_hooks").values():
            replaced = hook(self, destination, prefix, local_metadata)
            if replaced is not None:
                destination = replaced
        return destination

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Put the module's own state (not its children's) into `destination`. Subclasses may add to it."""
        for name, tensor in self._own_state().items():
            destination[prefix + name] = tensor if keep_vars else tensor.detach()
        if type(self).get_extra_state is not Stateful.get_extra_state:
            destination[prefix + EXTRA_STATE] = self.get_extra_state()

    def _own_state(self) -> dict[str, Any]:
        """The module's own parameters and persistent buffers that are not None."""
        persistent = (item for item in self._buffers.items() if item[0] not in self._non_persistent_buffers_set)
        return {name: value for name, value in (*self._parameters.items(), *persistent) if value is not None}

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Copy `state_dict` into parameters and buffers; with `assign`, put its tensors in their place instead.

        Returns the names that were missing and those not expected. Raises RuntimeError that lists all that does not
        fit: wrong shapes always, missing and unexpected names where `strict`.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        missing: list[str] = []
        unexpected: list[str] = []
        errors: list[str] = []
        metadata = getattr(state_dict, "_metadata", None)

        def load(module: Any, local: dict[str, Any], prefix: str) -> None:
            local_metadata = {} if metadata is None else metadata.get(prefix[:-1], {})
            if assign:
                local_metadata = {**local_metadata, "assign_to_params_buffers": True}
            module._load_from_state_dict(local, prefix, local_metadata, True, missing, unexpected, errors)
            for name, child in module._modules.items():
                if child is not None:
                    below = f"{prefix}{name}."
                    load(child, {k: v for k, v in local.items() if k.startswith(below)}, below)
            keys = _IncompatibleKeys(missing, unexpected)
            for hook in hooks_of(module, "_load_state_dict_post_hooks").values():
                if hook(module, keys) is not None:
                    raise AssertionError(
                        "Hooks registered with ``register_load_state_dict_post_hook`` are not expected to return new "
                        "values, if incompatible_keys need to be modified, it should be done inplace."
                    )

        load(self, OrderedDict(state_dict), "")
        if strict:
            for what, names in (("Unexpected", unexpected), ("Missing", missing)):
                if names:
                    quoted = ", ".join(f'"{name}"' for name in names)
                    errors.insert(0, f"{what} key(s) in state_dict: {quoted}. ")
        if errors:
            listed = "\n\t".join(errors)
            raise noted(
                RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t{listed}"),
                ("fix", _renaming(missing, unexpected)),
            )
        return _IncompatibleKeys(missing, unexpected)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load the module's own state (not its children's). Subclasses may convert older versions of it first."""
        for hook in hooks_of(self, "_load_state_dict_pre_hooks").values():
            hook(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        assign = local_metadata.get("assign_to_params_buffers", False)
        own = self._own_state()
        for name, param in own.items():
            key = prefix + name
            if key in state_dict:
                error = _load_tensor(self, name, param, key, state_dict[key], assign)
                if error is not None:
                    error_msgs.append(error)
            elif strict:
                missing_keys.append(key)
        extra_key = prefix + EXTRA_STATE
        if type(self).set_extra_state is not Stateful.set_extra_state:
            if extra_key in state_dict:
                self.set_extra_state(state_dict[extra_key])
            elif strict:
                missing_keys.append(extra_key)
        elif strict and extra_key in state_dict:
            unexpected_keys.append(extra_key)
        if strict:
            for key in state_dict:
                if key.startswith(prefix) and key != extra_key:
                    name, dot, _ = key[len(prefix) :].partition(".")
                    if name not in (self._modules if dot else own):
                        unexpected_keys.append(key)


def _added(hooks: OrderedDict[int, Any], hook: Callable[..., Any]) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


@lamina.no_grad()
def _load_tensor(module: Any, name: str, param: Any, key: str, value: Any, assign: bool) -> str | None:
    """Copy (or assign) `value` to `module`'s `name`; returns what does not fit, in words."""
    if not isinstance(value, Tensor):
        return (
            f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object from checkpoint '
            f"but received {type(value)}"
        )
    lazy = is_lazy(param)
    if not lazy and param.dim() == 0 and value.dim() == 1:
        value = value[0]  # files from before 0-d tensors hold one element
    if not lazy and value.shape != param.shape:
        return (
            f"size mismatch for {key}: copying a param with shape {value.shape} from checkpoint, the shape in current "
            f"model is {param.shape}."
        )
    if not lazy and param.is_meta and not value.is_meta and not assign:
        warn(
            f"for {key}: copying from a non-meta parameter in the checkpoint to a meta parameter in the current model, "
            "which is a no-op. (Did you mean to pass `assign=True` to assign items in the state dictionary to their "
            "corresponding key in the module instead of copying them in place?)",
        )
    try:
        if not assign:
            param.copy_(value)
            return None
        if isinstance(param, Parameter):
            if isinstance(value, Parameter):
                value.requires_grad_(param.requires_grad)
            else:
                value = Parameter(value, requires_grad=param.requires_grad)
        setattr(module, name, value)
        return None
    except Exception as error:  # one message for all that goes wrong in copying
        return (
            f'While copying the parameter named "{key}", whose dimensions in the model are {param.size()} and whose '
            f"dimensions in the checkpoint are {value.size()}, an exception occurred : {error.args}."
        )


def _renaming(missing: list[str], unexpected: list[str]) -> str:
    """What makes the names fit, where they differ by a prefix alone (as of a model that was saved inside a wrapper)."""
    for names, others, fix in (
        (missing, unexpected, "{{k.removeprefix({!r}): v for k, v in state_dict.items()}}"),
        (unexpected, missing, "{{{!r} + k: v for k, v in state_dict.items()}}"),
    ):
        if names and others and others[0].endswith("." + names[0]):
            prefix = others[0].removesuffix(names[0])
            if sorted(prefix + name for name in names) == sorted(others):
                return fix.format(prefix)
    return ""
