"""`fused`: a composite that is one node of the graph, with PyTorch's name.

Its body is ordinary Python over primitives. Backward goes through the graph that the body made, kept inside the node; where the
backward is recorded itself, the body runs again on the saved inputs. With `grads=` the body has gradient rules of its own, as a
primitive has. Here: this mechanism. Not here: any composite.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from lamina.autograd import engine, errors, modes
from lamina.autograd.graph import INSIDE, Node, Output, edge_of, make
from lamina.core.device import channels_last, channels_last_3d, contiguous_format
from lamina.core.dtype import float32
from lamina.core.tensor import LEAF, Tensor, wrap
from lamina.core.version import Place, users_place
from lamina.primitives import registry
from lamina.primitives.conversion import to
from lamina.primitives.formats import channels_last_rank
from lamina.primitives.saved_names import CODES
from lamina.primitives.second import recorded
from lamina.primitives.transforms import alias

Body = Callable[..., Any]
COMPOSITES: set[str] = set()
"""Nodes of the composites without rules of their own."""


def fused(
    name: str, grads: Any = None, kernel: Callable[..., Any] | None = None, **options: Any
) -> Callable[[Body], Any]:
    """Let the composite record one node, `<name>Backward0`.

    grads: a rule for each tensor parameter of the composite, in order (None: no gradient), as a primitive's; the names after `g`
    are parameters of the composite, or `out`. kernel: what the body computes, on arrays; it stands for the body wherever no
    transform looks on. Body and kernel then take tensors by place and the rest by keyword, as a primitive's forward does, and
    `options` and the rules (on arrays or Tensors) are those of a primitive's declaration. A body may give None for what only the
    kernel keeps for its rules; large arrays stay with the kernel if `large` is False.
    """

    def decorate(body: Body) -> Any:
        if kernel is not None:
            return _with_kernel(name, body, kernel, grads, options)
        code = body.__code__
        names: tuple[str, ...] = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        count = code.co_argcount
        defaults = dict(zip(names[count - len(body.__defaults__ or ()) : count], body.__defaults__ or (), strict=True))
        defaults |= body.__kwdefaults__ or {}
        kinds = body.__annotations__
        tensor_names = tuple(n for n in names if "Tensor" in str(kinds.get(n, "")))
        ruled = None
        if grads is not None:
            ruled = registry.declare(
                f"fused {body.__name__}", body, tensor_names, grads, node=name, restores=True, wraps=True,
            )  # fmt: skip
        else:
            COMPOSITES.add(f"{name}Backward0")
        node_class = _node_class(name, names)

        @functools.wraps(body)
        def function(*args: Any, **kwargs: Any) -> Any:
            mode = modes.current()
            if mode is not None and (mode.transforms or mode.asked is not None):
                return body(*args, **kwargs)
            given = dict(zip(names, args, strict=False))
            given |= kwargs
            tensors = [v for v in given.values() if isinstance(v, Tensor)]
            low = next((t._kind.dtype for t in tensors if t._kind.dtype.is_low), None)
            grad = (mode is None or (mode.grad and not mode.inference)) and any(t._node is not None for t in tensors)
            if not grad:
                return _run(body, given, low)
            if ruled is not None:
                for n, value in defaults.items():
                    given.setdefault(n, value)
                inputs = [given.get(n) for n in tensor_names]
                token = modes.set_current(modes.with_grad(mode, False))
                try:
                    result = _run(body, given, low)
                finally:
                    modes.reset(token)
                outs = list(result) if isinstance(result, tuple) else [result]
                registry.record(_with_outputs(ruled, len(outs), outs), inputs, given, outs, None, None, mode)
                return tuple(outs) if isinstance(result, tuple) else outs[0]
            return _recorded(node_class, body, given, low, mode)

        function.fused = body  # type: ignore[attr-defined]
        if ruled is not None:
            ruled.function = ruled.public = function
            function.primitive = ruled  # type: ignore[attr-defined]
        return function

    return decorate


def _with_kernel(name: str, body: Body, kernel: Callable[..., Any], grads: Any, options: dict[str, Any]) -> Any:
    op = registry.primitive(f"fused {body.__name__}", kernel, grads, node=name, **{"large": body, **options})
    node_class = _node_class(name)

    @functools.wraps(body)
    def function(*tensors: Any, **params: Any) -> Any:
        mode = modes.current()
        if mode is not None:
            if mode.transforms or mode.asked is not None:
                return body(*tensors, **params)
            if mode.listener is not None:  # it sees what the body does
                return _seen_through(op.primitive, node_class, body, tensors, params, mode)
        return op(*tensors, **params)

    function.fused, function.primitive = body, op.primitive  # type: ignore[attr-defined]
    op.primitive.function = op.primitive.public = function
    return function


def _node_class(name: str, arguments: Sequence[str] = ()) -> type:
    shown = {
        f"_saved_{'self' if a == 'input' else a}": property(functools.partial(_argument, name=a)) for a in arguments
    }
    return type(f"{name}Backward0", (FusedNode,), {"__slots__": (), "__module__": "builtins", **shown})


def _argument(node: FusedNode, name: str) -> Any:
    """`_saved_<name>` of a composite's node: what the body was given."""
    if node._saved is None:
        raise errors.FreedGraphError(node)
    value = node.given["given"].get(name)
    return CODES.get(value, value) if name == "reduction" else value


