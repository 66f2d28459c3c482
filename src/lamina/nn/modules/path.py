"""Where in the network an exception came from: "Net.layers.0".

An exception that leaves a module's forward gets, once, the modules it passes on its way out: in its attribute
`_lamina_modules`, innermost first, each as (class name, name within the module around it); the outermost has the name
"". The list is made from the stack when the exception leaves the innermost module: nothing is kept while none is
raised, and threads do not meet. It holds strings only, so that the exception can be pickled. Here: making and reading
it. Not here: the call that notes it (module.py), errors that print it.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import FrameType
from typing import Any

PATH = "_lamina_modules"


def module_path(error: BaseException) -> str | None:
    """Where in the network `error` came from, as in "Net.layers.0"; None if it came from no module."""
    path: list[tuple[str, str]] | None = getattr(error, PATH, None)
    if not path:
        return None
    return ".".join([path[-1][0], *(name or class_name for class_name, name in reversed(path[:-1]))])


def note_path(error: Exception, frame: FrameType) -> None:
    """Give `error` the modules whose calls are on the stack, from `frame` (such a call) outward.

    The first note counts.
    """
    if PATH in error.__dict__:
        return
    modules = list(_modules_outward(frame))
    if not modules:
        return
    path = [
        (type(inner).__name__, _name_within(outer, inner)) for inner, outer in zip(modules, modules[1:], strict=False)
    ]
    error.__dict__[PATH] = [*path, (type(modules[-1]).__name__, "")]


def _modules_outward(frame: FrameType | None) -> Iterator[Any]:
    assert frame is not None
    call = frame.f_code
    while frame is not None:
        if frame.f_code is call:
            called = frame.f_locals["self"]
            if not getattr(type(called), "_stands_for_another", False):
                yield getattr(type(called), "_speaks_for", lambda module: module)(called)
        frame = frame.f_back


def _name_within(outer: Any, inner: Any) -> str:
    for name, module in outer._modules.items():
        if module is inner:
            return name
    return next((name for name, module in outer.named_modules() if module is inner and module is not outer), "")
