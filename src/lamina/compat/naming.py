"""The names that lamina's classes and functions show while lamina is `torch`: `<class 'torch.nn.modules.linear.Linear'>`.

Programs print types, look for "torch.nn" in them, and pickle by them. Here: renaming of what is loaded, and of what is loaded
later. Not here: what an import of a path gives (finder.py, paths.py).
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import FunctionType, ModuleType
from typing import Any

from lamina.compat import named
from lamina.compat.paths import facades_in

OWN, STAND_IN = "lamina", "torch"
_INNER = ("core", "primitives", "compiler", "compat", "io", "cli", "doctor", "settings", "version", "__main__")
"""Rooms of lamina that torch has not: their classes keep their names."""

# Module of lamina -> module of torch whose classes it holds, where the paths differ.
MOVED: dict[str, str] = {
    **{
        f"lamina.nn.modules.{ours}": f"torch.nn.modules.{theirs}"
        for ours, theirs in (
            ("adaptive_pooling", "pooling"), ("lazy_conv", "conv"), ("margin_loss", "loss"), ("multihead", "activation"),
            ("linear_cross_entropy", "loss"), ("parameter_container", "container"), ("rnn_cells", "rnn"), ("softmax", "activation"),
            ("transformer_layers", "transformer"),
        )
    },
    **{
        f"lamina.distributions.{ours}": "torch.distributions.transforms"
        for ours in ("composition", "joined_transforms", "vector_transforms")
    },
    **{
        f"lamina.optim.lr_scheduler.{ours}": "torch.optim.lr_scheduler"
        for ours in ("base", "combined", "cosine", "cyclic", "decay", "plateau")
    },
    "lamina.core.generator": "torch._C",
    "lamina.nn.utils.prune_methods": "torch.nn.utils.prune",
    "lamina.optim._adafactor": "torch.optim",
    "lamina.optim._muon": "torch.optim",
}  # fmt: skip


def install() -> None:
    """Rename the classes and functions of all modules that are loaded, and from now on those of each one that is loaded."""
    for name, module in list(sys.modules.items()):
        if name == OWN or name.startswith(f"{OWN}."):
            _rename(module)
    sys.meta_path.insert(0, _Finder())


def _shown(name: str) -> str | None:
    """The path that the classes of a module show; None: they keep their own."""
    if name in MOVED:
        return MOVED[name]
    if name == OWN:
        return STAND_IN
    below = name.removeprefix(f"{OWN}.")
    return None if below.split(".")[0] in _INNER else f"{STAND_IN}.{below}"


def _rename(module: ModuleType) -> None:
    name = module.__name__
    shown = _shown(name)
    if shown is not None:
        for function in [v for v in vars(module).values() if isinstance(v, FunctionType) and v.__module__ == name]:
            function.__module__ = shown
        classes = [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == name]
        for cls in classes:
            line = vars(cls).get("__firstlineno__")  # Python 3.13 forgets it when the module is set
            cls.__module__ = shown
            if line is not None:
                cls.__firstlineno__ = line  # type: ignore[attr-defined]
        if classes and name not in MOVED and not hasattr(module, "__path__"):
            if _has_paths_below(shown):
                importlib.import_module(shown)  # as the program does: what lies below comes with it
            else:
                sys.modules.setdefault(shown, module)  # where `inspect` looks for the file of a class
    for source, target in MOVED.items():
        home = f"{OWN}.{target.removeprefix(STAND_IN + '.')}"
        if name in (source, home) and source in sys.modules and home in sys.modules:
            _lend(sys.modules[source], sys.modules[home], target)


def _has_paths_below(path: str) -> bool:
    """Whether the tables have paths directly below this one of torch."""
    return bool(facades_in(path) or named.below(path))


def _lend(source: ModuleType, home: ModuleType, shown: str) -> None:
    """Put the classes of `source` where their names say they are: pickle looks there."""
    for cls in [v for v in vars(source).values() if isinstance(v, type) and v.__module__ == shown]:
        if cls.__name__ not in vars(home):
            setattr(home, cls.__name__, cls)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds lamina's modules as ever, and has their classes renamed once they are loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith(f"{OWN}."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Renaming(spec.loader)
        return spec


class _Renaming(importlib.abc.Loader):
    """Loads by the loader that it holds, then renames. The module itself shows the loader that is held."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._inner.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._inner
        module.__loader__ = self._inner
        self._inner.exec_module(module)
        _rename(module)
