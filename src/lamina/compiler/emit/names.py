"""The names of kernels: equal kernels for equal machines have one."""

from __future__ import annotations

from hashlib import blake2b


def symbol_of(*parts: object) -> str:
    """A name that follows from the text of the parts."""
    return "k" + blake2b(repr(parts).encode(), digest_size=12).hexdigest()