def _seen_through(p: Any, node_class: type, body: Body, tensors: Any, params: dict[str, Any], mode: Any) -> Any:
    """What the kernel would give, computed by the body, with one node: ruled by `p` where the body gives all that its rules save.

    As the kernel's, its results lie row by row, or (images that follow others) channels innermost.
    """
    low = next((t._kind.dtype for t in tensors if t is not None and t._kind.dtype.is_low), None)
    given = dict(zip(body.__code__.co_varnames, tensors, strict=False)) | params
    recorded = mode.grad and not mode.inference and any(t is not None and t._node is not None for t in tensors)
    token = modes.set_current(modes.with_grad(mode, False))
    try:
        result = _run(body, given, low)
        rank = p.follows and channels_last_rank(t if t is None else t._array for t in tensors)
        formats = {rank: {4: channels_last, 5: channels_last_3d}[rank]} if rank else {}
        outs = [
            o if o is None else o.contiguous(memory_format=formats.get(o._array.ndim, contiguous_format))
            for o in (result if isinstance(result, tuple) else (result,))
        ]
    finally:
        modes.reset(token)
    if recorded and any(o is None for o in outs):
        return _recorded(node_class, body, given, low, mode)
    if recorded:
        registry.record(p, tensors, params, outs, None, None, mode)
    return tuple(outs) if isinstance(result, tuple) else outs[0]


def _cast(value: Any, dtype: Any) -> Any:
    """A Tensor, or an array, of `dtype`."""
    return to(value, dtype) if isinstance(value, Tensor) else value.astype(dtype.np)


def _with_outputs(p: Any, n: int, outs: list[Any]) -> Any:
    """The declaration for this number of outputs: how many there are is known when the body has run."""
    if n != p.outputs:
        p.outputs = n
        p.nondiff = tuple(i for i, o in enumerate(outs) if o is None or o._kind.dtype.category < 2)
        p.node = registry.node_class(p)
    return p


def _run(body: Body, given: dict[str, Any], low: Any) -> Any:
    """The body; in float32 for low-precision tensors, rounded once."""
    if low is None:
        return body(**given)
    wide = {n: to(v, float32) if isinstance(v, Tensor) and v._kind.dtype.is_low else v for n, v in given.items()}
    result = body(**wide)

    def narrow(t: Any) -> Any:
        return to(t, low) if isinstance(t, Tensor) and t._kind.dtype is float32 else t

    return tuple(map(narrow, result)) if isinstance(result, tuple) else narrow(result)


