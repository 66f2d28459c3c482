"""Models by name: from a folder with a `hubconf.py`. Nothing is downloaded.

Here: `load`, `list` and `help` with `source="local"`, and files of weights that lie in the hub's folder already.
"""

import importlib.util
import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn
from urllib.parse import urlparse

import lamina

__all__ = ["download_url_to_file", "get_dir", "help", "list", "load", "load_state_dict_from_url", "set_dir"]

HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")
"""The hash in the name of a file of weights."""

_folder: dict[str, str] = {}


def get_dir() -> str:
    """The hub's folder: what `set_dir` said, or `hub` below TORCH_HOME, or below the user's cache folder."""
    if "dir" in _folder:
        return _folder["dir"]
    return os.path.join(_get_torch_home(), "hub")


def _get_torch_home() -> str:
    """TORCH_HOME, or `torch` in the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return os.path.expanduser(os.environ.get("TORCH_HOME", os.path.join(cache, "torch")))


def set_dir(d: str | os.PathLike[str]) -> None:
    """Set the hub's folder."""
    _folder["dir"] = os.path.expanduser(d)


def list(github: str, force_reload: bool = False, *args: Any, source: str = "github", **kwargs: Any) -> Any:
    """The names of the models that the folder's hubconf.py offers."""
    module = _hubconf(github, source)
    return [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]


def help(github: str, model: str, force_reload: bool = False, *args: Any, source: str = "github", **kwargs: Any) -> Any:
    """The docstring of a model's entry point."""
    return _entry(_hubconf(github, source), model).__doc__


def load(repo_or_dir: str, model: str, *args: Any, source: str = "github", **kwargs: Any) -> Any:
    """Call the entry point `model` of the folder's hubconf.py with the remaining arguments.

    Raises
    ------
    NotImplementedError
        If `source` is not "local".
    """
    for option in ("trust_repo", "force_reload", "verbose", "skip_validation"):
        kwargs.pop(option, None)
    return _entry(_hubconf(repo_or_dir, source), model)(*args, **kwargs)


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> Any:
    """Load the file of the address's name from `model_dir` (default: `checkpoints` in the hub's folder)."""
    folder = Path(model_dir) if model_dir is not None else Path(get_dir()) / "checkpoints"
    path = folder / (file_name or os.path.basename(urlparse(url).path))
    if not path.exists():
        download_url_to_file(url, str(path))
    return lamina.load(path, map_location=map_location, weights_only=weights_only)


def download_url_to_file(url: str, dst: str, hash_prefix: str | None = None, progress: bool = True) -> NoReturn:
    """Refuses."""
    raise NotImplementedError(f"lamina downloads nothing: fetch {url} yourself and put it at {dst}")


def _hubconf(folder: str, source: str) -> ModuleType:
    if source not in ("github", "local"):
        raise ValueError(f'Unknown source: "{source}". Allowed values: "github" | "local".')
    if source == "github":
        raise NotImplementedError(
            'lamina downloads nothing: fetch the repository and pass its folder with source="local"'
        )
    path = Path(folder) / "hubconf.py"
    spec = importlib.util.spec_from_file_location("hubconf", path)
    if spec is None or spec.loader is None or not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(folder))  # a hubconf.py imports its neighbours
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


def _entry(module: ModuleType, model: str) -> Any:
    entry = getattr(module, model, None)
    if not callable(entry):
        raise RuntimeError(f"Cannot find callable {model} in hubconf")
    return entry
