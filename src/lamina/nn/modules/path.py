"""Where in the network an exception came from: "Net.layers.0", called with what.

An exception that leaves a module's forward gets, once, the modules it passes on its way out: in its attribute
`_lamina_modules`, innermost first, each as (class name, name within the module around it); the outermost has the name
"". The list is made from the stack when the exception leaves the innermost module: nothing is kept while none is
raised, and threads do not meet. It holds strings only, so that the exception can be pickled. What lamina itself raised
says so in its notes too, with the user's line, the layer and the shapes it was called with. Here: making and reading
this. Not here: the call that notes it (module.py), errors that tell stories of their own (core/explained.py).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import FrameType
from typing import Any

from lamina.core.explained import DIRECT, MODULES, Explained, operands, row, where
from lamina.core.tensor import Tensor
from lamina.core.version import Place, is_own, users_place_of


def module_path(error: BaseException) -> str | None:
    """Where in the network `error` came from, as in "Net.layers.0"; None if it came from no module."""
    path: list[tuple[str, str]] | None = getattr(error, MODULES, None)
    if not path:
        return None
    return ".".join([path[-1][0], *(name or class_name for class_name, name in reversed(path[:-1]))])


def note_path(error: Exception, frame: FrameType) -> None:
    """Give `error` the modules whose calls are on the stack, from `frame` (such a call) outward.

    The first note counts.
    """
    if MODULES in error.__dict__:
        return
    modules = list(_modules_outward(frame))
    if not modules:
        return
    path = [
        (type(inner).__name__, _name_within(outer, inner)) for inner, outer in zip(modules, modules[1:], strict=False)
    ]
    error.__dict__[MODULES] = [*path, (type(modules[-1]).__name__, "")]
    direct = frame.f_back is not None and not is_own(frame.f_back.f_code.co_filename)
    error.__dict__[DIRECT] = direct if _deepest(error) is None else None
    if not isinstance(error, Explained) and _raised_by_lamina(error):
        notes = error.__dict__.setdefault("__notes__", [])
        notes[:0] = [row(word, text) for word, text in _call(error, frame, direct)]


def _raised_by_lamina(error: BaseException) -> bool:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and is_own(trace.tb_frame.f_code.co_filename) in (1, 3)


def _deepest(error: BaseException) -> Place | None:
    """The user's line that lamina was called from, below the module whose call the error leaves."""
    place, trace = None, error.__traceback__
    while trace is not None:
        if not is_own(trace.tb_frame.f_code.co_filename):
            place = trace.tb_frame.f_code, trace.tb_lasti
        trace = trace.tb_next
    return place


def _call(error: Exception, frame: FrameType, direct: bool) -> Iterator[tuple[str, str]]:
    """What is told of a module's call: the module, the user's line, what a layer of lamina's was given, and the layer."""
    module, args, kwargs = (frame.f_locals[name] for name in ("self", "args", "kwargs"))
    place = _deepest(error) or users_place_of(frame)
    yield "module", module_path(error) or ""
    yield "at", where(place)
    if not is_own(inspect.unwrap(type(module).forward).__code__.co_filename):
        return
    spelt = operands(place, len(args)) if direct else []
    names = list(inspect.signature(type(module).forward).parameters)[1:]
    for i, value in enumerate([*args, *kwargs.values()][:4]):
        name = [*names[: len(args)], *kwargs][i] if i < len(names) else "input"
        yield name, "  ".join([*spelt[i : i + 1], described(value)])
    text = repr(module)
    if "\n" not in text and len(text) <= 110:
        yield "layer", text


def described(value: Any) -> str:
    """Shape and dtype of a tensor, or what else it is."""
    if isinstance(value, Tensor):
        return f"{list(value.shape)} {value.dtype}"
    if isinstance(value, (tuple, list)) and 0 < len(value) < 4:
        return f"{type(value).__name__} of {', '.join(map(described, value))}"
    return type(value).__name__


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
