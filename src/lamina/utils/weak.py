"""Dictionaries whose keys are objects, by identity, held weakly. Tensors are keys of such: `==` of theirs is elementwise."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from lamina.core.tensor import Tensor

__all__ = ["TensorWeakRef", "WeakIdKeyDictionary", "WeakIdRef", "WeakRef", "WeakTensorKeyDictionary"]

WeakRef = weakref.ref


class WeakIdRef(weakref.ref):  # type: ignore[type-arg]
    """A weak reference that equals another one if both are to the same living object."""

    __slots__ = ("_id",)

    def __init__(self, key: Any, callback: Any = None) -> None:
        super().__init__(key, callback)
        self._id = id(key)

    def __call__(self) -> Any:
        """The object, or None."""
        return super().__call__()

    def __hash__(self) -> int:
        return self._id

    def __eq__(self, other: object) -> bool:
        ours = self()
        theirs = other() if isinstance(other, weakref.ref) else None
        return ours is theirs if ours is not None and theirs is not None else self is other


class WeakIdKeyDictionary(MutableMapping[Any, Any]):
    """Maps objects, by identity, as long as they live."""

    def __init__(self, dict: Mapping[Any, Any] | None = None, ref_type: Any = WeakIdRef) -> None:
        self.ref_type = ref_type
        self.data: dict[Any, Any] = {}  # type: ignore[valid-type]
        if dict is not None:
            self.update(dict)

    def _ref(self, key: Any) -> Any:
        data = self.data
        return self.ref_type(key, lambda dead: data.pop(dead, None))

    def __getitem__(self, key: Any) -> Any:
        return self.data[self.ref_type(key)]

    def __setitem__(self, key: Any, value: Any) -> None:
        self.data[self._ref(key)] = value

    def __delitem__(self, key: Any) -> None:
        del self.data[self.ref_type(key)]

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, key: object) -> bool:
        try:
            return self.ref_type(key) in self.data
        except TypeError:  # of a type that has no weak references
            return False

    def __iter__(self) -> Iterator[Any]:
        for ref in list(self.data):
            key = ref()
            if key is not None:
                yield key

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x}>"

    def copy(self) -> WeakIdKeyDictionary:
        """Another one with the same entries."""
        return type(self)(self) if type(self) is WeakTensorKeyDictionary else WeakIdKeyDictionary(self, self.ref_type)

    __copy__ = copy

    def keyrefs(self) -> list[Any]:
        """The weak references themselves."""
        return list(self.data)

    def __or__(self, other: Mapping[Any, Any]) -> Any:
        if not isinstance(other, Mapping):
            return NotImplemented
        made = self.copy()
        made.update(other)
        return made

    def __ior__(self, other: Any) -> WeakIdKeyDictionary:  # type: ignore[misc]
        self.update(other)
        return self

    def __ror__(self, other: Mapping[Any, Any]) -> Any:
        if not isinstance(other, Mapping):
            return NotImplemented
        made = self.copy()
        made.data.clear()
        made.update(other)
        made.update(self)
        return made

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return {id(k): v for k, v in self.items()} == {id(k): v for k, v in other.items()}

    __hash__ = None  # type: ignore[assignment]


class WeakTensorKeyDictionary(WeakIdKeyDictionary):
    """The same, of tensors."""


class TensorWeakRef:
    """A weak reference to a tensor."""

    def __init__(self, tensor: Tensor) -> None:
        if not isinstance(tensor, Tensor):
            raise AssertionError(f"expected Tensor, got {type(tensor)}.")
        self.ref = weakref.ref(tensor)

    def __call__(self) -> Tensor | None:
        """The tensor, or None."""
        return self.ref()
