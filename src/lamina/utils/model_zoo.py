"""Downloads of weights, under their old name."""

import importlib
from typing import Any

from lamina.hub import load_state_dict_from_url as load_url

__all__ = ["load_url"]


def __getattr__(name: str) -> Any:
    if name == "tqdm":  # packages take the progress bar from here; it loads when asked for
        return importlib.import_module("tqdm").tqdm
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
