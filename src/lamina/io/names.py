"""Which object a global name in a file stands for, and under which name an object is written.

Files say `torch._utils._rebuild_tensor_v2`; here that name meets lamina's function, in both directions and explicitly.
`SAFE` is all that a file may name by default. Not here: what may be done with it (unpickler.py), what users add
(safe_globals.py).
"""

from __future__ import annotations

import importlib
import pickle
import sys
from collections import Counter, OrderedDict
from types import ModuleType
from typing import Any

import lamina
from lamina.core.explained import noted
from lamina.core.parameter import Parameter
from lamina.core.tensor import Tensor
from lamina.io import rebuild
from lamina.io.storage import DTYPES, QUANTISED, STORAGE_TYPES, UNTYPED


def _safe() -> dict[str, Any]:
    table: dict[str, Any] = {f"torch.{kind.name}": kind for kind in STORAGE_TYPES.values()}
    # A storage saved on a GPU by an old version is named by its place; `location` says the same.
    table |= {f"torch.cuda.{kind.name}": kind for kind in STORAGE_TYPES.values()}
    table |= {f"torch.{name}": found for name, found in DTYPES.items()}
    table |= {f"torch.{name}": refused for name, refused in QUANTISED.items()}
    table |= {f"torch._utils.{f.__name__}": f for f in rebuild.IN_UTILS}
    table |= {
        "torch._tensor._rebuild_from_type_v2": rebuild._rebuild_from_type_v2,
        "torch.serialization._get_layout": rebuild._get_layout,
        "torch.storage.UntypedStorage": UNTYPED,
        "torch.Tensor": Tensor,
        "torch.nn.parameter.Parameter": Parameter,
        "torch.Size": lamina.Size,
        "torch.device": lamina.device,
        "collections.OrderedDict": OrderedDict,
        "collections.Counter": Counter,
        "builtins.set": set,
        "builtins.bytearray": bytearray,
        "builtins.complex": complex,
        "_codecs.encode": rebuild.ENCODE,
    }
    return table


SAFE = _safe()
WRITTEN = {
    id(found): tuple(name.rsplit(".", 1))
    for name, found in SAFE.items()
    if name.startswith("torch.") and not name.startswith("torch.cuda.")
}
# Files of Python 2 and of protocol 2 name modules by their old names.
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}


def modern_module(module: str) -> str:
    return _RENAMED.get(module, module)


def is_torch(module: str) -> bool:
    return module.split(".", 1)[0] in ("torch", "lamina")


def file_name(found: Any) -> tuple[str, str] | None:
    """Module and name under which a file names one of lamina's objects; None for objects of others.

    The shortest public path wins: a class defined in `lamina.nn.modules.linear` is written as `torch.nn.Linear`, which
    PyTorch resolves as well. Raises PicklingError for an object that cannot be reached by any name.
    """
    known = WRITTEN.get(id(found))
    if known is not None:
        return known[0], known[1]
    module = getattr(found, "__module__", None) or ""
    if not is_torch(module):
        return None
    name = getattr(found, "__qualname__", None) or found.__name__
    parts = module.split(".")[1:]
    for depth in range(len(parts) + 1):
        tail = "".join(f".{part}" for part in parts[:depth])
        home = _imported("lamina" + tail)
        if home is not None and _attribute(home, name) is found:
            return "torch" + tail, name
    raise unreachable(found)


def unreachable(found: Any) -> Exception:
    """What pickle raises for a function or class that no import finds."""
    name, module = getattr(found, "__qualname__", None) or found.__name__, found.__module__
    error: Exception = pickle.PicklingError(f"Can't pickle {found!r}: attribute lookup {name} on {module} failed")
    if "<locals>" in name:
        error = AttributeError(f"Can't pickle local object {name!r}")
    return noted(error, ("fix", "def or class at the top of a module; or save the state_dict() in place of the module"))


def loaded_object(module: str, name: str, *, importing: bool) -> Any:
    """lamina's object for a `torch...` name in a file; None if there is none.

    Looks in the module of the same path, then in its parents, where public names are re-exported. Only trusted files
    may cause imports (`importing`).
    """
    known = SAFE.get(f"{module}.{name}")
    if known is not None:
        return known
    parts = module.split(".")[1:]
    for depth in range(len(parts), -1, -1):
        path = ".".join(["lamina", *parts[:depth]])
        home = sys.modules.get(path)
        if home is None and importing:
            home = _imported(path)
        found = None if home is None else _attribute(home, name)
        if found is not None:
            return found
    return None


def _imported(path: str) -> ModuleType | None:
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        return None


def _attribute(home: Any, qualified: str) -> Any:
    for part in qualified.split("."):
        home = getattr(home, part, None)
    return home
