"""`Parameter`, `Buffer` and their uninitialised forms: tensors that a Module registers by being assigned."""

from __future__ import annotations

import copyreg
from typing import Any

import numpy as np

from lamina.core import factories
from lamina.core.tensor import Tensor, TensorType, own_class


class ParameterType(TensorType):
    """isinstance also holds for a tensor of a user's class that carries the mark `_is_param`."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if type.__instancecheck__(cls, instance):
            return True
        return cls is Parameter and isinstance(instance, Tensor) and getattr(instance, "_is_param", False)


copyreg.pickle(ParameterType, copyreg.dispatch_table[TensorType])


@own_class
class Parameter(Tensor, metaclass=ParameterType):
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


@own_class
class Buffer(Tensor, metaclass=ParameterType):
    """A tensor that a Module registers as a buffer when it is assigned. persistent: whether it is in the state_dict."""

    __module__ = "torch.nn.parameter"
    __slots__ = ()
    _overrides = False

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        made = factories.parameter(cls, data, False)
        made.persistent, made._is_buffer = persistent, True
        return made


class UninitializedTensorMixin:
    """A parameter without a shape yet: lazy modules give it one at their first call. Its other base is a Tensor."""

    __slots__ = ()
    cls_to_become: Any = None

    def materialize(self: Any, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Give it memory of `shape`, uninitialised; from now on it is an ordinary parameter."""
        made = self._empty(shape, device, dtype)
        self._array, self._kind = made._array, made._kind
        self.__class__ = self.cls_to_become

    def _empty(self: Any, shape: Any, device: Any, dtype: Any) -> Any:
        kind = factories.kind_of(dtype or self._kind.dtype, device)
        return factories.leaf_like(Tensor, np.empty(tuple(shape), kind.np), kind, False)

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in `load_state_dict` when "
            "trying to load an uninitialized parameter into an initialized one. Call `forward` to initialize the parameters before "
            "accessing their attributes."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __deepcopy__(self: Any, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, dtype=self._kind.dtype)
        return memo[id(self)]

    def __reduce_ex__(self: Any, protocol: Any) -> Any:
        return _uninitialized, (type(self).__name__, self.requires_grad, self._kind.dtype)


def _uninitialized(name: str, requires_grad: bool, dtype: Any) -> Any:
    return (
        UninitializedParameter(requires_grad, dtype=dtype)
        if name == "UninitializedParameter"
        else UninitializedBuffer(dtype=dtype)
    )


@own_class
class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape is not known yet."""

    __module__ = "torch.nn.parameter"
    _overrides = True
    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        kind = factories.kind_of(dtype, device)
        return factories.leaf_like(cls, np.empty(0, kind.np), kind, requires_grad)


@own_class
class UninitializedBuffer(UninitializedTensorMixin, Tensor, metaclass=ParameterType):
    """A buffer whose shape is not known yet."""

    __module__ = "torch.nn.parameter"
    _overrides = True
    cls_to_become = Tensor

    def __new__(
        cls, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> Any:
        kind = factories.kind_of(dtype, device)
        made = factories.leaf_like(cls, np.empty(0, kind.np), kind, requires_grad)
        made.persistent, made._is_buffer = persistent, True
        return made


def is_lazy(t: Any) -> bool:
    """Whether `t` still waits for its shape."""
    return isinstance(t, UninitializedTensorMixin)
