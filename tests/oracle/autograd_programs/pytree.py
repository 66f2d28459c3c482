"""torch.utils._pytree: containers, structures as text, paths, registration."""

import copy
import dataclasses
import pickle
import warnings

import torch
import torch.utils._pytree as P
from collections import namedtuple, OrderedDict, defaultdict, deque
from show import show

warnings.filterwarnings("ignore", message=".isinstance.treespec")
from torch.utils._pytree import (
    tree_flatten,
    tree_unflatten,
    tree_map,
    tree_map_only,
    tree_leaves,
    tree_structure,
    tree_iter,
    tree_all,
    tree_any,
    tree_all_only,
    tree_any_only,
    tree_flatten_with_path,
    tree_map_with_path,
    tree_leaves_with_path,
    keystr,
    key_get,
    register_pytree_node,
    register_dataclass,
    register_constant,
    treespec_dumps,
    treespec_loads,
    treespec_pprint,
    TreeSpec,
    LeafSpec,
    SequenceKey,
    MappingKey,
    GetAttrKey,
    tree_map_,
    tree_map_only_,
    tree_is_leaf,
)

Pt = namedtuple("Pt", "a b")


class Sub(Pt):
    pass


class D2(dict):
    pass


class L2(list):
    pass


class T2(tuple):
    pass


trees = [
    1,
    None,
    (),
    [],
    {},
    (1,),
    [1],
    {"a": 1},
    (1, [2, {"b": 3, "a": (4, None)}]),
    Pt(1, Pt(2, 3)),
    Sub(1, 2),
    OrderedDict([("b", 1), ("a", 2)]),
    defaultdict(list, {"x": 1, "y": [2]}),
    deque([1, 2], maxlen=3),
    D2(a=1),
    L2([1]),
    T2((1,)),
    torch.Size([2, 3]),
    {2: 1, 1: 2},
    {"a": None, 1: (2,)},
    slice(1, 2),
    {1, 2},
    "abc",
    b"a",
    range(3),
    (i for i in ()).__class__,
    [[], [[]], ()],
    {"k": torch.ones(2)},
    torch.return_types.max((1, 2)),
    (1, (2, (3, (4,)))),
]
for t in trees:
    print("==", t)
    show(lambda: (lambda r: (r[0], r[1]))(tree_flatten(t)))
    show(lambda: tree_structure(t))
    show(lambda: tree_unflatten(tree_flatten(t)[0], tree_flatten(t)[1]))
    show(lambda: tree_leaves(t))
    show(lambda: tree_map(lambda x: (x,), t))
    show(lambda: [(keystr(k), v) for k, v in tree_flatten_with_path(t)[0]])
    show(lambda: tree_flatten_with_path(t)[0])
    show(lambda: tree_map_with_path(lambda p, x: keystr(p), t))
    show(lambda: tree_is_leaf(t))
    s = tree_structure(t)
    show(lambda: (s.num_leaves, s.num_nodes, s.num_children, s.type, s.is_leaf()))
    show(lambda: s.context)
    show(lambda: s.children())
    show(lambda: s.entries() if hasattr(s, "entries") else None)
    show(lambda: treespec_pprint(s))
    show(lambda: treespec_dumps(s))
    show(lambda: treespec_loads(treespec_dumps(s)) == s)
    show(lambda: hash(s) == hash(copy.deepcopy(s)))
    show(lambda: repr(s))
    show(lambda: s == tree_structure(copy.deepcopy(t)))
    show(lambda: s.unflatten(range(s.num_leaves)))
    show(lambda: s.unflatten(range(s.num_leaves + 1)))
    show(lambda: tree_unflatten(5, s))
    show(lambda: tree_unflatten([1], 3))
show(lambda: tree_map(lambda a, b: (a, b), [1, (2, 3)], [4, (5, 6)]))
show(lambda: tree_map(lambda a, b: (a, b), [1, (2, 3)], [4, 5]))
show(lambda: tree_map(lambda a, b: (a, b), [1, 2], [(4, 4), 5]))
show(lambda: tree_map(lambda a, b: (a, b), [1, 2], (4, 5)))
show(lambda: tree_map(lambda a, b: (a, b), {"a": 1}, {"b": 1}))
show(lambda: tree_map(lambda a, b: (a, b), {"a": 1, "b": 2}, {"b": 3, "a": 4}))
show(lambda: tree_map(lambda a, b: (a, b), [1, 2], [1, 2, 3]))
show(lambda: tree_map(lambda x: x, [1, 2], is_leaf=lambda x: isinstance(x, list)))
show(lambda: tree_flatten([(1, 2), [3]], is_leaf=lambda x: isinstance(x, tuple)))
show(lambda: tree_map(lambda x: x, 3))
show(lambda: tree_map(lambda a, b: a, Pt(1, 2), (1, 2)))
show(lambda: tree_map(lambda a, b: (a, b), OrderedDict(a=1, b=2), {"a": 1, "b": 2}))
show(lambda: tree_map(lambda a, b: (a, b), None, 1))
show(lambda: tree_map(lambda a, b: (a, b), (), (1,)))
show(lambda: tree_map_only(int, lambda x: x * 2, [1, "a", 2.5, True]))
show(lambda: tree_map_only((int, str), lambda x: x * 2, [1, "a", 2.5]))
show(lambda: tree_map_only(lambda x: x == 1, lambda x: 9, [1, 2]))
show(lambda: tree_map_only(int)(lambda x: x) if 0 else 1)
show(lambda: tree_all(lambda x: x > 0, [1, 2]))
show(lambda: tree_any(lambda x: x > 1, [1, (0,)]))
show(lambda: tree_all_only(int, lambda x: x > 0, [1, "a"]))
show(lambda: tree_any_only(str, lambda x: x == "a", [1, "a"]))
show(lambda: list(tree_iter((1, [2]))))
l = [[1], [2]]
show(lambda: tree_map_(lambda x: None, l) is l)
show(lambda: tree_map_only_(int, lambda x: None, l) is l)
show(lambda: P._broadcast_to_and_flatten(1, tree_structure([1, 2])))
show(lambda: P._broadcast_to_and_flatten([1, 2], tree_structure([1, (2, 3)])))
show(lambda: P._broadcast_to_and_flatten([1, 2, 3], tree_structure([1, (2, 3)])))
show(lambda: P._broadcast_to_and_flatten((1, 2), tree_structure([1, 2])))
show(lambda: P._broadcast_to_and_flatten({"a": 1}, tree_structure({"a": (1, 2)})))
show(lambda: P._broadcast_to_and_flatten(None, tree_structure([1, 2])))


