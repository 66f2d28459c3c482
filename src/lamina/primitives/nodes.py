"""The nodes that primitives record: what they saved, and how their rules run backward.

Here: unpacking, version checks, undoing of broadcasting and promotion. Not here: any rule; the short ways of the common case
(short_rules.py).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.autograd import engine, errors
from lamina.autograd.graph import NOWHERE, Node, Output
from lamina.autograd.leaves import after
from lamina.autograd.saved import Packed, SavedOutput, SavedTensor
from lamina.core.device import BY_NUMPY
from lamina.core.size import broadcast
from lamina.core.strided import Array
from lamina.core.tensor import Tensor, wrap
from lamina.primitives.kernels import sums
from lamina.primitives.primitive import Primitive
from lamina.primitives.saved_names import CODES, DERIVED, saved_names
from lamina.primitives.second import recorded

ndarray = np.ndarray

_SHOWN: dict[str, tuple[int | None, ...]] = {
    "index": (0,), "index_put": (0, 1), "conv": (0, 1, None), "clamp_below": (0, 1, None), "clamp_above": (0, None, 1),
    "fused _batch_norm_training": (0, 1, 2), "fused _batch_norm_eval": (0, 1, 2),
}  # fmt: skip
"""Which edges of a primitive users see, where that does not follow: without those of indices and buffers; None: an argument left out."""


class PrimitiveNode(Node):
    """The node of a primitive: runs its rules."""

    __slots__ = ()
    _selects = True
    _primitive: Primitive

    def _vjp(self, g: Any, create: bool, chosen: Any = None) -> Sequence[Any]:
        """chosen: where the run goes; no cotangent is computed for other edges (None: it goes along all)."""
        p = self._primitive
        if self._saved is None:
            raise errors.FreedGraphError(self)
        if g.__class__ is not ndarray and isinstance(g, np.generic):  # from a short way, which takes NumPy's scalars
            g = np.asarray(g)
        if p.wraps and not create:  # the rules are written on public functions
            return _on_tensors(self, g)
        hooked = self._extra is not None and bool(self._extra.post_hooks)
        values = self.saved_values(create)
        if any(kept.__class__ is Packed for kept in self._saved):
            results = self._unpacked(g, values, create)
            if self._extra is not None and self._extra.post_hooks and not hooked:  # registered by an unpack hook
                results = after(self._extra, results, None, self, create, True)
        else:
            results = self._ruled(g, values, create, chosen)
        return recorded(self, results) if create else results

    def _ruled(self, g: Any, values: list[Any], create: bool, chosen: Any = None) -> Sequence[Any]:
        p = self._primitive
        edges = self._edges if chosen is None else select_edges(self._edges, chosen)
        if self._fix is not None:
            return self._fixed(g, values, create, edges)
        if p.variadic:
            return p.rules[0](g, *[values[j] for j in p.picks[0]])  # type: ignore[misc,no-any-return]
        return [
            None if edge is None or rule is None else rule(g, *[values[j] for j in pick])
            for edge, rule, pick in zip(edges, p.rules, p.picks, strict=False)
        ]

    def _unpacked(self, g: Any, values: list[Any], create: bool) -> Sequence[Any]:
        """The rules on what users' hooks gave back, which may fit neither `g` nor the inputs. Raises RuntimeError then."""
        p = self._primitive
        shapes = {
            name: kept.shape for name, kept in zip(p.saves, self._saved or (), strict=True) if kept.__class__ is Packed
        }
        try:
            results = self._ruled(g, values, create)
        except ValueError as error:
            if not isinstance(g, list):
                broadcast(g.shape, *(v.shape for v in values if hasattr(v, "shape")))
            raise RuntimeError(str(error)) from None
        for i, (name, r) in enumerate(zip(p.inputs, results, strict=False)):
            shape = shapes.get(name, g.shape if p.elementwise and self._fix is None else None)
            if r is not None and shape is not None and tuple(r.shape) != shape:
                raise errors.GradientShapeError(self, i, list(r.shape), list(shape))
        return results

    def _check(self) -> None:
        if self._saved is None:
            raise errors.FreedGraphError(self)
        self.saved_values(False)

    @property
    def _shown(self) -> Sequence[int | None]:
        """Which edges users see: those of PyTorch's tensor arguments, not of indices, masks and numbers."""
        p = self._primitive
        count = len(self._edges)
        if p.name in _SHOWN and not p.alone:
            return _SHOWN[p.name]
        if p.variadic:
            return range(count)
        numbers = self._fix if self._fix is not None and len(p.inputs) > 2 else None
        return tuple(
            i for i in range(count)
            if i >= len(p.rules) or (p.rules[i] is not None and (numbers is None or numbers[i] is not None))
        )  # fmt: skip

    def _seen(self, what: str, raw: bool) -> Any:
        """`_saved_<what>` or `_raw_saved_<what>`, under PyTorch's names or the declaration's."""
        p = self._primitive
        if what in DERIVED.get(p.name, ()):
            return self._derived(what, raw)
        at = saved_names(p).get(what)
        if at is not None:
            if raw:
                return SavedTensor(self, at)
            if self._saved is None:
                raise errors.FreedGraphError(self)
            kept = self._saved[at]
            value = kept.shown(self) if kept.__class__ is Packed else self._unsaved(kept, self._versions[at], True)
            if what == "reduction":
                return CODES.get(value, value)  # type: ignore[arg-type]
            # a number that was an operand is shown as a tensor, one that was an argument as it is
            return wrap(np.asarray(value)) if value.__class__ in (int, float) and what in ("self", "other") else value
        if what in ("self", "other") and p.holds and len(p.inputs) == 2:
            return SavedTensor(self, -1) if raw else None  # the operand that no gradient needs
        name = f"_raw_saved_{what}" if raw else f"_saved_{what}"
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def _derived(self, what: str, raw: bool) -> Any:
        """What follows from what is saved. raw: the tensors of a list that is, each as what may have hooks."""
        p = self._primitive
        how, *names = DERIVED[p.name][what]
        places = [p.saves.index(name) for name in names]
        if places and self._saved is None:
            raise errors.FreedGraphError(self)
        saved: Any = self._saved
        if raw:
            *first, last = places
            numbers = how(*[saved[at] for at in first], range(len(saved[last])))
            return tuple(SavedTensor(self, -1 if i is None else last, i) for i in numbers)
        return how(*[self._unsaved(saved[at], self._versions[at], True) for at in places])

    def __dir__(self) -> list[str]:
        p = self._primitive
        names = saved_names(p)
        tensors = [n for n, at in names.items() if p.saves[at] in p.inputs or p.saves[at].startswith("out")]
        plain = [name for name in super().__dir__() if not name.startswith(("_saved_", "_raw_saved_"))]
        return [
            *plain,
            *(f"_saved_{n}" for n in (*names, *DERIVED.get(p.name, ()))),
            *(f"_raw_saved_{n}" for n in tensors),
        ]

    def saved_values(self, create: bool) -> list[Any]:
        """What was saved, as arrays or as Tensors. Raises ModifiedError for what was written to since."""
        return [self._unsaved(value, held, create) for value, held in zip(self._saved, self._versions, strict=True)]  # type: ignore[arg-type]

    def _unsaved(self, value: Any, held: Any, create: bool) -> Any:
        if isinstance(value, Tensor):
            counter = value._version_
            if counter is not None and held is not None and counter.n != held and self._needs(value):
                errors.check_unchanged(self, value, held, counter)
            return value if create else value._array
        cls = value.__class__
        if cls is SavedOutput:
            if value.version.n != held:
                errors.check_unchanged(self, value, held, value.version, True)
            return value.tensor(self) if create else value.array
        if cls is Packed:
            with engine.running(self):
                t = value.unpack(self)
            return t if create else t._array
        if cls is tuple and value and isinstance(value[0], (Tensor, Packed)):
            return tuple([self._unsaved(v, h, create) for v, h in zip(value, held, strict=True)])
        return value

    def _needs(self, value: Any) -> bool:
        """Whether a gradient that goes somewhere is computed from this saved value."""
        p = self._primitive
        if p.variadic:
            return True
        ways, saved = zip(self._edges, p.picks, strict=False), self._saved or ()
        return any(saved[j] is value for edge, pick in ways if edge is not None and edge is not NOWHERE for j in pick)

    def _fixed(self, g: Any, values: list[Any], create: bool, edges: tuple[Any, ...]) -> Sequence[Any]:
        """Rules where inputs were broadcast, promoted, complex or of low precision: undo it on the way back."""
        p = self._primitive
        gs = g if isinstance(g, list) else [g]
        kinds = [x.dtype for x in gs if x is not None]
        if not create:
            wide = np.result_type(*(np.float32 if BY_NUMPY[k].dtype.is_low else k for k in kinds))
            is_complex = wide.kind == "c" or any(isinstance(v, ndarray) and v.dtype.kind == "c" for v in values)
            gs = [None if x is None else np.asarray(x, wide) if x.dtype != wide else x for x in gs]
            if p.elementwise or wide != kinds[0]:
                to = wide if not is_complex or wide.kind == "c" else np.result_type(wide, np.complex64)
                values = [
                    v.astype(to if v.dtype.kind == "c" or to.kind != "c" else np.empty(0, to).real.dtype)
                    if isinstance(v, ndarray) and v.dtype.kind in "fciuV" and v.dtype != to and (p.elementwise or v.dtype.kind in "fV")
                    else v
                    for v in values
                ]  # fmt: skip
        else:
            is_complex = any(k.is_complex for k in kinds) or any(
                isinstance(v, Tensor) and v.is_complex() for v in values
            )
        conjugate = is_complex and p.holomorphic
        if conjugate:
            gs = [None if x is None else x.conj() for x in gs]
        given = gs if isinstance(g, list) else gs[0]
        if p.variadic:
            results: Any = p.rules[0](given, *[values[j] for j in p.picks[0]])  # type: ignore[misc]
        else:
            results = [
                None if edge is None or rule is None else rule(given, *[values[j] for j in pick])
                for edge, rule, pick in zip(edges, p.rules, p.picks, strict=False)
            ]
        done = []
        for r, about in zip(results, self._fix, strict=False):
            if r is not None and about is not None:
                if conjugate:
                    r = r.conj()
                shape, dtype = about
                r = _restored(r, shape if p.restores else None, dtype, create)
            done.append(r)
        return done


