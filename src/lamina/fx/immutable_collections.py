"""The lists and dicts in a Node's arguments: they cannot be changed, as the graph would not know of it."""

from __future__ import annotations

from typing import Any, NoReturn

from lamina.utils import _pytree as pytree

_HELP = """
If you are attempting to modify the kwargs or args of a torch.fx.Node object,
instead create a new copy of it and assign the copy to the node:

    new_args = ...  # copy and mutate args
    node.args = new_args
"""


def _refused(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
    raise TypeError(f"{type(self).__name__!r} object does not support mutation.{_HELP.rstrip()}")


class immutable_list(list):  # type: ignore[type-arg]
    """A list that cannot be changed."""

    append = clear = extend = insert = pop = remove = reverse = sort = _refused
    __delitem__ = __setitem__ = __iadd__ = __imul__ = _refused

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self))

    def __reduce__(self) -> Any:
        return immutable_list, (tuple(self),)


class immutable_dict(dict):  # type: ignore[type-arg]
    """A dict that cannot be changed."""

    clear = pop = popitem = setdefault = update = _refused
    __delitem__ = __setitem__ = __ior__ = _refused

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> Any:
        return immutable_dict, (tuple(self.items()),)


pytree.register_pytree_node(
    immutable_list,
    lambda x: (list(x), None),
    lambda x, _: immutable_list(x),
    serialized_type_name="torch.fx.immutable_collections.immutable_list",
)
pytree.register_pytree_node(
    immutable_dict,
    lambda x: (list(x.values()), list(x)),
    lambda x, keys: immutable_dict(zip(keys, x, strict=True)),
    serialized_type_name="torch.fx.immutable_collections.immutable_dict",
)
