"""`OptimizedModule`: a compiled module, which is a module itself.

Here: this class. Not here: how its calls are compiled (api.py).
"""

from __future__ import annotations

from typing import Any

from lamina.compiler.explain import Explanation
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