def select_edges(edges: tuple[Any, ...], chosen: Any) -> tuple[Any, ...]:
    """The edges of a node that lead to what is `chosen`; None for the others."""
    return tuple([e if (e.node if e.__class__ is Output else e) in chosen else None for e in edges])


class SavedName:
    """What reads `_saved_<what>` from the nodes that have it. A `__getattr__` would make every access to a node a slow one."""

    __slots__ = ("raw", "what")

    def __init__(self, what: str, raw: bool) -> None:
        self.what, self.raw = what, raw

    def __get__(self, node: PrimitiveNode | None, owner: type[Any]) -> Any:
        return self if node is None else node._seen(self.what, self.raw)


_NAMED: set[str] = set()


def name_saved(p: Primitive) -> None:
    """Let nodes be asked for what the rules of `p` save."""
    for what in ("self", "other", *saved_names(p), *DERIVED.get(p.name, ())):
        if what not in _NAMED:
            _NAMED.add(what)
            setattr(PrimitiveNode, f"_saved_{what}", SavedName(what, False))
            setattr(PrimitiveNode, f"_raw_saved_{what}", SavedName(what, True))


def _on_tensors(node: PrimitiveNode, g: Any) -> Sequence[Any]:
    """Rules that need Tensors, in a backward that is not recorded."""
    given = [None if x is None else wrap(x) for x in g] if isinstance(g, list) else wrap(g)
    return [None if r is None else r._array if isinstance(r, Tensor) else r for r in node._vjp(given, True)]


