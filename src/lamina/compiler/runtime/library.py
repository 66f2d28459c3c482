"""Functions by their IR: what is loaded already, else what the cache has, else what LLVM makes of it.

A function stays loaded as long as somebody holds the memory it came in.
"""

from __future__ import annotations

import hashlib
import os
import threading
import weakref
from collections.abc import Sequence
from contextlib import closing
from functools import cache
from typing import NamedTuple

from lamina.version import lamina as own_version

from . import codegen, cpu, image
from .cache import store
from .memory import Code

_FORMAT = 2  # of images, and of how they are compiled


class Loaded(NamedTuple):
    """A function at its address, and the memory that must be held while it may be called."""

    address: int
    code: Code


_loaded: weakref.WeakValueDictionary[str, Code] = weakref.WeakValueDictionary()
_lock = threading.RLock()


def _forked() -> None:
    """The thread that was loading, if one was, is not there in a child."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_forked)


def load(modules: Sequence[tuple[str, str]]) -> list[Loaded]:
    """The functions of these modules, each as (IR, name of the function); compiled where need be, loaded together."""
    keys = [_key(ir) for ir, _ in modules]
    with _lock:
        held = {key: code for key in keys if (code := _loaded.get(key)) is not None}
        missing = {key: ir for key, (ir, _) in zip(keys, modules, strict=True) if key not in held}
        if missing:
            images = store().get(missing)
            unknown = {key: ir for key, ir in missing.items() if key not in images}
            if unknown:
                from . import helpers  # and with it subprocess: only where something is compiled

                with closing(helpers.compile_all(unknown)) as compiled:
                    for key, object_file in compiled:
                        images[key] = image.link(object_file)
                        store().put(key, images[key])
            code = Code(images)
            for key in missing:
                held[key] = _loaded[key] = code
    return [Loaded(held[key].addresses[key][name], held[key]) for key, (_, name) in zip(keys, modules, strict=True)]


def _key(ir: str) -> str:
    digest = hashlib.blake2b(ir.encode(), digest_size=20, key=circumstances())
    return digest.hexdigest()


@cache
def circumstances() -> bytes:
    """Everything but the IR that machine code depends on."""
    text = f"{_FORMAT}\n{own_version}\n{codegen.version()}\n{cpu.host().identity}"
    return hashlib.blake2b(text.encode(), digest_size=32).digest()
