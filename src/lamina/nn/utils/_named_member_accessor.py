"""Reading and replacing tensors of a module by dotted name, wherever they are kept: for functional calls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lamina.core.tensor import Tensor
from lamina.nn.modules.module import Module

_MISSING: Any = object()


def swap_tensor(module: Module, name: str, tensor: Any, allow_missing: bool = False) -> Any:
    """Put `tensor` in the place of `module`'s `name` and return what was there.

    With `allow_missing` there may be nothing, and a result or argument `_MISSING` stands for that. Raises TypeError
    where the one or the other is no tensor, AttributeError where there is nothing, KeyError for an empty or dotted
    name.
    """
    if "." in name:
        raise KeyError('tensor name can\'t contain "."')
    if name == "":
        raise KeyError('tensor name can\'t be empty string ""')
    if not (tensor is _MISSING or tensor is None or isinstance(tensor, Tensor)):
        raise TypeError(f"{tensor} is not an instance of torch.Tensor")
    for members in (module._parameters, module._buffers):
        if name in members:
            found = members[name]
            if tensor is _MISSING:
                del members[name]
            else:
                members[name] = tensor
            return found
    if hasattr(module, name):
        found = getattr(module, name)
        if not isinstance(found, Tensor):
            raise TypeError(f"attribute `{name}`: {found} is not an instance of torch.Tensor")
    elif allow_missing:
        found = _MISSING
    else:
        raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
    if tensor is not _MISSING:
        setattr(module, name, tensor)
    elif found is not _MISSING:
        delattr(module, name)
    return found


class NamedMemberAccessor:
    """The tensors and submodules of `module` by dotted name."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self._submodules: dict[str, Module] = {"": module}

    def get_submodule(self, name: str) -> Module:
        """The submodule of that dotted name; each is looked for once."""
        if name not in self._submodules:
            self._submodules[name] = self.module.get_submodule(name)
        return self._submodules[name]

    def swap_submodule(self, path: str, value: Module) -> Module:
        """Put a submodule at that dotted name and return what was there."""
        found = self.get_submodule(path)
        self.module.set_submodule(path, value, strict=True)
        self._submodules = {"": self.module}
        return found

    def _owner(self, name: str) -> tuple[Module, str]:
        path, _, leaf = name.rpartition(".")
        return self.get_submodule(path), leaf

    def get_tensor(self, name: str) -> Tensor:
        """The tensor of that dotted name. Raises AttributeError or TypeError where there is none."""
        owner, leaf = self._owner(name)
        found = getattr(owner, leaf)
        if not (found is None or isinstance(found, Tensor)):
            raise TypeError(f"{found} is not an instance of torch.Tensor")
        return found

    def set_tensor(self, name: str, value: Any) -> None:
        """Put `value` at that dotted name."""
        self.swap_tensor(name, value, allow_missing=True)

    def del_tensor(self, name: str) -> None:
        """Take the tensor of that dotted name out."""
        self.swap_tensor(name, _MISSING)

    def swap_tensor(self, name: str, value: Any, allow_missing: bool = False) -> Any:
        """Put `value` at that dotted name and return what was there."""
        owner, leaf = self._owner(name)
        return swap_tensor(owner, leaf, value, allow_missing)

    def get_tensors(self, names: Iterable[str]) -> list[Tensor]:
        """The tensors of these names."""
        return [self.get_tensor(name) for name in names]

    def set_tensors(self, names: Iterable[str], values: Iterable[Any]) -> None:
        """Put `values` at these names."""
        for name, value in zip(names, values, strict=True):
            self.set_tensor(name, value)

    def set_tensors_dict(self, named_tensors: dict[str, Any]) -> None:
        """Put the values at their names."""
        for name, value in named_tensors.items():
            self.set_tensor(name, value)

    def del_tensors(self, names: Iterable[str]) -> None:
        """Take the tensors of these names out."""
        for name in names:
            self.del_tensor(name)

    def swap_tensors(self, names: Iterable[str], values: Iterable[Any], allow_missing: bool = False) -> list[Any]:
        """Put `values` at these names and return what was there."""
        return [self.swap_tensor(name, value, allow_missing) for name, value in zip(names, values, strict=True)]

    def swap_tensors_dict(
        self, named_tensors: dict[str, Any], allow_missing: bool = False
    ) -> tuple[dict[str, Any], list[str]]:
        """Put the values at their names, all or none; returns what was there, and the names that had nothing."""
        found: dict[str, Any] = {}
        try:
            for name, value in named_tensors.items():
                found[name] = self.swap_tensor(name, value, allow_missing)
        except BaseException:
            for name, value in found.items():
                self.swap_tensor(name, value, allow_missing=True)
            raise
        return found, [name for name, value in found.items() if value is _MISSING]

    def check_keys(self, keys: Iterable[str]) -> tuple[list[str], list[str]]:
        """The names of parameters and buffers that are missing in `keys`, and the keys that are no such names.

        Sorted.
        """
        given, own = set(keys), {name for name, _ in self.named_tensors(remove_duplicate=False)}
        return sorted(own - given), sorted(given - own)

    def named_parameters(self, remove_duplicate: bool = True) -> Iterable[tuple[str, Tensor]]:
        """The parameters with their names."""
        return self.module.named_parameters(remove_duplicate=remove_duplicate)

    def named_buffers(self, remove_duplicate: bool = True) -> Iterable[tuple[str, Tensor]]:
        """The buffers with their names."""
        return self.module.named_buffers(remove_duplicate=remove_duplicate)

    def named_tensors(self, remove_duplicate: bool = True) -> Iterable[tuple[str, Tensor]]:
        """The parameters and the buffers with their names."""
        yield from self.named_parameters(remove_duplicate)
        yield from self.named_buffers(remove_duplicate)

    def named_modules(self, remove_duplicate: bool = True) -> Iterable[tuple[str, Module]]:
        """The modules with their names."""
        return self.module.named_modules(remove_duplicate=remove_duplicate)
