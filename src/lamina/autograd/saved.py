"""What nodes save: results, and tensors in the care of users' hooks.

Here: the objects in a node's `_saved`. Not here: when they are made and unpacked (primitives/dispatch.py, nodes.py, function.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina.autograd import errors, modes
from lamina.autograd.graph import Node, Output, edge_of, make, several
from lamina.core.tensor import LEAF, Tensor, more, version, wrap
from lamina.core.version import Version


class SavedOutput:
    """A result kept by its own node: array, kind and version, and not the Tensor, which would close a cycle."""

    __slots__ = ("array", "kind", "nr", "tangents", "version")

    def __init__(self, t: Tensor, version: Version, nr: int | None = None) -> None:
        self.array, self.kind, self.version, self.nr = t._array, t._kind, version, nr

    def tensor(self, node: Node) -> Tensor:
        """The result again, with its history."""
        t = wrap(self.array, self.kind)
        t._node = node if self.nr is None else Output(node, self.nr)
        t._version_ = self.version
        tangents = getattr(self, "tangents", None)  # set where forward mode is on, and only there
        if tangents is not None:
            more(t).tangents = tangents
        return t


class Packed:
    """A saved tensor in the care of user's hooks (`saved_tensors_hooks`)."""

    __slots__ = ("edge", "held", "nr", "shape", "unpack_hook")

    def __init__(self, t: Tensor, hooks: tuple[Any, Any], edge: Any, nr: int | None = None) -> None:
        """edge: leads to `t`; None for an output of the node itself, whose number is `nr`."""
        pack, self.unpack_hook = hooks
        counter = version(t)
        before = counter.n
        with modes.no_grad():
            self.held = pack(t)
        if int(counter.n) != int(before):
            raise RuntimeError(
                "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook cannot be "
                "modified by in-place operations as this can lead to unexpected side-effects. Please open an issue if you need "
                "to perform in-place operations on the input to a pack hook."
            )
        self.edge, self.nr, self.shape = edge, nr, t._array.shape

    def unpack(self, node: Node) -> Tensor:
        with modes.no_grad():
            found = self.unpack_hook(self.held)
        if not isinstance(found, Tensor):
            raise TypeError(
                f"Output of saved tensor unpack_hook expected to be a Tensor but got result of type {type(found).__name__}"
            )
        leaf = isinstance(self.edge, Tensor)
        if leaf and (found is self.edge or (found._array is self.edge._array and isinstance(self.held, Tensor))):
            return self.edge  # type: ignore[no-any-return]
        t = wrap(found._array, found._kind)
        t._version_ = found._version_
        if leaf:
            t._node = make(AliasNode, (self.edge,))  # the gradient goes to the leaf itself
        elif self.nr is not None:
            t._node = Output(node, self.nr) if several(node) else node
        else:
            t._node = self.edge
        return t

    def shown(self, node: Node) -> Tensor:
        """What is unpacked, as users see it: for a leaf a leaf, with the same gradient."""
        t = self.unpack(node)
        if isinstance(self.edge, Tensor) and t is not self.edge:
            t._node, t._more = LEAF, more(self.edge)
        return t


class AliasNode(Node):
    """The identity: one place in the graph that stands for a tensor."""

    __slots__ = ()

    def _vjp(self, g: Any, create: bool) -> Sequence[Any]:
        return (g,)


class SavedTensor:
    """What users see of one saved tensor: a place to register hooks."""

    __module__ = "torch._C._autograd"

    def __init__(self, node: Node | None = None, at: int = -1, inside: int | None = None) -> None:
        """at: which of what `node` saved; inside: which of its tensors, where it is a list."""
        if node is None:
            raise RuntimeError("Trying to create a SavedTensor object from Python is forbidden.")
        self._node, self._at, self._inside = node, at, inside

    def _kept(self) -> Any:
        """What the node keeps in this place; None where it does not."""
        found = self._node._saved[self._at] if self._node._saved is not None and self._at >= 0 else None
        return found if self._inside is None or found is None else found[self._inside]

    @property
    def data(self) -> Any:
        """What is kept: the tensor, or what the pack hook made of it."""
        kept = self._kept()
        if kept.__class__ is Packed:
            return kept.held
        return kept.tensor(self._node) if kept.__class__ is SavedOutput else kept

    @property
    def unpack_hook(self) -> Any:
        """What `register_hooks` was given to get the tensor back; None where nothing is registered."""
        kept = self._kept()
        return kept.unpack_hook if kept.__class__ is Packed else None

    def unpack(self) -> Any:
        """The tensor again. Raises RuntimeError when it was written to since."""
        kept = self._kept()
        if kept.__class__ is Packed:
            return kept.shown(self._node)
        if kept.__class__ is SavedOutput:
            errors.check_unchanged(self._node, kept, self._node._versions[self._at], kept.version, True)
            return kept.tensor(self._node)
        if isinstance(kept, Tensor) and self._inside is None:
            errors.check_unchanged(self._node, kept, self._node._versions[self._at], version(kept))
        return kept

    def register_hooks(self, *hooks: Callable[..., Any]) -> None:
        """Keep `pack_hook(tensor)` in place of the tensor, and get it back by `unpack_hook`. Raises RuntimeError when it is freed."""
        if len(hooks) != 2 or not all(map(callable, hooks)):
            raise TypeError(
                "register_hooks(): incompatible function arguments. The following argument types are supported:\n"
                "    1. (self, pack_hook: Callable, unpack_hook: Callable) -> None"
            )
        node, at = self._node, self._at
        if node._saved is None:
            raise RuntimeError(
                "Calling register_hooks on a saved tensor after it has been freed. Saved intermediate values of the graph are freed "
                "when you call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the graph a "
                "second time or if you need to access saved variables after calling backward."
            )
        kept = self._kept()
        if kept is None:
            raise RuntimeError("Calling register_hooks on a saved tensor with value None is forbidden")
        if kept.__class__ is Packed:
            raise RuntimeError(
                "Calling register_hooks on a saved tensor whose hooks have already been set. Hint: only one pair of hooks is allowed at "
                "a time."
            )
        output = kept.__class__ is SavedOutput
        t = wrap(kept.array, kept.kind) if output else kept if isinstance(kept, Tensor) else wrap(np.asarray(kept))
        packed = Packed(t, (hooks[0], hooks[1]), None if output else edge_of(t), (kept.nr or 0) if output else None)
        saved, versions = list(node._saved), list(node._versions)
        if self._inside is None:
            saved[at], versions[at] = packed, None  # what was packed is checked no more
        else:
            i = self._inside
            saved[at] = (*saved[at][:i], packed, *saved[at][i + 1 :])
            versions[at] = (*versions[at][:i], None, *versions[at][i + 1 :])
        node._saved, node._versions = tuple(saved), tuple(versions)
