"""TorchScript's names: programs run as ordinary Python here, so `script` and `trace` give back what they got.

Here: decorators and probes. `load` refuses: a scripted file holds PyTorch's own code, not a state_dict.
"""

from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeVar

from lamina.jit._names import Attribute, CompilationUnit, Error, RecursiveScriptModule, ScriptFunction, ScriptModule

__all__ = [
    "Attribute",
    "CompilationUnit",
    "Error",
    "Final",
    "RecursiveScriptModule",
    "ScriptFunction",
    "ScriptModule",
    "annotate",
    "export",
    "fork",
    "freeze",
    "ignore",
    "interface",
    "is_scripting",
    "is_tracing",
    "isinstance",
    "load",
    "onednn_fusion_enabled",
    "optimize_for_inference",
    "save",
    "script",
    "script_if_tracing",
    "script_method",
    "trace",
    "trace_module",
    "unused",
    "wait",
]

_Any = TypeVar("_Any")
_builtin_isinstance = isinstance


def script(obj: _Any, *args: Any, **kwargs: Any) -> _Any:
    """The function, class or module itself."""
    return obj


def trace(func: _Any, example_inputs: Any = None, *args: Any, **kwargs: Any) -> _Any:
    """The function or module itself; it is not run."""
    return func


def trace_module(mod: _Any, inputs: Any, *args: Any, **kwargs: Any) -> _Any:
    """The module itself; it is not run."""
    return mod


def freeze(mod: _Any, *args: Any, **kwargs: Any) -> _Any:
    """The module itself."""
    return mod


optimize_for_inference = freeze


def export(fn: _Any) -> _Any:
    """The function itself."""
    return fn


unused = script_method = interface = script_if_tracing = _script_if_tracing = _overload = _overload_method = export


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """The function itself, with or without parentheses after the decorator."""
    return drop if callable(drop) else export


class TracerWarning(Warning):
    """What PyTorch warns of while it traces: a class to filter by."""


def annotate(the_type: Any, the_value: _Any) -> _Any:
    """The value."""
    return the_value


def isinstance(obj: Any, target_type: Any) -> bool:
    """The builtin, under the name that scripted programs use."""
    return _builtin_isinstance(obj, target_type)


def is_scripting() -> bool:
    """False: nothing is compiled."""
    return False


def is_tracing() -> bool:
    """False: nothing is traced."""
    return False


def onednn_fusion_enabled() -> bool:
    """False."""
    return False


class _Result:
    """What `fork` gives: the value is there at once."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def wait(self) -> Any:
        """The value."""
        return self._value


def fork(func: Callable[..., Any], *args: Any, **kwargs: Any) -> _Result:
    """Call the function now; `wait` gives its value."""
    return _Result(func(*args, **kwargs))


def wait(future: _Result) -> Any:
    """The value of a `fork`."""
    return future.wait()


def load(f: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Refuses."""
    raise NotImplementedError(
        "torch.jit.load: lamina cannot run a TorchScript file; build the module in Python and load its state_dict "
        "(in PyTorch: torch.save(torch.jit.load(f).state_dict(), g))"
    )


def save(m: Any, f: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Refuses."""
    raise NotImplementedError("torch.jit.save: lamina has no TorchScript; use torch.save(m.state_dict(), f)")
