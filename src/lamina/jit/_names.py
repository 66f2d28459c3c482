"""Classes of TorchScript that programs name in isinstance checks. Nothing here is an instance of them."""

from typing import Any, NamedTuple, NoReturn


class Error(RuntimeError):
    """An error in scripted code."""

    __module__ = "torch.jit"


class Attribute(NamedTuple):
    """A value with its declared type."""

    value: Any
    type: Any


class _Scripted:
    """A class to name, not to make."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        name = type(self).__name__
        raise NotImplementedError(f"torch.jit.{name}: lamina runs modules as ordinary Python; derive from nn.Module")


class ScriptModule(_Scripted):
    """A compiled module."""

    __module__ = "torch.jit"


class RecursiveScriptModule(ScriptModule):
    """What `script` makes of a module in PyTorch."""

    __module__ = "torch.jit"


class ScriptFunction(_Scripted):
    """A compiled function."""

    __module__ = "torch.jit"


class CompilationUnit(_Scripted):
    """Compiled source code."""

    __module__ = "torch.jit"
