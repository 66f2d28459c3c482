"""Lazy modules: parameters whose shapes are found at the first call.

Here: `LazyModuleMixin`. Not here: the uninitialized parameters (core/parameter.py) and the lazy layers (beside their
layers).
"""

from __future__ import annotations

from typing import Any

from lamina.nn.modules.hooks import drop_empty_hooks
from lamina.nn.parameter import is_lazy


class LazyModuleMixin:
    """For a module that finds the shapes of its parameters from its first input.

    A subclass (of this, then of the module it will be) sets `cls_to_become`, gives itself uninitialized parameters in
    `__init__`, and materializes them in `initialize_parameters(*args)`, which is called with the first input. Then it
    becomes its class.
    """

    cls_to_become: type | None = None

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._load_hook = self._register_load_state_dict_pre_hook(self._lazy_load_hook)
        self._initialize_hook = self.register_forward_pre_hook(self._infer_parameters, with_kwargs=True)

    def _save_to_state_dict(self: Any, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Lazy members are saved as they are: they cannot be detached."""
        for name, value in self._own_state().items():
            destination[prefix + name] = value if keep_vars or is_lazy(value) else value.detach()

    def _lazy_load_hook(self: Any, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
        """Materialize what the state to be loaded knows the shape of."""
        for name, param in self._own_state().items():
            value = state_dict.get(prefix + name)
            if value is not None and is_lazy(param) and not is_lazy(value):
                param.materialize(value.shape)

    def initialize_parameters(self: Any, *args: Any, **kwargs: Any) -> None:
        """Materialize the parameters for these arguments of forward."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def has_uninitialized_params(self: Any) -> bool:
        """Whether a parameter or buffer of this module has no shape yet."""
        return any(is_lazy(member) for member in (*self._parameters.values(), *self._buffers.values()))

    def _infer_parameters(self: Any, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> None:
        """Before the first forward: find the shapes, then be an ordinary module."""
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise RuntimeError(f"module {self._get_name()} has not been fully initialized")
        module._initialize_hook.remove()
        module._load_hook.remove()
        del module._initialize_hook, module._load_hook
        drop_empty_hooks(module)
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become

    def _replicate_for_data_parallel(self: Any) -> Any:
        raise RuntimeError(
            "Modules with uninitialized parameters can't be used with `DataParallel`. "
            "Run a dummy forward pass to correctly initialize the modules"
        )
