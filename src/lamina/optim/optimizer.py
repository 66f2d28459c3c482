"""The base class of all optimizers: parameter groups, state, hooks, saving and loading.

No update rule lives here (one file each beside this one); what the rules share is in _support.py.
"""

import functools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any, ClassVar, TypeAlias

import lamina
from lamina.autograd.errors import maker_of
from lamina.autograd.leaves import forgotten
from lamina.core.explained import noted, where
from lamina.core.tensor import Tensor
from lamina.core.warn import warn
from lamina.optim._extension_names import (
    _capturable_doc,
    _default_to_fused_or_foreach,
    _differentiable_doc,
    _disable_dynamo_if_unsupported,
    _foreach_doc,
    _fused_doc,
    _get_foreach_kernels_supported_devices,
    _get_fused_kernels_supported_devices,
    _maximize_doc,
    _params_doc,
    _stack_if_compiling,
)
from lamina.optim._hooks import (
    _global_optimizer_post_hooks,
    _global_optimizer_pre_hooks,
    register,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from lamina.optim._support import (
    Args,
    Kwargs,
    ParamsT,
    StateDict,
    _get_capturable_supported_devices,
    _get_scalar_dtype,
    _get_value,
    _RequiredParameter,
    _to_scalar,
    _use_grad_for_differentiable,
    _view_as_real,
    params_t,
    required,
    scalar_state,
)
from lamina.utils.hooks import RemovableHandle

__all__ = [
    "Optimizer",
    "ParamsT",
    "_RequiredParameter",
    "_capturable_doc",
    "_default_to_fused_or_foreach",
    "_differentiable_doc",
    "_disable_dynamo_if_unsupported",
    "_foreach_doc",
    "_fused_doc",
    "_get_foreach_kernels_supported_devices",
    "_get_fused_kernels_supported_devices",
    "_maximize_doc",
    "_params_doc",
    "_stack_if_compiling",
    "_get_capturable_supported_devices",
    "_get_scalar_dtype",
    "_get_value",
    "_to_scalar",
    "_use_grad_for_differentiable",
    "_view_as_real",
    "params_t",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
    "required",
]

_HOOKS = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)


