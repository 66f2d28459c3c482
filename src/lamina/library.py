"""`torch.library`: operations that a program defines under a name, `namespace::name`; the call is then `torch.ops.namespace.name`.

Here: `custom_op`, its kernels and its gradient, the older `Library`. Not here: the namespaces (ops.py). What PyTorch asks for in order to
trace (shapes of results, sharding) is accepted and not needed: operations are recorded as they run.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import lamina
from lamina import ops
from lamina.autograd.function import Function
from lamina.core.tensor import Tensor

__all__ = [
    "CustomOpDef", "Library", "custom_op", "define", "impl", "register_autograd", "register_fake", "register_kernel", "register_vmap",
]  # fmt: skip

_KERNELS = (
    "cpu",
    "default",
    "CPU",
    "CompositeExplicitAutograd",
    "CompositeImplicitAutograd",
    "Autograd",
    "AutogradCPU",
)
"""Names of devices and dispatch keys whose function is what a call on the CPU runs."""


class CustomOpDef:
    """An operation of a program's own: calls run its function without autograd, and record the gradient that was registered."""

    def __init__(self, name: str, fn: Callable[..., Any], mutates_args: str | Iterable[str] = ()) -> None:
        self._namespace, self._name = split(name)
        self._qualname = name
        self._kernel = fn
        self._signature = inspect.signature(fn)
        self._mutates = bool(mutates_args)
        self._backward: Callable[..., Any] | None = None
        self._setup_context: Callable[..., Any] | None = None
        self._vmap: Callable[..., Any] | None = None
        self._function = self._make_function()
        ops.register(self._namespace, self._name, self)

    def __repr__(self) -> str:
        return f"<CustomOpDef({self._qualname})>"

    @property
    def _opoverload(self) -> Any:
        """`torch.ops.<namespace>.<name>.default`."""
        return getattr(getattr(ops, self._namespace), self._name).default

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._mutates:
            with lamina.no_grad():
                return self._kernel(*args, **kwargs)
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise RuntimeError(f"{self._qualname}() {error}. Declaration: {self._qualname}{self._signature}") from None
        bound.apply_defaults()
        return self._function.apply(*bound.args, *bound.kwargs.values())

    def register_kernel(self, device_types: Any, fn: Callable[..., Any] | None = None, /) -> Any:
        """Use `fn` on these devices; also as a decorator. Those that are not the CPU are accepted."""
        if fn is None:
            return lambda f: self.register_kernel(device_types, f)
        listed = [device_types] if isinstance(device_types, str) or device_types is None else list(device_types)
        if None in listed or any(kind in _KERNELS for kind in listed):
            self._kernel = fn
        return fn

    def register_autograd(
        self, backward: Callable[..., Any], /, *, setup_context: Callable[..., Any] | None = None
    ) -> None:
        """`backward(ctx, *grads)` gives the gradients of the arguments; `setup_context(ctx, inputs, output)` keeps what it needs."""
        self._backward, self._setup_context = backward, setup_context

    def register_vmap(self, func: Callable[..., Any] | None = None, /) -> Any:
        """`func(info, in_dims, *args)` gives a batch of results and their `out_dims`; also as a decorator."""
        if func is None:
            return self.register_vmap
        self._vmap = func
        return func

    def register_fake(self, fn: Callable[..., Any], /) -> Callable[..., Any]:
        """Accepted: results are computed, their shapes need not be foretold."""
        return fn

    register_torch_dispatch = set_kernel_enabled = register_fake

    def _make_function(self) -> type[Function]:
        operation = self
        parameters = list(self._signature.parameters.values())
        keywords = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
        positional = len(parameters) - len(keywords)

        def forward(*args: Any) -> Any:
            given, named = args[:positional], dict(zip(keywords, args[positional:], strict=False))
            results = operation._kernel(*given, **named)
            for result in results if isinstance(results, (tuple, list)) else (results,):
                if isinstance(result, Tensor) and any(result is a for a in args):
                    raise RuntimeError(
                        f"{operation._qualname}: The output of this custom operator (1) must not also be an input to this custom "
                        "operator and (2) may not alias any inputs to this custom operator or other returns. "
                        "Return a clone() of what is given back."
                    )
            return results

        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            if operation._setup_context is None:
                return
            if keywords:
                named = dict(zip(keywords, inputs[positional:], strict=False))
                operation._setup_context(ctx, inputs[:positional], named, output)
            else:
                operation._setup_context(ctx, inputs, output)

        def backward(ctx: Any, *grads: Any) -> Any:
            if operation._backward is None:
                raise RuntimeError(
                    f"Trying to backward through {operation._namespace}.{operation._name}.default but no autograd formula was "
                    "registered. Please use register_autograd to add one."
                )
            found = operation._backward(ctx, *grads)
            return (*(found if isinstance(found, tuple) else (found,)), *(None for _ in keywords))

        def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
            if operation._vmap is None:
                raise RuntimeError(
                    f"{operation._qualname}: no rule for vmap was registered; use register_vmap to add one"
                )
            return operation._vmap(info, in_dims, *args)

        return type(
            f"GeneratedBackwardFor_{self._namespace}_{self._name}_default",
            (Function,),
            {f.__name__: staticmethod(f) for f in (forward, setup_context, backward, vmap)},
        )


