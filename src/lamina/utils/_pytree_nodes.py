"""The inner nodes of trees: registered containers, and the structure of a tree, `TreeSpec`.

Here: registration, the containers of Python, keys, structures. Not here: what is done with trees (_pytree.py).
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import reduce
from typing import Any, NamedTuple

from lamina.core.size import Size

Context = Any
PyTree = Any


class NodeDef(NamedTuple):
    """How a container is taken apart and put together."""

    type: type
    flatten_fn: Callable[[Any], tuple[list[Any], Context]]
    unflatten_fn: Callable[[Iterable[Any], Context], Any]
    flatten_with_keys_fn: Callable[[Any], tuple[list[tuple[Any, Any]], Context]] | None


SUPPORTED_NODES: dict[Any, NodeDef] = {}
CONSTANT_NODES: set[type] = set()


class SerializeNodeDef(NamedTuple):
    """What a registration says about text: the container's name, and its context to and from something that JSON knows."""

    typ: type
    serialized_type_name: str
    to_dumpable_context: Callable[[Context], Any] | None
    from_dumpable_context: Callable[[Any], Context] | None


SUPPORTED_SERIALIZED_TYPES: dict[Any, SerializeNodeDef] = {}


def register_pytree_node(
    cls: Any, flatten_fn: Callable[[Any], tuple[list[Any], Context]], unflatten_fn: Callable[[Iterable[Any], Context], Any], *,
    serialized_type_name: str | None = None, to_dumpable_context: Any = None, from_dumpable_context: Any = None,
    flatten_with_keys_fn: Any = None,
) -> None:  # fmt: skip
    """Let instances of `cls` be inner nodes of trees. Raises ValueError for a class that is registered."""
    if cls in SUPPORTED_NODES:
        raise ValueError(f"{cls} is already registered as pytree node.")
    if (to_dumpable_context is None) ^ (from_dumpable_context is None):
        raise ValueError(f"Both to_dumpable_context and from_dumpable_context for {cls} must be None or registered.")
    SUPPORTED_NODES[cls] = NodeDef(cls, flatten_fn, unflatten_fn, flatten_with_keys_fn)
    if serialized_type_name is not None:
        SUPPORTED_SERIALIZED_TYPES[cls] = SerializeNodeDef(
            cls, serialized_type_name, to_dumpable_context, from_dumpable_context
        )


def _register_pytree_node(cls: type, flatten_fn: Any, unflatten_fn: Any, *_: Any, **options: Any) -> None:
    """The old name of `register_pytree_node`; a second registration replaces the first."""
    SUPPORTED_NODES.pop(cls, None)
    register_pytree_node(cls, flatten_fn, unflatten_fn, **options)


_private_register_pytree_node = _register_pytree_node


def _deregister_pytree_node(cls: type) -> None:
    del SUPPORTED_NODES[cls]
    SUPPORTED_SERIALIZED_TYPES.pop(cls, None)
    CONSTANT_NODES.discard(cls)


@dataclasses.dataclass(frozen=True)
class ConstantNode:
    """The context of a constant: its value."""

    value: Any


def register_constant(cls: type) -> None:
    """Let instances of `cls` be part of the structure of a tree, compared by `==`, and no leaves."""
    register_pytree_node(
        cls, lambda x: ([], ConstantNode(x)), lambda leaves, context: context.value,
        flatten_with_keys_fn=lambda x: ([], ConstantNode(x)),
    )  # fmt: skip
    CONSTANT_NODES.add(cls)


def is_constant_class(cls: type) -> bool:
    return cls in CONSTANT_NODES


def register_dataclass(
    cls: type,
    *,
    field_names: list[str] | None = None,
    drop_field_names: list[str] | None = None,
    serialized_type_name: str | None = None,
) -> None:
    """Let a dataclass be an inner node: its fields are the children, those that are None part of the structure."""
    dropped = set(drop_field_names or ())
    names = field_names or [f.name for f in dataclasses.fields(cls) if f.init and f.name not in dropped]

    def apart(x: Any) -> tuple[list[Any], Context]:
        kept = [n for n in names if getattr(x, n) is not None]
        return [getattr(x, n) for n in kept], [kept, [n for n in names if n not in kept]]

    def together(values: Iterable[Any], context: Context) -> Any:
        return cls(**dict(zip(context[0], values, strict=True)), **dict.fromkeys(context[1]))

    def with_keys(x: Any) -> tuple[list[tuple[Any, Any]], Context]:
        values, context = apart(x)
        return [(GetAttrKey(n), v) for n, v in zip(context[0], values, strict=True)], context

    register_pytree_node(
        cls, apart, together, serialized_type_name=serialized_type_name, flatten_with_keys_fn=with_keys
    )


