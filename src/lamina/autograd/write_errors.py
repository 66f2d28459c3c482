"""Errors of writes in place: leaves, views whose history cannot follow, inference tensors."""

from __future__ import annotations

from typing import Any

from lamina.autograd.history import maker_of, place_of
from lamina.core.explained import Explained, operands, where, write_name
from lamina.core.version import Untracked, users_place


class LeafInPlaceError(Explained, RuntimeError):
    """A leaf that requires grad, or a view of one, was written to."""

    def __init__(self, t: Any, operation: str, view: bool) -> None:
        super().__init__(operation, view, users_place(3), maker_of(t))

    def sentence(self) -> str:
        return ("a view of a leaf" if self.fields[1] else "a leaf") + (
            " Variable that requires grad is being used in an in-place operation."
        )

    def story(self) -> list[tuple[str, str]]:
        operation, view, place, maker = self.fields
        name = (operands(place, 2) or operands(place, 1) or [""])[0]
        wrote, made = where(place), where(maker) if view else ""
        return [
            ("in-place", f"{wrote}  ({write_name(operation, place)}{' on ' + name if name else ''})"),
            ("view", made if made != wrote else ""),
            ("fix", "with torch.no_grad(): ... to change its value, or compute a new tensor out of place"),
        ]


class ViewInPlaceError(Explained, RuntimeError):
    """A view whose history cannot follow a write was written to, or used after its base was."""

    def __init__(self, t: Any, operation: str, view: Any, base_modified: bool) -> None:
        edge = t._node
        has_history = hasattr(edge, "node") or bool(getattr(edge, "_edges", ()))
        super().__init__(
            f"Output {getattr(edge, 'nr', 0)} of {_operation(view.maker)} is a view" if has_history else None,
            operation, view.made_in, base_modified, place_of(getattr(edge, "node", edge)),
            [(o, p) for _, o, p in (t._version_.log or ())][-1:] if base_modified and t._version_ is not None else [],
            users_place(3),
        )  # fmt: skip

    def sentence(self) -> str:
        view, _, made_in, base_modified, *_ = self.fields
        what = (
            "its base or another view of its base has been modified inplace"
            if base_modified
            else "is being modified inplace"
        )
        if made_in not in _MODES and view is not None:
            return f"{view} and {what}. {_WHY[made_in]}"
        mode, outside = _MODES.get(made_in, _MODES["no_grad"])
        start = "A view was" if view is None else f"{view} of a view which was"
        return f"{start} created in {mode} mode and {what} {outside}. {_WHY[made_in]}"

    def story(self) -> list[tuple[str, str]]:
        _, operation, _, base_modified, place, writes, now = self.fields
        rows = [
            ("view", where(place)),
            ("used" if base_modified else "in-place", where(now) + (f"  ({operation})" if operation else "")),
        ]
        rows += [("modified", f"{where(p)}  ({o})") for o, p in writes]
        return [*rows, ("fix", "write out of place, or to a clone() of the view")]


def _operation(node_name: str) -> str:
    """Select of SelectBackward0, Squeeze1 of SqueezeBackward1."""
    name, _, number = node_name.rpartition("Backward")
    return name + number.removeprefix("0") if name else node_name


_AMBIGUOUS = (
    "Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by moving both the view and the "
    "inplace either both inside the {} block (if you don't want the inplace to be tracked) or both outside (if you want the inplace to "
    "be tracked)."
)


_MODES = {"no_grad": ("no_grad", "with grad mode enabled"), "inference": ("inference", "in normal mode")}
_WHY = {
    "several": (
        "This view is the output of a function that returns multiple views. Such functions do not allow the output views to be modified "
        "inplace. You should replace the inplace operation by an out-of-place one."
    ),
    "function": (
        "This view was created inside a custom Function (or because an input was returned as-is) and the autograd logic to handle "
        "view+inplace would override the custom backward associated with the custom Function, leading to incorrect gradients. This "
        "behavior is forbidden. You can fix this by cloning the output of the custom Function."
    ),
    "no_grad": _AMBIGUOUS.format("no_grad"),
    "inference": _AMBIGUOUS.format("inference_mode"),
}


class InferenceInPlaceError(Explained, RuntimeError):
    """A tensor made in inference mode was written to outside of it."""

    def __init__(self, t: Any, operation: str) -> None:
        super().__init__(operation, users_place(3))

    def sentence(self) -> str:
        return (
            "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a normal tensor before "
            "doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details."
        )

    def story(self) -> list[tuple[str, str]]:
        operation, place = self.fields
        return [
            ("in-place", f"{where(place)}  ({operation})"),
            ("fix", "write to a clone() of that tensor, or make it under no_grad in place of inference_mode"),
        ]


class InferenceSavedError(Explained, RuntimeError):
    """A tensor made in inference mode takes part in recorded computation."""

    def __init__(self) -> None:
        super().__init__(users_place(2))

    def story(self) -> list[tuple[str, str]]:
        return [
            ("at", where(self.fields[0])),
            ("fix", "a clone() of that tensor, or no_grad in place of inference_mode"),
        ]

    def sentence(self) -> str:
        return (
            "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in computation tracked "
            "by autograd. To work around this, you can make a clone to get a normal tensor and use it in autograd, or use "
            "`torch.no_grad()` instead of `torch.inference_mode()`."
        )


Untracked.refusal = InferenceSavedError
