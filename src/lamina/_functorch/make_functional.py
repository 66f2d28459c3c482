"""functorch's older form of `torch.func.functional_call`: a module becomes a function of its parameters, which are a tuple."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from lamina.core.tensor import Tensor
from lamina.func.functional_call import functional_call
from lamina.nn.modules.module import Module
from lamina.primitives.joining import stack

__all__ = [
    "FunctionalModule", "FunctionalModuleWithBuffers", "combine_state_for_ensemble", "functional_init", "functional_init_with_buffers",
    "make_functional", "make_functional_with_buffers",
]  # fmt: skip


class FunctionalModuleWithBuffers(Module):
    """What `make_functional_with_buffers` returns: call it with parameters, buffers and the module's arguments."""

    def __init__(self, stateless_model: Module, param_names: Sequence[str], buffer_names: Sequence[str]) -> None:
        super().__init__()
        self.stateless_model = stateless_model
        self.param_names, self.buffer_names = tuple(param_names), tuple(buffer_names)

    def forward(self, params: Sequence[Tensor], buffers: Sequence[Tensor], *args: Any, **kwargs: Any) -> Any:
        """The module's result with these tensors, in the order of its own."""
        given = dict(zip((*self.param_names, *self.buffer_names), (*params, *buffers), strict=True))
        return functional_call(self.stateless_model, given, args, kwargs)


class FunctionalModule(Module):
    """What `make_functional` returns: call it with parameters and the module's arguments."""

    def __init__(self, stateless_model: Module, param_names: Sequence[str]) -> None:
        super().__init__()
        self.stateless_model, self.param_names = stateless_model, tuple(param_names)

    def forward(self, params: Sequence[Tensor], *args: Any, **kwargs: Any) -> Any:
        """The module's result with these parameters, in the order of its own."""
        given = dict(zip(self.param_names, params, strict=True))
        return functional_call(self.stateless_model, given, args, kwargs)


def make_functional(
    model: Module, disable_autograd_tracking: bool = False
) -> tuple[FunctionalModule, tuple[Tensor, ...]]:
    """A function of the parameters of a module without buffers, and copies of its parameters.

    disable_autograd_tracking: the copies do not require grad. Raises RuntimeError for a module with buffers.
    """
    if any(True for _ in model.buffers()):
        raise RuntimeError(
            "make_functional(model): `model` has buffers. Please use make_functional_with_buffers(model) instead."
        )
    made, params, _ = make_functional_with_buffers(model, disable_autograd_tracking)
    return FunctionalModule(made.stateless_model, made.param_names), params


def make_functional_with_buffers(
    model: Module, disable_autograd_tracking: bool = False
) -> tuple[FunctionalModuleWithBuffers, tuple[Tensor, ...], tuple[Tensor, ...]]:
    """A function of a module's parameters and buffers, and copies of both."""
    own = copy.deepcopy(model)
    params, buffers = dict(own.named_parameters()), dict(own.named_buffers())
    values = tuple(
        p.detach().requires_grad_(p.requires_grad and not disable_autograd_tracking) for p in params.values()
    )  # type: ignore[attr-defined]
    return FunctionalModuleWithBuffers(own, list(params), list(buffers)), values, tuple(buffers.values())


def combine_state_for_ensemble(
    models: Sequence[Module],
) -> tuple[FunctionalModuleWithBuffers, tuple[Tensor, ...], tuple[Tensor, ...]]:
    """A function for one of several modules built alike, and the parameters and buffers of all, stacked.

    Raises RuntimeError for no modules, for several classes, or where some train and some do not.
    """
    if not models:
        raise RuntimeError("combine_state_for_ensemble: Expected at least one model, got 0.")
    if len({m.training for m in models}) > 1:
        raise RuntimeError("combine_state_for_ensemble: Expected all models to have the same training/eval mode.")
    if len({type(m) for m in models}) > 1:
        raise RuntimeError("combine_state_for_ensemble: Expected all models to be of the same class.")
    made = [make_functional_with_buffers(m) for m in models]
    return made[0][0], _stacked([params for _, params, _ in made]), _stacked([buffers for _, _, buffers in made])


def _stacked(rows: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    return tuple(stack(list(same)).detach() for same in zip(*rows, strict=True))


# ---- modules made as functions ---------------------------------------------------------------------------------------


def functional_init(model_class: type[Module], ensemble_shape: Any = (), device: Any = "cpu") -> Callable[..., Any]:
    """In place of `model_class(*args)`: (parameters, function, names). ensemble_shape: () or (n,), for n modules' parameters, stacked.

    The function takes the parameters and a tuple of the module's arguments.
    """

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        params, _, function, names, _ = functional_init_with_buffers(model_class, ensemble_shape, device)(
            *args, **kwargs
        )
        return params, lambda given, inputs: function(given, (), inputs), names

    return wrapped


def functional_init_with_buffers(
    model_class: type[Module], ensemble_shape: Any = (), device: Any = "cpu"
) -> Callable[..., Any]:
    """In place of `model_class(*args)`: (parameters, buffers, function, parameters' names, buffers' names)."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if len(ensemble_shape) > 1:
            raise ValueError("NYI: ensemble_shape with more than 1 element")
        count = ensemble_shape[0] if ensemble_shape else 1
        if count <= 0:
            raise ValueError(f"num_models {count} should be > 0")
        made = [make_functional_with_buffers(model_class(*args, **kwargs).to(device)) for _ in range(count)]
        function, params, buffers = made[0]
        if ensemble_shape:
            params = _stacked([own for _, own, _ in made])
            buffers = _stacked([own for _, _, own in made])

        def call(given: Any, own: Any, inputs: tuple[Any, ...]) -> Any:
            return function(given, own, *inputs)

        return params, buffers, call, function.param_names, function.buffer_names

    return wrapped
