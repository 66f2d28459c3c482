"""Writing a file so that at any moment either the whole old or the whole new one is there.

Here: writing beside and renaming. Not here: what is written.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A file open for writing that takes the place of `path` when the block ends without an exception.

    Raises RuntimeError if there is no such directory. Devices and pipes are written in place: they cannot be replaced.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise RuntimeError(f"Parent directory {target.parent} does not exist.")
    if target.is_symlink() or (target.exists() and not target.is_file()):  # a link to itself: `open` says so
        with open(target, "wb") as file:
            yield file
        return
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "Permission denied: the file there may not be written", str(target))
    beside = target.with_name(f".{target.name[:40]}.{secrets.token_hex(6)}.part")
    try:
        with open(beside, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, beside)
        os.replace(beside, target)
    except BaseException:
        with suppress(FileNotFoundError):
            beside.unlink()
        raise
    _sync_directory(target.parent)


def _sync_directory(directory: Path) -> None:
    """Make the renaming durable, where the system can."""
    with suppress(OSError):
        for descriptor in map(
            os.open, (directory,), (os.O_RDONLY,)
        ):  # an interrupt comes behind a call, and would lose it
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