def overload(out: Tensor, forms: int = 1) -> Tensor:
    """Let the node of `out` be named as that of another overload, `forms` further: PyTorch numbers them."""
    node = out._node
    if isinstance(node, PrimitiveNode):
        cls: Any = node.__class__
        node.__class__ = _renumbered(cls, forms)
    return out


@functools.cache
def _renumbered(cls: type[Any], forms: int) -> type[Any]:
    name = cls.__name__.rstrip("0123456789")
    number = int(cls.__name__[len(name) :]) + forms
    return type(f"{name}{number}", (cls,), {"__slots__": (), "__module__": cls.__module__})


def of_number(out: Tensor) -> Tensor:
    """Let the node of `out` show one edge: the overload of PyTorch's that takes a number in place of the last tensor."""
    node = out._node
    if isinstance(node, PrimitiveNode):
        cls: Any = node.__class__
        node.__class__ = _with_one_edge(cls)
    return out


def named(out: Tensor, name: str) -> Tensor:
    """Let the node of `out` be called `<name>Backward0`: where PyTorch does the same by another operation."""
    node = out._node.node if isinstance(out._node, Output) else out._node
    if isinstance(node, Node):
        cls: Any = node.__class__
        if cls.__name__ != f"{name}Backward0":
            node.__class__ = _called(cls, f"{name}Backward0")
    return out


@functools.cache
def _called(cls: type[Any], name: str) -> type[Any]:
    return type(name, (cls,), {"__slots__": (), "__module__": cls.__module__})


@functools.cache
def _with_one_edge(cls: type[Any]) -> type[Any]:
    return type(cls.__name__, (cls,), {"__slots__": (), "__module__": cls.__module__, "_shown": (0,)})


class SeveralNode(PrimitiveNode):
    """The node of a primitive whose arguments say how many outputs there are."""

    __slots__ = ("_width",)
    _width: int
    _lists = True


def _restored(r: Any, shape: Any, dtype: Any, create: bool) -> Any:
    """A cotangent in the shape and dtype of its input: summed over broadcast dimensions, real for a real input."""
    if create:
        if shape is not None and r.shape != shape:
            r = r.sum_to_size(shape)
        if r.is_complex() and dtype.kind != "c":
            r = r.real
        to = BY_NUMPY[dtype].dtype
        return r if r.dtype is to else r.to(to)
    if shape is not None and r.shape != shape:
        r = sum_to(r, shape)
    if r.dtype != dtype:
        if r.dtype.kind == "c" and dtype.kind != "c":
            r = r.real
        r = r.astype(dtype)
    return r


def sum_to(array: Array, shape: tuple[int, ...]) -> Array:
    """Sum the dimensions that broadcasting from `shape` added or stretched."""
    lead = array.ndim - len(shape)
    if lead == 1 and shape == array.shape[1:]:  # a bias
        added = sums.columns(array)
        if added is not None:
            return added
    axes = tuple(range(lead)) + tuple(i + lead for i, n in enumerate(shape) if n == 1 and array.shape[i + lead] != 1)
    if axes:
        array = np.add.reduce(array, axis=axes, keepdims=True)
    return array.reshape(shape)