class Box:
    def __init__(s, x, y):
        s.x, s.y = x, y

    def __repr__(s):
        return f"Box({s.x},{s.y})"


show(lambda: tree_flatten(Box(1, 2)))
register_pytree_node(Box, lambda b: ([b.x, b.y], "ctx"), lambda c, _: Box(*c), serialized_type_name="t.Box")
show(lambda: tree_flatten(Box(1, [2])))
show(lambda: tree_map(lambda v: v + 1, Box(1, [2])))
show(lambda: register_pytree_node(Box, lambda b: ([], None), lambda c, _: None))
show(lambda: tree_flatten_with_path(Box(1, 2)))
show(lambda: treespec_dumps(tree_structure(Box(1, 2))))
show(lambda: treespec_loads(treespec_dumps(tree_structure(Box(1, [2])))))
show(lambda: tree_structure(Box(1, 2)) == tree_structure(Box(3, 4)))


class Box2(Box):
    pass


show(lambda: tree_flatten(Box2(1, 2)))
register_pytree_node(
    Box2,
    lambda b: ([b.x], b.y),
    lambda c, y: Box2(c[0], y),
    flatten_with_keys_fn=lambda b: ([(GetAttrKey("x"), b.x)], b.y),
)
show(lambda: tree_flatten_with_path(Box2(1, 2)))
show(lambda: tree_structure(Box2(1, 2)) == tree_structure(Box2(1, 3)))
show(lambda: treespec_dumps(tree_structure(Box2(1, 2))))
show(lambda: [keystr(k) for k, _ in tree_flatten_with_path({"a": [Box2((1, 2), 2)]})[0]])


@dataclasses.dataclass
class DC:
    a: int
    b: object = None


show(lambda: tree_flatten(DC(1, 2)))
register_dataclass(DC)
show(lambda: tree_flatten(DC(1, [2])))
show(lambda: tree_map(lambda v: v * 2, DC(1, [2])))
show(lambda: [keystr(k) for k, _ in tree_flatten_with_path(DC(1, [2]))[0]])
show(lambda: tree_flatten(DC(1, None)))


@dataclasses.dataclass(frozen=True)
class DK:
    v: int


register_constant(DK)
show(lambda: tree_flatten([DK(1), 2]))
show(lambda: tree_structure(DK(1)) == tree_structure(DK(2)))
show(lambda: tree_map(lambda x: x, [DK(1), 2]))
show(lambda: SequenceKey(1))
show(lambda: str(MappingKey("a")))
show(lambda: GetAttrKey("x"))
show(lambda: keystr((SequenceKey(1), MappingKey("a"), GetAttrKey("x"))))
show(lambda: key_get([0, {"a": Box(1, 2)}], (SequenceKey(1), MappingKey("a"), GetAttrKey("x"))))
show(lambda: SequenceKey(1) == SequenceKey(1))
show(lambda: hash(SequenceKey(1)) == hash(SequenceKey(1)))
show(lambda: SequenceKey(1).get([5, 6]))
show(lambda: LeafSpec())
show(lambda: LeafSpec() == LeafSpec())
show(lambda: TreeSpec(list, None, [LeafSpec()]))
show(lambda: P.treespec_leaf() if hasattr(P, "treespec_leaf") else None)
show(lambda: P.treespec_tuple([P.treespec_leaf()]) if hasattr(P, "treespec_tuple") else None)
show(lambda: pickle.loads(pickle.dumps(tree_structure([1, (2,)]))) == tree_structure([1, (2,)]))
show(lambda: tree_structure([1]).flatten_up_to([[1, 2]]))
show(lambda: tree_structure([1, (2,)]).flatten_up_to([1, 2]))
show(lambda: tree_structure([1]).flatten_up_to((1,)))
show(lambda: tree_structure({"a": 1}).flatten_up_to({"b": 1}))
show(lambda: P.tree_flatten(1)[1] == LeafSpec())
show(lambda: isinstance(tree_structure(1), LeafSpec))
show(lambda: P.is_namedtuple(Pt(1, 2)) if hasattr(P, "is_namedtuple") else None)
show(lambda: sorted(t.__name__ for t in P.SUPPORTED_NODES if t.__module__ in ("builtins", "collections")))
show(lambda: P.BUILTIN_TYPES if 0 else len(P.BUILTIN_TYPES))
show(lambda: P.arg_tree_leaves(1, 2, a=[3]))
show(lambda: P.tree_map_only(torch.Tensor, lambda t: t + 1, {"a": torch.zeros(1), "b": 2}))
show(lambda: treespec_loads("bad"))
show(lambda: treespec_loads("[5,{}]"))
show(lambda: treespec_dumps(tree_structure(DC(1))))
show(lambda: treespec_dumps(3))
show(lambda: P._register_pytree_node(int, None, None) if 0 else 1)
