"""`Parameter`, `Buffer` and their uninitialised forms: tensors that a Module registers by being assigned."""

from __future__ import annotations

from typing import Any

from lamina.core import factories
from lamina.core.tensor import Tensor


class _InstanceByFlag(type(Tensor)):  # type: ignore[misc]
    """isinstance also holds for a tensor of another class that carries the mark `_is_param` (subclasses of users)."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if type.__instancecheck__(cls, instance):
            return True
        return cls.__name__ == "Parameter" and isinstance(instance, Tensor) and getattr(instance, "_is_param", False)


class Parameter(Tensor, metaclass=_InstanceByFlag):
    """A tensor that is a Module's parameter. It shares memory with `data`.

    data: any tensor (default: an empty one); requires_grad: whether gradients are accumulated.
    """

    __module__ = "torch.nn.parameter"
    __slots__ = ()
    _overrides = False

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        return factories.parameter(cls, data, requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) in memo:
            return memo[id(self)]
        made = type(self)(self.data.clone(), self.requires_grad)
        memo[id(self)] = made
        return made

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuild, (type(self), self.data, self.requires_grad, dict(self.__dict__))


def _rebuild(cls: type, data: Any, requires_grad: bool, state: dict[str, Any]) -> Any:
    made = cls(data, requires_grad)
    made.__dict__.update(state)
    return made

