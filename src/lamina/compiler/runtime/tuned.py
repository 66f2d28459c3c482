"""The coefficients that `lamina tune` has fitted, kept beside the cache of native code: one file for each machine and version.

A file is written beside and renamed into place; it is read only where folder and file are the user's own and nobody else can write
them, and used only where every number is there and not far from the shipped one. Whatever is wrong costs one warning. Here: the file.
Not here: what the coefficients mean (costs.py), how they are fitted (tune.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import Any

from lamina.core.warn import warn
from lamina.version import lamina as own_version

from . import codegen, cpu
from .cache import cache_folder, check_owner

FAR = 100.0
"""A fitted coefficient is within this factor of the shipped one: what is farther was measured wrongly, or written by hand."""


def file() -> Path:
    """Where they are kept: by kind of CPU, lamina's version and LLVM's."""
    return cache_folder() / f"tuned-{hashlib.blake2b(_machine().encode(), digest_size=8).hexdigest()}.json"


def _machine() -> str:
    return f"{cpu.host().identity}\n{own_version}\n{codegen.version()}"


def load(shipped: Mapping[str, float]) -> dict[str, float] | None:
    """The fitted coefficients by the names of the shipped ones; None where there are none, or none to be trusted."""
    path = file()
    if not os.path.lexists(path):  # nor is there anything to say of a folder that is wrong
        return None
    try:
        return _checked(_read(path), shipped)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:  # (json recurses)
        warn(f"lamina's fitted coefficients, {path}, are not used ({error}); `lamina tune` fits them anew")
        return None


def _read(path: Path) -> Any:
    root = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        check_owner(os.fstat(root), path.parent)
        opened = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=root)
    finally:
        os.close(root)
    with open(opened, "rb") as stream:
        status = os.fstat(opened)
        check_owner(status, path)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a file")
        return json.loads(stream.read(1 << 16))


def _checked(found: Any, shipped: Mapping[str, float]) -> dict[str, float]:
    """Raises ValueError for what is not a number for every coefficient, within reason."""
    if not isinstance(found, dict) or found.get("machine") != _machine():
        raise ValueError("it is not of this machine and version")
    values = found.get("coefficients")
    if not isinstance(values, dict) or set(values) != set(shipped):
        raise ValueError("coefficients are missing, or are others")
    for name, value in values.items():
        if value.__class__ not in (int, float) or not isfinite(value) or value <= 0:
            raise ValueError(f"{name} is {value!r}")
        if not shipped[name] / FAR <= value <= shipped[name] * FAR:
            raise ValueError(f"{name} is {value!r}, far from {shipped[name]}")
    return {name: float(value) for name, value in values.items()}


def save(values: Mapping[str, float]) -> Path:
    """Keep them for this machine; where. Raises OSError where that cannot be."""
    path = file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = json.dumps({"machine": _machine(), "coefficients": dict(values)}, indent=1)
    root = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    beside = f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}"
    try:
        check_owner(os.fstat(root), path.parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(beside, flags, 0o600, dir_fd=root), "w") as stream:
            stream.write(text)
        os.rename(beside, path.name, src_dir_fd=root, dst_dir_fd=root)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside, dir_fd=root)
        raise
    finally:
        os.close(root)
    return path


def reset() -> bool:
    """Delete those of this machine; whether there were any."""
    try:
        file().unlink()
    except FileNotFoundError:
        return False
    return True
