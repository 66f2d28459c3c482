"""`Module`: what every network is made of. Members, the call, modes, printing, pickling.

Here: the protocol of attributes and the plain call. Its other parts are beside it: path.py (where an error came from),
hooks.py (hooks, and the call that runs them), tree.py (walking and finding), state.py (state_dict), conversion.py (to,
half, ...). Not here: any particular layer.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable
from difflib import get_close_matches
from types import FunctionType
from typing import Any, Self, TypeVar

import lamina
from lamina.autograd.leaves import forgotten
from lamina.core.changes import changes
from lamina.core.explained import noted
from lamina.core.parameter import Buffer, Parameter
from lamina.core.tensor import Tensor
from lamina.nn.modules import hooks
from lamina.nn.modules.conversion import Convertible
from lamina.nn.modules.hooks import (
    CALL_HOOKS,
    OWN_HOOKS,
    STATE_HOOKS,
    Hooked,
    _global_backward_hooks,  # noqa: F401
    _global_backward_pre_hooks,  # noqa: F401
    _global_buffer_registration_hooks,  # noqa: F401
    _global_forward_hooks,  # noqa: F401
    _global_forward_pre_hooks,  # noqa: F401
    _global_module_registration_hooks,  # noqa: F401
    _global_parameter_registration_hooks,  # noqa: F401
    any_global_hook,
    drop_empty_hooks,
    own_hooks,
    register_module_backward_hook,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
    run_registration_hooks,
)
from lamina.nn.modules.path import module_path, note_path
from lamina.nn.modules.state import _EXTRA_STATE_KEY_SUFFIX, Stateful, _IncompatibleKeys, _WrappedHook  # noqa: F401
from lamina.nn.modules.tree import Tree

__all__ = [
    "Module",
    "_IncompatibleKeys",
    "_WrappedHook",
    "module_path",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]

T_destination = TypeVar("T_destination", bound=dict[str, Any])


def _forward_unimplemented(self: Any, *input: Any) -> None:
    """What a module computes; to be defined by each subclass."""
    own = [name for name in dir(type(self)) if name not in vars(Module)]
    meant = get_close_matches("forward", own, 1)
    raise noted(
        NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function'),
        ("perhaps", f"its method '{meant[0]}' is meant to be 'forward'" if meant else ""),
    )


class Module(Convertible, Stateful, Hooked):
    """Base class of all networks: define `__init__` (which calls this one) and `forward`.

    Parameters, buffers and modules that are assigned as attributes are registered: they are found by `parameters()`,
    moved by `to()` and saved by `state_dict()`.
    """

    dump_patches: bool = False
    call_super_init: bool = False
    training: bool
    T_destination = T_destination
    forward: Callable[..., Any] = _forward_unimplemented

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init:
            name = type(self).__name__
            if kwargs:
                raise TypeError(f"{name}.__init__() got an unexpected keyword argument '{next(iter(kwargs))}'")
            if args:
                raise TypeError(f"{name}.__init__() takes 1 positional argument but {len(args) + 1} were given")
        state = self.__dict__  # straight into it: __setattr__ asks for what is being made here
        state["training"] = True
        state["_parameters"] = {}
        state["_buffers"] = {}
        state["_non_persistent_buffers_set"] = set()
        state["_modules"] = {}
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    # -- the call

    def _wrapped_call_impl(self, *args: Any, **kwargs: Any) -> Any:
        """forward, with the hooks if there are any. An exception on its way out learns the module's path."""
        try:
            if "_forward_hooks" in self.__dict__ or any_global_hook:
                if self._compiled_call_impl is not None:
                    return self._compiled_call_impl(*args, **kwargs)
                return self._call_impl(*args, **kwargs)
            if kwargs:
                return self.forward(*args, **kwargs)
            return self.forward(*args)  # saves merging the empty dict
        except Exception as error:
            note_path(error, sys._getframe())
            raise

    __call__: Callable[..., Any] = _wrapped_call_impl

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """From now on run this module's calls compiled, in place: the arguments are `lamina.compile`'s."""
        own_hooks(self, "_forward_hooks")  # with them, a call leaves the plain path and sees that it is compiled
        self._compiled_call_impl = lamina.compile(self._call_impl, *args, **kwargs)

    # -- members

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter (or None: there could be one) under `name`.

        Raises TypeError or KeyError for a bad name or value, ValueError for a tensor that was computed.
        """
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        _check_name(self, "parameter", name, self._parameters)
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{lamina.typename(param)}' object to parameter '{name}' "
                    "(torch.nn.Parameter or None required)"
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created "
                    f"explicitly. To express '{name}' as a function of another Tensor, compute the value in the "
                    "forward() method."
                )
            param = run_registration_hooks(hooks._global_parameter_registration_hooks, self, name, param)
        self._parameters[name] = param
        changes[0] += 1

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that belongs to the module and is no parameter; saved in the state_dict where `persistent`."""
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        changes[0] += 1
        _check_name(self, "buffer", name, self._buffers)
        if not (tensor is None or isinstance(tensor, Tensor)):
            raise TypeError(
                f"cannot assign '{lamina.typename(tensor)}' object to buffer '{name}' (torch Tensor or None required)"
            )
        self._buffers[name] = run_registration_hooks(hooks._global_buffer_registration_hooks, self, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """The same as `add_module`."""
        self.add_module(name, module)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a submodule (or None) under `name`. Raises TypeError or KeyError for a bad name or value."""
        if not (module is None or isinstance(module, Module)):
            raise TypeError(f"{lamina.typename(module)} is not a Module subclass")
        changes[0] += 1
        _check_name(self, "module", name, self._modules)
        self._modules[name] = run_registration_hooks(hooks._global_module_registration_hooks, self, name, module)

    def __getattr__(self, name: str) -> Any:
        try:
            state = self.__dict__
            if name in (members := state["_parameters"]):
                return members[name]
            if name in (members := state["_modules"]):
                return members[name]
            if name in (members := state["_buffers"]):
                return members[name]
            if name in OWN_HOOKS:
                return own_hooks(self, name)
        except KeyError:  # before Module.__init__
            pass
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        state = self.__dict__
        changes[0] += 1
        if isinstance(value, Tensor):
            if isinstance(value, Parameter):
                self._set_parameter(state, name, value)
                return
            if isinstance(value, Buffer):
                self._set_buffer(state, name, value)
                return
        elif isinstance(value, Module):
            if "_modules" not in state:
                raise _uncalled("cannot assign module before Module.__init__() call", self)
            if name in state["_parameters"]:
                raise _wrong_kind(name, value, "parameter", "torch.nn.Parameter or None")
            _forget(state, name, "_buffers")
            state["_modules"][name] = run_registration_hooks(hooks._global_module_registration_hooks, self, name, value)
            return
        if name in state.get("_parameters", ()):
            if value is not None:
                raise _wrong_kind(name, value, "parameter", "torch.nn.Parameter or None")
            self.register_parameter(name, None)
        elif name in state.get("_modules", ()):
            if value is not None:
                raise _wrong_kind(name, value, "child module", "torch.nn.Module or None")
            state["_modules"][name] = run_registration_hooks(hooks._global_module_registration_hooks, self, name, None)
        elif name in state.get("_buffers", ()):
            if not (value is None or isinstance(value, Tensor)):
                raise _wrong_kind(name, value, "buffer", "torch.nn.Buffer, torch.Tensor or None")
            state["_buffers"][name] = run_registration_hooks(hooks._global_buffer_registration_hooks, self, name, value)
        else:
            super().__setattr__(name, value)

    def _set_parameter(self, state: dict[str, Any], name: str, value: Parameter) -> None:
        if "_parameters" not in state:
            raise _uncalled("cannot assign parameters before Module.__init__() call", self)
        _forget(state, name, "_buffers", "_modules")
        self.register_parameter(name, value)

    def _set_buffer(self, state: dict[str, Any], name: str, value: Tensor) -> None:
        if "_buffers" not in state:
            raise _uncalled("cannot assign buffer before Module.__init__() call", self)
        if name in state["_parameters"]:
            raise _wrong_kind(name, value, "parameter", "torch.nn.Parameter or None")
        if name in state["_modules"]:
            raise _wrong_kind(name, value, "child module", "torch.nn.Module or None")
        _forget(state, name)
        self.register_buffer(name, value, persistent=value.persistent)

    def __delattr__(self, name: str) -> None:
        changes[0] += 1
        if name in self._parameters:
            del self._parameters[name]
        elif name in self._buffers:
            del self._buffers[name]
            self._non_persistent_buffers_set.discard(name)
        elif name in self._modules:
            del self._modules[name]
        else:
            super().__delattr__(name)

    def __dir__(self) -> list[str]:
        names = {*dir(type(self)), *self.__dict__, *self._parameters, *self._modules, *self._buffers, *OWN_HOOKS}
        return sorted(name for name in names if not name[0].isdigit())

    # -- modes and gradients

    def train(self, mode: bool = True) -> Self:
        """Set training mode here and below. Raises ValueError where `mode` is not a bool."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """The same as `train(False)`."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set `requires_grad` of all parameters."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        for param in self.parameters():
            grad = param.grad
            if set_to_none:
                forgotten(param)
            if grad is None:
                continue
            if set_to_none:
                param.grad = None
            else:
                if grad.grad_fn is not None:
                    grad.detach_()
                else:
                    grad.requires_grad_(False)
                grad.zero_()

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` with every module below, then with this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # -- printing and pickling

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What the printed form says between the parentheses besides the submodules."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        extra_lines = extra.split("\n") if extra else []
        child_lines = [f"({name}): {_addindent(repr(module), 2)}" for name, module in self._modules.items()]
        if len(extra_lines) == 1 and not child_lines:
            return f"{self._get_name()}({extra})"
        lines = "\n  ".join([*extra_lines, *child_lines])
        return f"{self._get_name()}(\n  {lines}\n)" if lines else f"{self._get_name()}()"

    def __getstate__(self) -> dict[str, Any]:
        """All but what was compiled; with the hook dictionaries, for those who read the pickle elsewhere."""
        state = {name: OrderedDict() for name in (*CALL_HOOKS, *STATE_HOOKS)} | self.__dict__
        state["_is_full_backward_hook"] = self._is_full_backward_hook
        state.pop("_compiled_call_impl", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take a pickled state, also an older one; a family of hook dictionaries that are all empty is not kept."""
        self.__dict__.update(state)
        self.__dict__.setdefault("_non_persistent_buffers_set", set())
        drop_empty_hooks(self)

    def _replicate_for_data_parallel(self) -> Self:
        """A shallow copy with dictionaries of its own, whose parameters are to be replaced by replicas."""
        replica = self.__new__(type(self))
        replica.__dict__ = self.__dict__.copy()
        replica._parameters = {}
        replica._buffers = replica._buffers.copy()
        replica._modules = replica._modules.copy()
        replica._is_replica = True
        return replica


for _part in (Tree, Convertible, Stateful, Hooked):
    for _name, _member in vars(_part).items():
        if isinstance(_member, FunctionType):
            _member.__qualname__ = f"Module.{_name}"  # what errors call it: users know Module only


def _check_name(module: Module, kind: str, name: Any, own: dict[str, Any]) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{kind} name should be a string. Got {lamina.typename(name)}")
    if hasattr(module, name) and name not in own:
        raise KeyError(f"attribute '{name}' already exists")
    if "." in name:
        got = f", got: {name}" if kind == "module" else ""
        raise KeyError(f'{kind} name can\'t contain "."{got}')
    if name == "":
        raise KeyError(f'{kind} name can\'t be empty string ""')


def _wrong_kind(name: str, value: Any, kind: str, expected: str) -> TypeError:
    sentence = f"cannot assign '{lamina.typename(value)}' as {kind} '{name}' ({expected} expected)"
    as_parameter = isinstance(value, Tensor) and kind == "parameter"
    return noted(TypeError(sentence), ("fix", "nn.Parameter(...) around the tensor" if as_parameter else ""))


def _uncalled(sentence: str, module: Module) -> AttributeError:
    return noted(
        AttributeError(sentence), ("fix", f"super().__init__() as the first line of {type(module).__name__}.__init__")
    )


def _forget(state: dict[str, Any], name: str, *members: str) -> None:
    """Take `name` out of the plain attributes and out of `members`: it is about to become another kind."""
    state.pop(name, None)
    for each in members:
        state[each].pop(name, None)
    if members:
        state["_non_persistent_buffers_set"].discard(name)


def _addindent(text: str, spaces: int) -> str:
    """`text` with all lines but the first indented."""
    return text.replace("\n", "\n" + " " * spaces)