class Optimizer:
    """Base class of all optimizers.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize; dicts are parameter groups with options of their own.
    defaults : dict
        The options a group takes that does not give them.

    Raises
    ------
    TypeError, ValueError
        If `params` is a single tensor, empty, unordered, or holds something else than leaf tensors.
    """

    OptimizerPreHook: TypeAlias = Callable[["Optimizer", Args, Kwargs], tuple[Args, Kwargs] | None]
    OptimizerPostHook: TypeAlias = Callable[["Optimizer", Args, Kwargs], None]

    # Options that old checkpoints lack, and states that they hold as numbers.
    _late_options: ClassVar[dict[str, Any]] = {}
    _scalar_states: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        for name in _HOOKS:
            setattr(self, name, OrderedDict())
        self._patch_step_function()

        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                f"but got {params.type()}"
            )
        self.state: defaultdict[Tensor, Any] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups: list[Any] = list(params)
        if not groups:
            raise noted(
                ValueError("optimizer got an empty parameter list"),
                ("perhaps", "a generator such as model.parameters() was gone through before: it gives its items once"),
                ("perhaps", "layers are kept in a plain list or dict: use nn.ModuleList or nn.ModuleDict"),
            )
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name in _HOOKS:
            self.__dict__.setdefault(name, OrderedDict())
        self._patch_step_function()
        self.defaults.setdefault("differentiable", False)
        for group in self.param_groups:
            for option, value in self._late_options.items():
                group.setdefault(option, value)
        for values in self.state.values():
            for name in self._scalar_states:
                if isinstance(values, dict) and name in values and not isinstance(values[name], Tensor):
                    values[name] = scalar_state(values[name])

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines += ["", f"Parameter Group {i}"] if i else [f"Parameter Group {i}"]
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])

    # ---- step and its hooks ----------------------------------------------------------------------------------

    @staticmethod
    def profile_hook_step(func: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a `step` function so that the hooks run around it."""

        @functools.wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self = args[0]
            if self._optimizer_step_pre_hooks or _global_optimizer_pre_hooks:
                for hook in (*_global_optimizer_pre_hooks.values(), *self._optimizer_step_pre_hooks.values()):
                    result = hook(self, args, kwargs)
                    if result is None:
                        continue
                    if not (isinstance(result, tuple) and len(result) == 2):
                        raise RuntimeError(
                            f"{func} must return None or a tuple of (new_args, new_kwargs), but got {result}."
                        )
                    args, kwargs = result
            out = func(*args, **kwargs)
            if self._optimizer_step_post_hooks or _global_optimizer_post_hooks:
                for hook in (*self._optimizer_step_post_hooks.values(), *_global_optimizer_post_hooks.values()):
                    hook(self, args, kwargs)
            return out

        wrapper.hooked = True  # type: ignore[attr-defined]
        return wrapper

    def _patch_step_function(self) -> None:
        """Wrap the class's `step`, once per class that defines one."""
        cls = type(self)
        if not getattr(cls.step, "hooked", False):
            cls.step = self.profile_hook_step(cls.step)  # type: ignore[method-assign]

    def register_step_pre_hook(self, hook: OptimizerPreHook) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step; it may return new (args, kwargs)."""
        return register(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: OptimizerPostHook) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return register(self._optimizer_step_post_hooks, hook)

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update the parameters once; `closure`, if given, computes the loss again and returns it."""
        raise NotImplementedError

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set the gradients of all parameters to None, or to zero."""
        for group in self.param_groups:
            for param in group["params"]:
                grad = param.grad
                if set_to_none:
                    forgotten(param)
                if grad is None:
                    continue
                if set_to_none:
                    param.grad = None
                    continue
                if grad.grad_fn is not None:
                    grad.detach_()
                else:
                    grad.requires_grad_(False)
                grad.zero_()

    # ---- parameter groups ------------------------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters: {"params": tensors, option: value, ...}.

        Raises
        ------
        TypeError, ValueError
            If the group is no dict, or holds an unordered set, something else than leaf tensors,
            a parameter of another group, or names where the other groups have none.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, Tensor):
            params = [params]
        elif isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in "
                "sets will change between runs. Please use a list instead."
            )
        param_group["params"] = list(params)
        _split_names(param_group)
        params = param_group["params"]

        for param in params:
            if not isinstance(param, Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is {lamina.typename(param)}"
                )
            if not self.defaults.get("differentiable") and not (param.is_leaf or param.retains_grad):
                raise noted(
                    ValueError("can't optimize a non-leaf Tensor"),
                    ("made", where(maker_of(param))),
                    ("fix", "give the leaf: compute first, then .detach().requires_grad_()"),
                )

        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            param_group.setdefault(name, default)

        if len(params) != len(set(params)):
            warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this will cause an "
                "error; see github.com/pytorch/pytorch/issues/40967 for more information",
            )
        known = set(chain.from_iterable(group["params"] for group in self.param_groups))
        if not known.isdisjoint(params):
            raise ValueError("some parameters appear in more than one parameter group")
        if self.param_groups:
            named = "param_names" in param_group
            if named != ("param_names" in self.param_groups[0]):
                raise ValueError(
                    "all optimizer param groups should be with/without names. cannot add param group "
                    f"{'with' if named else 'without'} names to the optimizer"
                )
        self.param_groups.append(param_group)

    # ---- saving and loading ----------------------------------------------------------------------------------

    def register_state_dict_pre_hook(
        self, hook: Callable[["Optimizer"], None], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` before each `state_dict()`."""
        return register(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[["Optimizer", StateDict], StateDict | None], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` after each `state_dict()`; it may return another dict."""
        return register(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[["Optimizer", StateDict], StateDict | None], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` before each `load_state_dict()`; it may return another dict."""
        return register(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[["Optimizer"], None], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` after each `load_state_dict()`."""
        return register(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    def state_dict(self) -> StateDict:
        """{"state": by parameter number, "param_groups": with numbers for parameters}; tensors are not copied."""
        for pre_hook in self._optimizer_state_dict_pre_hooks.values():
            pre_hook(self)
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            packed = {key: value for key, value in group.items() if key != "params"}
            for param in group["params"]:
                numbers.setdefault(id(param), len(numbers))
            packed["params"] = [numbers[id(param)] for param in group["params"]]
            groups.append(packed)
        state = {numbers[id(key)] if isinstance(key, Tensor) else key: value for key, value in self.state.items()}
        result: StateDict = {"state": state, "param_groups": groups}
        for post_hook in self._optimizer_state_dict_post_hooks.values():
            changed = post_hook(self, result)
            if changed is not None:
                result = changed
        return result

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Take over a dict made by `state_dict()`; parameters are matched by order.

        Floating states take the parameter's dtype, step counters keep theirs.

        Raises
        ------
        ValueError
            If the groups differ in number or in size.
        """
        state_dict = state_dict.copy()
        for pre_hook in self._optimizer_load_state_dict_pre_hooks.values():
            changed = pre_hook(self, state_dict)
            if changed is not None:
                state_dict = changed
        groups = self.param_groups
        saved_groups = deepcopy(state_dict["param_groups"])
        if len(groups) != len(saved_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(a["params"]) != len(b["params"]) for a, b in zip(groups, saved_groups, strict=True)):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
            )
        numbers = chain.from_iterable(group["params"] for group in saved_groups)
        params = dict(zip(numbers, chain.from_iterable(group["params"] for group in groups), strict=True))
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in params:
                state[params[key]] = _adapted(value, params[key], key, state_dict["param_groups"])
            else:
                state[key] = value
        for group, saved in zip(groups, saved_groups, strict=True):
            saved["params"] = group["params"]
            if "param_names" in group:
                saved.setdefault("param_names", group["param_names"])
        self.__setstate__({"state": state, "param_groups": saved_groups})
        for post_hook in self._optimizer_load_state_dict_post_hooks.values():
            post_hook(self)

    @staticmethod
    def _process_value_according_to_param_policy(
        param: Tensor, value: Tensor, param_id: int, param_groups: list[dict[Any, Any]], key: Hashable = None
    ) -> Tensor:
        """A loaded state tensor as the parameter needs it."""
        if key == "step":
            group = next((group for group in param_groups if param_id in group["params"]), {})
            if group.get("capturable") or group.get("fused"):
                return value.to(dtype=lamina.float32, device=param.device)
            return value
        if param.is_floating_point():
            return value.to(dtype=param.dtype, device=param.device)
        return value.to(device=param.device)


def _split_names(param_group: dict[str, Any]) -> None:
    """Move the names of a group of (name, Tensor) pairs into "param_names"."""
    entries = param_group["params"]
    pairs = [entry for entry in entries if isinstance(entry, tuple)]
    if not pairs:
        return
    if len(pairs) != len(entries):
        raise ValueError("all optimizer params should be with/without names. Some param names are missing")
    param_group["params"] = [param for _, param in pairs]
    param_group["param_names"] = [name for name, _ in pairs]


def _adapted(value: Any, param: Tensor, number: int, groups: list[dict[str, Any]], key: Hashable = None) -> Any:
    """A loaded state with all its tensors in the form that `param` needs."""
    if isinstance(value, Tensor):
        return Optimizer._process_value_according_to_param_policy(param, value, number, groups, key)
    if isinstance(value, dict):
        return {k: _adapted(v, param, number, groups, k) for k, v in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return type(value)(_adapted(v, param, number, groups) for v in value)  # type: ignore[call-arg]
    return value