class FusedNode(Node):
    """The node of a composite: the graph of its body is inside."""

    __slots__ = ("given", "inner", "leaves", "low", "_width")
    _holds = INSIDE
    inner: Any  # the edges of the body's results
    leaves: list[Tensor]  # the body's own inputs, one for each edge
    given: dict[str, Any]
    low: Any
    _width: int
    body: Body

    def _vjp(self, g: Any, create: bool) -> Sequence[Any]:
        if self._saved is None:
            raise errors.FreedGraphError(self)
        for t, held in zip(self._saved, self._versions, strict=True):
            counter = t._version_
            if counter is not None and counter.n != held:
                errors.check_unchanged(self, t, held, counter)
        values = g if self._width > 1 else [g]
        if create and modes.is_grad_enabled():
            return self._again(values)
        roots = [(edge, v) for edge, v in zip(self.inner, values, strict=True) if v is not None and edge is not None]
        if self.low is not None:
            roots = [(edge, _cast(v, float32) if v.dtype.itemsize < 4 else v) for edge, v in roots]
        captures = {leaf: i for i, leaf in enumerate(self.leaves)}
        found = engine.run(roots, create=create, keep=True, captures=captures, accumulates=False, record=False)
        return [
            f if f is None or f.dtype == (leaf.dtype if create else leaf._array.dtype) else _cast(f, leaf._kind.dtype)
            for f, leaf in zip(found, self.leaves, strict=True)
        ]

    def _again(self, values: list[Any]) -> Sequence[Any]:
        """Run the body on the saved inputs, recorded, and go back through that."""
        inputs = [t for t in self._saved if t._node is not None]  # type: ignore[union-attr]
        return recorded(self, _through(self.given["body"], self.given["given"], self.low, inputs, values))

    def _release(self, place: Place | None) -> None:
        self._saved, self._versions = None, place
        self.inner = self.leaves = self.given = None  # type: ignore[assignment]


def _through(body: Body, given: dict[str, Any], low: Any, inputs: Sequence[Tensor], values: Sequence[Any]) -> list[Any]:
    """The gradients of a body in `inputs`, tensors among what it is given, from the cotangents of its results: it runs again, recorded."""
    now = modes.current()
    again = modes.is_grad_enabled()
    token = modes.set_current(modes.with_grad(now, True))
    try:
        # aliases, so that the way ends at the inputs and does not run on behind them
        aliases = {id(t): alias(t) for t in inputs}
        result = _run(body, {n: aliases.get(id(v), v) for n, v in given.items()}, low)
        outs = result if isinstance(result, tuple) else (result,)
        roots = [
            (edge_of(o), v)
            for o, v in zip(outs, values, strict=False)
            if v is not None and o is not None and o._node is not None
        ]
        # a tensor given twice has one alias: the whole of its cotangent goes along its first edge
        captures: dict[Any, int] = {}
        first = [captures.setdefault(edge_of(aliases[id(t)]), len(captures)) for t in inputs]
        found = engine.run(roots, create=True, keep=True, captures=captures, accumulates=False, record=again)
        return [found[at] if at not in first[:i] else None for i, at in enumerate(first)]
    finally:
        modes.reset(token)


def derived(
    body: Body, tensors: Sequence[Any], params: dict[str, Any], values: Sequence[Any], needs: Sequence[bool]
) -> list[Any]:
    """A rule, on Tensors, of a composite whose kernel has one for arrays: back through the body, for the inputs that are asked for."""
    low = next((t._kind.dtype for t in tensors if t is not None and t._kind.dtype.is_low), None)
    given = dict(zip(body.__code__.co_varnames, tensors, strict=False)) | params
    wanted = [i for i, need in enumerate(needs) if need]
    found = iter(_through(body, given, low, [tensors[i] for i in wanted], values))
    return [next(found) if need else None for need in needs]


def _recorded(node_class: type, body: Body, given: dict[str, Any], low: Any, mode: Any) -> Any:
    inner_args, leaves, saved, versions = {}, [], [], []
    for n, v in given.items():
        if isinstance(v, Tensor):
            saved.append(v)
            versions.append(v._version)
            if v._node is not None:
                leaf = wrap(v._array, v._kind)
                leaf._node, leaf._version_ = LEAF, v._version_
                leaves.append(leaf)
                v = leaf
        inner_args[n] = v
    result = _run(body, inner_args, low)
    outs = result if isinstance(result, tuple) else (result,)
    if all(o is None or o._node is None for o in outs):
        return result
    node: Any = make(
        node_class,
        tuple(edge_of(t) for t in saved if t._node is not None),
        tuple(saved),
        tuple(versions),
        users_place(3),
    )
    node.inner, node.leaves, node.low = [None if o is None else edge_of(o) for o in outs], leaves, low
    node.given, node._width = {"body": body, "given": given}, len(outs)
    made: list[Any] = []
    for i, o in enumerate(outs):
        if o is None or o._node is None:
            made.append(o)
            continue
        t = wrap(o._array, o._kind)
        t._version_ = o._version_
        t._node = Output(node, i) if len(outs) > 1 else node
        made.append(t)
    return tuple(made) if isinstance(result, tuple) else made[0]
