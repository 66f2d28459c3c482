"""`RemovableHandle`: what registering a hook returns."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from weakref import ref

from lamina.core.changes import changes


class RemovableHandle:
    """What registering a hook returns: `remove()` takes it out again; a context manager too."""

    __module__ = "torch.utils.hooks"
    next_id = 0

    def __init__(self, hooks: Any, hook: Any = None, *, extra_dict: Any = None) -> None:
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        try:
            self.hooks_dict_ref: Callable[[], Any] = ref(hooks)
        except TypeError:
            self.hooks_dict_ref = lambda: hooks
        extras = [] if extra_dict is None else [extra_dict] if isinstance(extra_dict, dict) else list(extra_dict)
        self.extra_dict_ref: tuple[Callable[[], Any], ...] = tuple(ref(d) for d in extras)
        if hook is not None:
            hooks[self.id] = hook
        changes[0] += 1

    def remove(self) -> None:
        """Take the hook out; again does nothing."""
        changes[0] += 1
        for held in (self.hooks_dict_ref, *self.extra_dict_ref):
            hooks = held()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __reduce__(
        self,
    ) -> Any:  # by the place of this room: the class says PyTorch's, where a pickler would look for it
        return _handle, (), self.__getstate__()

    def __getstate__(self) -> tuple[Any, ...]:
        return (self.hooks_dict_ref(), self.id, tuple(d() for d in self.extra_dict_ref))

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        hooks = OrderedDict() if state[0] is None else state[0]
        self.hooks_dict_ref = ref(hooks)
        self.id = state[1]
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)
        self.extra_dict_ref = tuple(
            ref(OrderedDict() if d is None else d) for d in (state[2] if len(state) > 2 else ())
        )

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def _handle() -> RemovableHandle:
    return RemovableHandle.__new__(RemovableHandle)
