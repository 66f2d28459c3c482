"""A pickler that writes lamina's objects under PyTorch's names and keeps storages outside the pickle.

Here: which objects become what. Not here: the names (names.py), the shape of a tensor's reduce (rebuild.py).
"""

from __future__ import annotations

import pickle
from typing import IO, Any

import lamina
from lamina.core.parameter import Parameter
from lamina.core.tensor import Tensor
from lamina.io import names, rebuild
from lamina.io import storage as storages

_PLAIN = frozenset({str, int, float, bool, tuple, list, dict, type(None), bytes})
_OWN_REDUCE = (Tensor.__reduce_ex__, Parameter.__reduce_ex__)


class StorageTable:
    """The storages met while pickling: each gets a key; several tensors over one storage get the same."""

    def __init__(self, *, untyped: storages.StorageType = storages.UNTYPED, extra: tuple[Any, ...] = ()) -> None:
        self._untyped = untyped
        self._extra = extra
        self._keys: dict[int, str] = {}
        self._dtypes: dict[int, Any] = {}
        self.found: dict[str, Any] = {}
        self.itemsizes: dict[str, int] = {}

    def persistent_id(self, found: Any) -> tuple[Any, ...] | None:
        if not storages.is_storage(found):
            return None
        dtype = found.dtype if isinstance(found, lamina.TypedStorage) else None
        kind = storages.STORAGE_TYPES.get(dtype, self._untyped)
        storage = storages.untyped(found)
        address = storage.data_ptr()
        if address and self._dtypes.setdefault(address, kind.dtype) != kind.dtype:
            raise RuntimeError("Cannot save multiple tensors or storages that view the same data as different types")
        # Held in `found` until the end, so that neither id nor address is given to another storage meanwhile.
        identity = storage._cdata
        key = self._keys.setdefault(identity, str(len(self._keys)))
        self.found[key] = storage
        self.itemsizes[key] = kind.itemsize
        return ("storage", kind, key, "cpu", storage.nbytes() // kind.itemsize, *self._extra)


def make_pickler(pickle_module: Any, file: IO[bytes], protocol: int, table: StorageTable) -> Any:
    """A pickler over `pickle_module`'s, which must be written in Python: one in C cannot rename globals."""
    base = pickle._Pickler if pickle_module is pickle else pickle_module.Pickler  # type: ignore[attr-defined]
    if not issubclass(base, pickle._Pickler):  # type: ignore[attr-defined]
        raise NotImplementedError(
            f"saving needs a pickle_module that pickles in Python, and {base!r} does not: use pickle or dill"
        )

    class TorchPickler(base):  # type: ignore[misc, valid-type]
        def persistent_id(self, found: Any) -> Any:
            return table.persistent_id(found)

        def reducer_override(self, found: Any) -> Any:
            kind = type(found)
            if kind in _PLAIN:
                return NotImplemented
            if id(found) in names.WRITTEN:
                return names.WRITTEN[id(found)][1]  # a name: on to save_global
            if isinstance(found, type):
                # Also a class whose metaclass pickles it otherwise; plain ones go there by themselves.
                return NotImplemented if kind is type else found.__qualname__
            if isinstance(found, Tensor):
                return rebuild.reduce_tensor(found) if kind.__reduce_ex__ in _OWN_REDUCE else NotImplemented
            if kind is lamina.Size:
                return lamina.Size, (tuple(found),)
            if kind is lamina.device:
                return lamina.device, ((found.type,) if found.index is None else (found.type, found.index))
            if kind is lamina.layout:
                return rebuild._get_layout, (str(found),)
            return NotImplemented

        def save_global(self, found: Any, name: str | None = None) -> None:
            full_name = names.file_name(found)
            if full_name is None:
                try:
                    super().save_global(found, name)
                except pickle.PicklingError as error:
                    if "not the same object" in str(error):
                        raise
                    raise names.unreachable(found) from None
                return
            module, name = full_name
            if self.proto >= 4:
                self.save(module)
                self.save(name)
                self.write(pickle.STACK_GLOBAL)
            else:
                self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
            self.memoize(found)

        # Classes and functions come to save_global through this table of functions, not through the method.
        dispatch = dict(base.dispatch)

    for kind, handler in list(TorchPickler.dispatch.items()):
        if handler is base.save_global:
            TorchPickler.dispatch[kind] = TorchPickler.save_global
    return TorchPickler(file, protocol)