# ---- paths to leaves -------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class SequenceKey:
    """A step by position."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"

    def get(self, sequence: Any) -> Any:
        return sequence[self.idx]


@dataclasses.dataclass(frozen=True)
class MappingKey:
    """A step by key."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"

    def get(self, mapping: Any) -> Any:
        return mapping[self.key]


@dataclasses.dataclass(frozen=True)
class GetAttrKey:
    """A step by attribute."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"

    def get(self, obj: Any) -> Any:
        return getattr(obj, self.name)


KeyEntry = Any
KeyPath = tuple[KeyEntry, ...]


def keystr(kp: KeyPath) -> str:
    """A path as it would be written behind the tree's name."""
    return "".join(map(str, kp))


def key_get(obj: Any, kp: KeyPath) -> Any:
    """What lies at a path."""
    return reduce(lambda found, key: key.get(found), kp, obj)


# ---- the containers --------------------------------------------------------------------------------------------------


def is_namedtuple_class(cls: type) -> bool:
    """Whether `cls` was made by namedtuple."""
    return (
        isinstance(cls, type)
        and issubclass(cls, tuple)
        and isinstance(getattr(cls, "_fields", None), tuple)
        and hasattr(cls, "_make")
    )


def is_namedtuple(obj: Any) -> bool:
    """Whether `obj` is a class made by namedtuple, or an instance of one."""
    return is_namedtuple_class(obj if isinstance(obj, type) else type(obj))


def is_namedtuple_instance(obj: Any) -> bool:
    return is_namedtuple_class(type(obj))


_is_namedtuple_instance = is_namedtuple_instance


def is_structseq_class(cls: type) -> bool:
    """Whether `cls` is one of C's named tuples, such as time.struct_time."""
    return (
        isinstance(cls, type)
        and issubclass(cls, tuple)
        and all(isinstance(getattr(cls, n, None), int) for n in ("n_fields", "n_sequence_fields"))
    )


def is_structseq(obj: Any) -> bool:
    return is_structseq_class(obj if isinstance(obj, type) else type(obj))


def is_structseq_instance(obj: Any) -> bool:
    return is_structseq_class(type(obj))


def _by_position(values: Iterable[Any]) -> list[tuple[Any, Any]]:
    return [(SequenceKey(i), v) for i, v in enumerate(values)]


