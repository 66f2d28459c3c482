"""`flags(...)`: a context that sets a module's settings and puts them back."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def setting(module: str, **values: Any) -> Iterator[None]:
    """Set attributes of the module of that name inside the context; None leaves one as it is."""
    namespace = vars(sys.modules[module])
    before = {name: namespace[name] for name, value in values.items() if value is not None}
    namespace.update({name: values[name] for name in before})
    try:
        yield
    finally:
        namespace.update(before)
