"""`OptimizedModule`: a compiled module, which is a module itself; and its forward, where that is split.

Here: these. Not here: how calls are compiled (api.py), how functions are split (split.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from lamina.compiler.explain import Explanation
from lamina.compiler.split import Target
from lamina.nn.modules.hooks import any_global_hook
from lamina.nn.modules.module import Module


class OptimizedModule(Module):
    """A module whose calls are compiled. Its parameters and buffers are those of `_orig_mod`, and so are its other attributes."""

    __module__ = "torch._dynamo.eval_frame"
    _stands_for_another = True  # errors name the module that is compiled

    def __init__(self, module: Module, call: Any) -> None:
        super().__init__()
        self.__dict__["_compiled"] = call
        self._orig_mod = module
        self.__dict__["training"] = module.training

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._compiled(*args, **kwargs)

    def explain(self, profile: bool = False) -> Explanation:
        """What was recorded and how it runs, as text that is also a page (`html()`, `save_html(path)`). profile: time of each kernel."""
        return self._compiled.explain(profile=profile)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        if name == "_orig_mod":
            return self._modules["_orig_mod"]
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self._modules["_orig_mod"], name)

    def train(self, mode: bool = True) -> OptimizedModule:
        self.__dict__["training"] = mode
        self._orig_mod.train(mode)
        return self


class Forward(Target):
    """The forward of a module whose calls do no more than that: it has no hooks."""

    def now(self) -> FunctionType | None:
        cls, state = type(self.called), self.called.__dict__
        if "forward" in state or "_forward_hooks" in state or any_global_hook or cls.__call__ is not Module.__call__:
            return None
        return cls.forward if isinstance(cls.forward, FunctionType) else None

    def instead(self, function: FunctionType) -> Callable[..., Any]:
        return partial(Module._wrapped_call_impl, _With(self.called, function))  # type: ignore[arg-type]


class _With:
    """Called as a module without hooks, it runs another forward."""

    def __init__(self, module: Module, function: FunctionType) -> None:
        self.module, self.forward = module, MethodType(function, module)

    def _speaks_for(self) -> Module:
        return self.module