def _by_key(d: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    return [(MappingKey(k), v) for k, v in d.items()]


def _default_context(d: Any) -> Context:
    return [d.default_factory, list(d)]


register_pytree_node(
    tuple, lambda x: (list(x), None), lambda v, _: tuple(v), serialized_type_name="builtins.tuple",
    flatten_with_keys_fn=lambda x: (_by_position(x), None))  # fmt: skip
register_pytree_node(
    list, lambda x: (x, None), lambda v, _: list(v), serialized_type_name="builtins.list",
    flatten_with_keys_fn=lambda x: (_by_position(x), None))  # fmt: skip
register_pytree_node(
    dict, lambda x: (list(x.values()), list(x)), lambda v, keys: dict(zip(keys, v, strict=True)), serialized_type_name="builtins.dict",
    flatten_with_keys_fn=lambda x: (_by_key(x), list(x)))  # fmt: skip
register_pytree_node(
    OrderedDict, lambda x: (list(x.values()), list(x)), lambda v, keys: OrderedDict(zip(keys, v, strict=True)),
    serialized_type_name="collections.OrderedDict", flatten_with_keys_fn=lambda x: (_by_key(x), list(x)))  # fmt: skip
register_pytree_node(
    defaultdict, lambda x: (list(x.values()), _default_context(x)),
    lambda v, context: defaultdict(context[0], zip(context[1], v, strict=True)), serialized_type_name="collections.defaultdict",
    flatten_with_keys_fn=lambda x: (_by_key(x), _default_context(x)),
    to_dumpable_context=lambda c: {
        "default_factory_module": c[0].__module__, "default_factory_name": c[0].__qualname__, "dict_context": c[1]},
    from_dumpable_context=lambda d: [
        getattr(__import__(d["default_factory_module"]), d["default_factory_name"]), d["dict_context"]])  # fmt: skip
register_pytree_node(
    deque, lambda x: (list(x), x.maxlen), lambda v, maxlen: deque(v, maxlen), serialized_type_name="collections.deque",
    flatten_with_keys_fn=lambda x: (_by_position(x), x.maxlen))  # fmt: skip


register_pytree_node(
    Size, lambda x: (list(x), None), lambda v, _: tuple(v), serialized_type_name="torch.Size",
    flatten_with_keys_fn=lambda x: (_by_position(x), None))  # fmt: skip

NAMED: dict[Any, str] = {}
"""Classes made by namedtuple that may be written as text, and their names there."""


def _register_namedtuple(cls: Any, *, serialized_type_name: str) -> None:
    """Let structures with this namedtuple be written as text."""
    NAMED[cls] = serialized_type_name


def _name_of(cls: Any) -> str:
    if cls not in NAMED:
        raise NotImplementedError(
            f"Can't serialize TreeSpec of namedtuple class {cls} because we didn't register a serializated_type_name. Please register "
            "using `_register_namedtuple`."
        )
    return NAMED[cls]


def _named(name: Any) -> Any:
    for cls, known in NAMED.items():
        if known == name:
            return cls
    raise NotImplementedError(f"Can't deserialize TreeSpec of namedtuple class {name}: it is not registered")


# the function stands in a TreeSpec for every class that it has made; the class is the context
register_pytree_node(
    namedtuple, lambda x: (list(x), type(x)), lambda v, cls: cls(*v), serialized_type_name="collections.namedtuple",
    to_dumpable_context=_name_of, from_dumpable_context=_named,
    flatten_with_keys_fn=lambda x: ([(GetAttrKey(n), v) for n, v in zip(x._fields, x, strict=True)], type(x)))  # fmt: skip

# The functions by the names that packages which register a container of their own build on.
_tuple_flatten, _tuple_unflatten, _tuple_flatten_with_keys = SUPPORTED_NODES[tuple][1:]
_list_flatten, _list_unflatten, _list_flatten_with_keys = SUPPORTED_NODES[list][1:]
_dict_flatten, _dict_unflatten, _dict_flatten_with_keys = SUPPORTED_NODES[dict][1:]
_ordereddict_flatten, _ordereddict_unflatten, _ordereddict_flatten_with_keys = SUPPORTED_NODES[OrderedDict][1:]
_defaultdict_flatten, _defaultdict_unflatten, _defaultdict_flatten_with_keys = SUPPORTED_NODES[defaultdict][1:]
_deque_flatten, _deque_unflatten, _deque_flatten_with_keys = SUPPORTED_NODES[deque][1:]
_namedtuple_flatten, _namedtuple_unflatten, _namedtuple_flatten_with_keys = SUPPORTED_NODES[namedtuple][1:]

BUILTIN_TYPES = frozenset((tuple, list, dict, namedtuple, OrderedDict, defaultdict, deque))
STANDARD_DICT_TYPES = frozenset((dict, OrderedDict, defaultdict))


def _get_node_type(tree: Any) -> Any:
    cls = type(tree)
    if cls in SUPPORTED_NODES:
        return cls
    if issubclass(cls, tuple):
        if is_namedtuple_class(cls):
            return namedtuple
        if cls.__module__ == "torch.return_types" and is_structseq_class(cls):
            register_pytree_node(
                cls,
                lambda x: (list(x), None),
                lambda v, _: cls(v),
                flatten_with_keys_fn=lambda x: (_by_position(x), None),
            )
    return cls


IsLeaf = Callable[[Any], bool] | None


def tree_is_leaf(tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Whether `tree` is a leaf: no registered container, or one that `is_leaf` says to be one."""
    return (is_leaf is not None and is_leaf(tree)) or _get_node_type(tree) not in SUPPORTED_NODES


_is_leaf = tree_is_leaf


# ---- structures ------------------------------------------------------------------------------------------------------


class TreeSpec:
    """The structure of a tree: its containers without the leaves."""

    __slots__ = ("_children", "_context", "num_children", "num_leaves", "num_nodes", "type")

    def __init__(self, type: Any, context: Context, children_specs: list[TreeSpec]) -> None:
        self.type, self._context, self._children = type, context, children_specs
        self.num_children = len(children_specs)
        if type is None:
            self.num_leaves = self.num_nodes = 1
        else:
            self.num_leaves = sum(c.num_leaves for c in children_specs)
            self.num_nodes = 1 + sum(c.num_nodes for c in children_specs)

    @property
    def context(self) -> Context:
        return self._context

    @property
    def children_specs(self) -> list[TreeSpec]:
        return self._children

    def children(self) -> list[TreeSpec]:
        """The structures of the children."""
        return list(self._children)

    def child(self, index: int) -> TreeSpec:
        """The structure of one child."""
        return self._children[index]

    def is_leaf(self) -> bool:
        """Whether this is the structure of a leaf."""
        return self.type is None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TreeSpec) and (self.type, self._context, self._children) == (
            other.type,
            other._context,
            other._children,
        )

    def __hash__(self) -> int:
        return hash((self.type, repr(self._context), tuple(self._children)))

    def __repr__(self, indent: int = 0) -> str:
        if self.type is None:
            return "*"
        inner = indent + 2
        children = f",\n{' ' * inner}".join(child.__repr__(inner) for child in self._children)
        return f"TreeSpec({self.type.__name__}, {self._context}, [{children}])"

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The tree with these leaves. Raises ValueError for another number of them."""
        given = list(leaves)
        if len(given) != self.num_leaves:
            raise ValueError(
                f"treespec.unflatten(leaves): `leaves` has length {len(given)} but the spec refers to a pytree that holds "
                f"{self.num_leaves} items ({self})."
            )
        return self._filled(iter(given))

    def _filled(self, leaves: Iterator[Any]) -> Any:
        if self.type is None:
            return next(leaves)
        return SUPPORTED_NODES[self.type].unflatten_fn(
            [child._filled(leaves) for child in self._children], self._context
        )

    def flatten_up_to(self, tree: Any) -> list[Any]:
        """The parts of `tree` that stand where this structure has leaves. Raises ValueError for another structure."""
        if self.type is None:
            return [tree]
        node = _get_node_type(tree)
        both_dicts = node in STANDARD_DICT_TYPES and self.type in STANDARD_DICT_TYPES
        if node is not self.type and not both_dicts:
            raise ValueError(f"Node type mismatch; expected {self.type!r}, but got {type(tree)!r}.")
        if both_dicts:
            keys = self._context[1] if self.type is defaultdict else self._context
            if set(keys) != set(tree):
                missing, extra = set(keys) - set(tree), set(tree) - set(keys)
                said = (f"; missing key(s): {missing}" if missing else "") + (
                    f"; extra key(s): {extra}" if extra else ""
                )
                raise ValueError(f"Node keys mismatch{said}.")
            parts = [tree[k] for k in keys]
        else:
            parts, context = SUPPORTED_NODES[node].flatten_fn(tree)
            if len(parts) != self.num_children:
                raise ValueError(f"Node arity mismatch; expected {self.num_children}, but got {len(parts)}.")
            if self.type is not deque and context != self._context:  # deques may differ in maxlen
                raise ValueError(f"Node context mismatch for custom node type {self.type!r}.")
        return [leaf for part, child in zip(parts, self._children, strict=True) for leaf in child.flatten_up_to(part)]


PyTreeSpec = TreeSpec


class _IsLeaf(type):
    def __instancecheck__(cls, spec: Any) -> bool:
        return isinstance(spec, TreeSpec) and spec.is_leaf()


class LeafSpec(TreeSpec, metaclass=_IsLeaf):
    """The structure of a leaf."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(None, None, [])


_LEAF_SPEC = LeafSpec()


def treespec_leaf() -> TreeSpec:
    """The structure of a leaf."""
    return _LEAF_SPEC


def treespec_tuple(iterable: Iterable[TreeSpec] = (), /) -> TreeSpec:
    """The structure of a tuple whose entries have these structures."""
    return TreeSpec(tuple, None, list(iterable))


def treespec_dict(mapping: Any = (), /, **kwargs: TreeSpec) -> TreeSpec:
    """The structure of a dict whose values have these structures."""
    given = dict(mapping, **kwargs)
    return TreeSpec(dict, list(given), list(given.values()))
