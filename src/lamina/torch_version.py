"""A version string that compares as versions do: `torch.__version__ >= "2.0"`.

Here: `TorchVersion`, without the package `packaging`, which lamina does not need for anything else.
"""

import re
from collections.abc import Iterable
from typing import Any

__all__ = ["TorchVersion"]

_PATTERN = re.compile(
    r"v?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<phase>alpha|beta|preview|pre|rc|a|b|c)[-_.]?(?P<phase_number>\d*))?"
    r"(?P<post>[-_.]?post[-_.]?\d*)?(?:[-_.]?dev[-_.]?(?P<dev>\d*))?(?:\+(?P<local>[a-z0-9._-]+))?",
    re.IGNORECASE,
)
_PHASES = {"a": 0, "alpha": 0, "b": 1, "beta": 1, "c": 2, "rc": 2, "pre": 2, "preview": 2}
_FINAL, _DEV_ONLY, _NO_DEV = 3, -1, 1 << 62

_Key = tuple[Any, ...]


class TorchVersion(str):
    """A `str` whose comparisons with strings, tuples and version objects follow PEP 440."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        key = _key(other)
        return str.__eq__(self, str(other)) if key is None else _key(self) == key

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: Any) -> bool:
        key = _key(other)
        return str.__lt__(self, str(other)) if key is None else bool(_key(self) < key)

    def __gt__(self, other: Any) -> bool:
        key = _key(other)
        return str.__gt__(self, str(other)) if key is None else bool(_key(self) > key)

    def __le__(self, other: Any) -> bool:
        return not self > other

    def __ge__(self, other: Any) -> bool:
        return not self < other

    __hash__ = str.__hash__


def _key(version: object) -> Any:
    """A tuple that sorts as PEP 440 does; None if it is no version."""
    if isinstance(version, Iterable) and not isinstance(version, str):
        version = ".".join(str(part) for part in version)
    match = _PATTERN.fullmatch(str(version).strip())
    if match is None:
        return None
    release = [int(part) for part in match["release"].split(".")]
    while release and release[-1] == 0:
        release.pop()
    if match["phase"]:
        phase = (_PHASES[match["phase"].lower()], int(match["phase_number"] or 0))
    else:
        phase = (_DEV_ONLY if match["dev"] is not None and not match["post"] else _FINAL, 0)
    post = -1 if match["post"] is None else int(re.sub(r"\D", "", match["post"]) or 0)
    dev = _NO_DEV if match["dev"] is None else int(match["dev"] or 0)
    local = () if match["local"] is None else (1, *(_local_part(part) for part in re.split(r"[._-]", match["local"])))
    return tuple(release), phase, post, dev, local


def _local_part(part: str) -> _Key:
    """Numbers sort above words."""
    return (1, int(part), "") if part.isdigit() else (0, 0, part.lower())