def split(name: str) -> tuple[str, str]:
    """Namespace and name. Raises ValueError for a name without a namespace."""
    namespace, found, own = name.partition("::")
    if not found:
        raise ValueError(f'Expected the name of an operation to be "namespace::name", got {name!r}')
    return namespace, own


def custom_op(
    name: str, fn: Callable[..., Any] | None = None, /, *, mutates_args: str | Iterable[str], device_types: Any = None,
    schema: str | None = None, tags: Any = None,
) -> Any:  # fmt: skip
    """Define `torch.ops.<namespace>.<name>` by a function of tensors; also as a decorator.

    Raises ValueError for a name without a namespace, and for a parameter without annotation where no schema is given.
    """
    if fn is None:
        return lambda f: custom_op(
            name, f, mutates_args=mutates_args, device_types=device_types, schema=schema, tags=tags
        )
    split(name)
    if schema is None:
        signature = inspect.signature(fn)
        for parameter in signature.parameters.values():
            if parameter.annotation is inspect.Parameter.empty:
                raise ValueError(
                    f"infer_schema(func): Parameter {parameter.name} must have a type annotation. Got func with signature {signature})"
                )
    return CustomOpDef(name, fn, mutates_args)


def _find(op: Any) -> CustomOpDef:
    if isinstance(op, CustomOpDef):
        return op
    found = ops.find(*split(op)) if isinstance(op, str) else op
    if not isinstance(found, CustomOpDef):
        raise RuntimeError(f"{op}: no operation of this name has been defined with torch.library.custom_op")
    return found


def register_autograd(
    op: Any, backward: Callable[..., Any], /, *, setup_context: Callable[..., Any] | None = None, lib: Any = None
) -> None:
    """The gradient of an operation; as `CustomOpDef.register_autograd`."""
    _find(op).register_autograd(backward, setup_context=setup_context)


def register_kernel(op: Any, device_types: Any, func: Callable[..., Any] | None = None, /, *, lib: Any = None) -> Any:
    """The function of an operation on some devices; as `CustomOpDef.register_kernel`."""
    return _find(op).register_kernel(device_types, func)


def register_vmap(op: Any, func: Callable[..., Any] | None = None, /, *, lib: Any = None) -> Any:
    """The batched function of an operation; as `CustomOpDef.register_vmap`."""
    return _find(op).register_vmap(func)


def register_fake(op: Any, func: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Accepted, also as a decorator: results are computed, their shapes need not be foretold."""
    return (lambda f: f) if func is None else func


impl_abstract = register_fake


class Library:
    """Operations of one namespace, defined by a schema and a function for it. Those for other devices than the CPU are accepted."""

    def __init__(self, ns: str, kind: str, dispatch_key: str = "") -> None:
        if kind not in ("IMPL", "DEF", "FRAGMENT"):
            raise ValueError(f"Unsupported kind: {kind}")
        self.ns, self.kind, self.dispatch_key = ns, kind, dispatch_key
        self.given: list[str] = []

    def define(self, schema: str, alias_analysis: str = "", *, tags: Any = ()) -> str:
        """Announce `name(arguments) -> results`; returns the name."""
        return schema.partition("(")[0].strip()

    def impl(self, op_name: str, fn: Callable[..., Any], dispatch_key: str = "", **options: Any) -> None:
        """Let `torch.ops.<namespace>.<name>` call `fn`, whose own operations are differentiated."""
        if (dispatch_key or self.dispatch_key or "CPU") in _KERNELS:
            self.given.append(op_name.rpartition("::")[2].partition(".")[0])
            ops.register(self.ns, self.given[-1], fn)


@contextlib.contextmanager
def _scoped_library(ns: str, kind: str, dispatch_key: str = "") -> Iterator[Library]:
    """A Library whose operations are gone after the context."""
    made = Library(ns, kind, dispatch_key)
    try:
        yield made
    finally:
        for name in made.given:
            ops.forget(ns, name)


def define(qualname: str, schema: str, *, lib: Library | None = None, tags: Any = ()) -> None:
    """Announce an operation; `impl` gives its function."""
    split(qualname)


def impl(
    qualname: str, types: str | Sequence[str], func: Callable[..., Any] | None = None, *, lib: Library | None = None
) -> Any:
    """Let `torch.ops.<namespace>.<name>` call `func` on the CPU, if `types` names it; also as a decorator."""
    if func is None:
        return lambda f: impl(qualname, types, f, lib=lib)
    if any(kind in _KERNELS for kind in ([types] if isinstance(types, str) else types)):
        ops.register(*split(qualname), func)
    return func
