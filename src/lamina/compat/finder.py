"""The import hook: `import torch.nn` gives the module `lamina.nn` itself.

Here: finder, loader and the package metadata of the stand-in. Which torch path lies where is in paths.py.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

import lamina
from lamina.compat import named, naming
from lamina.compat.paths import ABSENT, ELSEWHERE, elsewhere, facades_in

OWN, STAND_IN = "lamina", "torch"
BESIDE = "functorch"  # the package that PyTorch installs beside itself


def install() -> ModuleType:
    """Make `import torch` give lamina for the rest of this process, and return it.

    A second call changes nothing. An installed PyTorch is left as it is: it is only not found.

    Raises
    ------
    RuntimeError
        If PyTorch has already been imported: programs that hold both would mix their tensors.
    """
    imported = sys.modules.get(STAND_IN)
    if imported is lamina and installed():
        return lamina
    if imported is not None and imported is not lamina:
        place = getattr(imported, "__file__", "an unknown place")
        raise RuntimeError(
            f"PyTorch has already been imported in this process (from {place}). "
            "Call lamina.compat.install() before the first `import torch`, or start the program with `lamina run`."
        )
    if not installed():
        sys.meta_path.insert(0, StandInFinder())  # first, so that an installed PyTorch is never looked for
        naming.install()
        lamina.__name__ = STAND_IN  # programs compare it with the first word of a dotted name
    return importlib.import_module(STAND_IN)


def installed() -> bool:
    """Whether `import torch` gives lamina."""
    return any(isinstance(finder, StandInFinder) for finder in sys.meta_path)


class StandInFinder(importlib.abc.MetaPathFinder):
    """Finds `torch` and everything below it in lamina, and the `functorch` beside it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        top, _, below = fullname.partition(".")
        if top not in (STAND_IN, BESIDE):
            return None
        own_name = f"{OWN}.{below}" if below else OWN
        if top == STAND_IN and _exists(own_name):
            return importlib.machinery.ModuleSpec(fullname, _SameModuleLoader(own_name), is_package=True)
        if fullname in ABSENT:
            return importlib.machinery.ModuleSpec(fullname, _AbsentLoader())
        if named.is_named(fullname) and fullname not in ELSEWHERE:
            return importlib.machinery.ModuleSpec(fullname, _NamedLoader(), is_package=True)
        sources = elsewhere(fullname)
        if sources is not None:
            return importlib.machinery.ModuleSpec(fullname, _FacadeLoader(sources), is_package=True)
        return None

    def find_distributions(
        self, context: importlib.metadata.DistributionFinder.Context | None = None
    ) -> Iterable[importlib.metadata.Distribution]:
        """What `importlib.metadata.version("torch")` asks: packages check it without importing torch."""
        asked = None if context is None else context.name  # None: for all that there are
        if asked is None or asked.lower() == STAND_IN:
            yield _StandInDistribution()

    def invalidate_caches(self) -> None:
        """Nothing is cached."""


def _exists(name: str) -> bool:
    if name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # a parent is no package, or is not there
        return False


class _SameModuleLoader(importlib.abc.Loader):
    """Gives the existing module of lamina. No second copy of it: two classes Tensor would be two types."""

    def __init__(self, own_name: str) -> None:
        self.own_name = own_name
        self.own_spec: importlib.machinery.ModuleSpec | None = None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(self.own_name)
        self.own_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.own_spec  # the import system has put the stand-in's there; reload needs ours
        shown = f"{STAND_IN}{self.own_name.removeprefix(OWN)}"
        for path in (*facades_in(shown), *named.below(shown)):
            if not hasattr(module, path.rpartition(".")[2]):
                importlib.import_module(path)  # `import torch` is enough for torch.serialization; costs no real import


class _FacadeLoader(importlib.abc.Loader):
    """Gives a module whose names are those of other modules."""

    def __init__(self, sources: tuple[str, ...]) -> None:
        self.sources = sources

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return Facade(spec.name, self.sources)

    def exec_module(self, module: ModuleType) -> None:
        """The module is complete."""


class _NamedLoader(importlib.abc.Loader):
    """Gives a module of names that a program may mention, and not use."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return named.module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        for path in named.below(module.__name__):
            importlib.import_module(path)  # `import torch.fx` is enough for torch.fx.node


class _AbsentLoader(importlib.abc.Loader):
    """Says at import why a part of torch is not in lamina."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        raise ModuleNotFoundError(f"lamina has no {spec.name}: {ABSENT[spec.name]}", name=spec.name)

    def exec_module(self, module: ModuleType) -> None:
        raise AssertionError("create_module has raised")


class Facade(ModuleType):
    """A module of torch's that lamina keeps in other places: each name is looked up in these, in order."""

    def __init__(self, name: str, sources: tuple[str, ...]) -> None:
        super().__init__(name, f"{name}, whose names are in {', '.join(sources)}.")
        self.__path__: list[str] = []
        self._sources = sources

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__") or name == "__all__":
            for source in self._sources:
                try:
                    return getattr(importlib.import_module(source), name)
                except AttributeError:
                    continue
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__()}.union(*(dir(importlib.import_module(source)) for source in self._sources)))


class _StandInDistribution(importlib.metadata.Distribution):
    """The metadata of a package `torch` of the version that lamina stands for."""

    def read_text(self, filename: str) -> str | None:
        if filename == "top_level.txt":
            return f"{STAND_IN}\n"
        if filename != "METADATA":
            return None
        return f"Metadata-Version: 2.1\nName: {STAND_IN}\nVersion: {lamina.__version__}\n"

    def locate_file(self, path: str | os.PathLike[str]) -> Any:
        raise FileNotFoundError(f"{path}: {STAND_IN} is lamina here and has no files of its own")
