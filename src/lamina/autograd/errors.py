"""Autograd's mistakes, explained: PyTorch's sentence, then the lines of the user's program, then what to write instead.

`str(error)` is PyTorch's text; the rest are the exception's notes, which a traceback shows below it. Exceptions hold fields; text is
made when it is printed. Here: the errors. Not here: where they are raised.
"""

from __future__ import annotations

from typing import Any

from lamina.core.version import Place, line_of, users_place


def where(place: Place | None) -> str:
    """`file:line  source` of a place; empty where nothing is known."""
    if place is None:
        return ""
    file, line, text = line_of(place)
    return f"{file.rsplit('/', 1)[-1]}:{line}" + (f"  {text}" if text else "")


def place_of(node: Any) -> Place | None:
    return None if node is None or getattr(node, "_code", None) is None else (node._code, node._lasti)


class Explained(RuntimeError):
    """A RuntimeError whose text is made when it is printed; it pickles as that text."""

    def __init_subclass__(cls) -> None:
        # what a traceback shows, and what programs print, is PyTorch's type
        cls.__name__ = cls.__qualname__ = next(b for b in cls.__mro__ if b.__module__ == "builtins").__name__
        cls.__module__ = "builtins"

    def __init__(self, *fields: Any) -> None:
        super().__init__(*fields)
        self.fields = fields

    def sentence(self) -> str:
        raise NotImplementedError

    def story(self) -> list[tuple[str, str]]:
        """(word, what happened there), in the order in which it happened."""
        return []

    def __str__(self) -> str:
        # PyTorch's text and no more: programs print it and match on it. The story comes below it in a traceback.
        return self.sentence()

    @property
    def __notes__(self) -> list[str]:  # what Python prints below an exception (PEP 678), and `add_note` adds to
        notes = self.__dict__.get("notes")
        if notes is None:
            notes = self.__dict__["notes"] = [f"  {word:9} {text}" for word, text in self.story() if text]
        return notes  # type: ignore[no-any-return]

    def __reduce__(self) -> tuple[Any, ...]:
        return RuntimeError, (str(self),)


class LeafInPlaceError(Explained):
    """A leaf that requires grad, or a view of one, was written to."""

    def __init__(self, t: Any, operation: str, view: bool) -> None:
        super().__init__(t, operation, view)

    def sentence(self) -> str:
        return ("a view of a leaf" if self.fields[2] else "a leaf") + (
            " Variable that requires grad is being used in an in-place operation."
        )

    def story(self) -> list[tuple[str, str]]:
        return [
            ("in-place", self.fields[1]),
            ("fix", "with torch.no_grad(): ... to change its value, or compute a new tensor out of place"),
        ]


class ViewInPlaceError(Explained):
    """A view whose history cannot follow a write was written to."""

    def __init__(self, t: Any, operation: str, view: Any) -> None:
        super().__init__(t, operation, view)

    def sentence(self) -> str:
        t, _, view = self.fields
        nr = getattr(t._node, "nr", 0)
        start = f"Output {nr} of {view.maker} is a view"
        if view.made_in == "several":
            return (
                f"{start} and is being modified inplace. This view is the output of a function that returns multiple views. "
                "Such functions do not allow the output views to be modified inplace. You should replace the inplace operation "
                "by an out-of-place one."
            )
        if view.made_in == "function":
            return (
                f"{start} and is being modified inplace. This view was created inside a custom Function (or because an input was "
                "returned as-is) and the autograd logic to handle view+inplace would override the custom backward associated "
                "with the custom Function, leading to incorrect gradients. This behavior is forbidden. You can fix this by "
                "cloning the output of the custom Function."
            )
        return (
            "A view was created in no_grad mode and is being modified inplace with grad mode enabled. Given that this use case "
            "is ambiguous and error-prone, it is forbidden. You can clarify your code by moving both the view and the inplace "
            "either both inside the no_grad block (if you don't want the inplace to be tracked) or both outside (if you want "
            "the inplace to be tracked)."
        )


class FreedGraphError(Explained):
    """A graph was run backward again after what it saved was freed."""

    def __init__(self, node: Any) -> None:
        super().__init__(node)

    def sentence(self) -> str:
        return (
            "Trying to backward through the graph a second time (or directly access saved tensors after they have already been "
            "freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify "
            "retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors "
            "after calling backward."
        )

    def story(self) -> list[tuple[str, str]]:
        node = self.fields[0]
        return [
            ("recorded", where(place_of(node)) + f"  ({node.name()})"),
            ("freed", where(node._versions)),
            ("fix", "retain_graph=True in the first backward, or compute the loss again before the second"),
        ]


class ModifiedError(Explained):
    """A saved tensor was written to before backward needed it."""

    def __init__(self, node: Any, t: Any, saved: int, now: Any, is_output: bool) -> None:
        # the tensor's description is taken now: the tensor itself may be large and need not live as long as the error
        made_by = getattr(t, "_node", None)
        shape = list(t._array.shape if hasattr(t, "_array") else t.array.shape)
        super().__init__(node, (t._kind if hasattr(t, "_kind") else t.kind).dtype, shape, saved, now, is_output, made_by)

    def sentence(self) -> str:
        node, dtype, shape, saved, version, is_output, made_by = self.fields
        maker = node if is_output else getattr(made_by, "node", made_by)
        nr = getattr(made_by, "nr", 0)
        origin = f", which is output {nr} of {maker.name()}," if hasattr(maker, "name") else ""
        return (
            "one of the variables needed for gradient computation has been modified by an inplace operation: "
            f"[torch.{dtype.alias} {shape}]{origin} is at version {version.n}; expected version {saved} instead. Hint: "
            + (
                "the backtrace further above shows the operation that failed to compute its gradient. The variable in question "
                "was changed in there or anywhere later. Good luck!"
                if node._extra is not None and node._extra.stack
                else "enable anomaly detection to find the operation that failed to compute its gradient, with "
                "torch.autograd.set_detect_anomaly(True)."
            )
        )

    def story(self) -> list[tuple[str, str]]:
        node, _, _, saved, version, is_output, _ = self.fields
        rows = [("saved", f"{where(place_of(node))}  ({node.name()} keeps its {'result' if is_output else 'input'} for backward)")]
        for before, operation, place in version.log or ():
            if before >= saved:
                rows.append(("modified", f"{where(place)}  ({operation}: version {before} -> {before + 1})"))
        rows.append(("fix", "write that line out of place (y = y + 1 for y += 1), or save a clone() before it"))
        return rows


class NoGraphError(Explained):
    """backward() of a tensor that nothing was recorded for."""

    def __init__(self, position: int, t: Any) -> None:
        about = getattr(t, "_more", None)
        super().__init__(position, about.cut if about is not None else None)

    def sentence(self) -> str:
        return f"element {self.fields[0]} of tensors does not require grad and does not have a grad_fn"

    def story(self) -> list[tuple[str, str]]:
        cut = self.fields[1]
        if cut is None:
            return [("fix", "requires_grad=True on the tensors whose gradient is wanted, before computing with them")]
        return [("cut", f"{where(cut.place)}  ({cut.reason})"), ("fix", cut.fix)]


class HookShapeError(Explained):
    """A hook returned a gradient of another shape."""

    def __init__(self, hook: Any, given: Any, returned: Any) -> None:
        code = getattr(hook, "__code__", None)
        super().__init__(
            getattr(hook, "__name__", repr(hook)), (code, 0) if code is not None else None, list(given.shape), list(returned.shape)
        )

    def sentence(self) -> str:
        return f"hook '{self.fields[0]}' has changed the size of value"

    def story(self) -> list[tuple[str, str]]:
        _, place, given, returned = self.fields
        return [
            ("hook", where(place)),
            ("given", f"a gradient of shape {given}"),
            ("returned", f"one of shape {returned}"),
            ("fix", f"return a tensor of shape {given}, or None to leave the gradient as it is"),
        ]


class HookTypeError(HookShapeError):
    """A hook returned a gradient of another dtype."""

    def __init__(self, hook: Any, given: Any, returned: Any) -> None:
        super().__init__(hook, given, returned)
        self.fields = (*self.fields[:2], given._kind.dtype, returned._kind.dtype)

    def sentence(self) -> str:
        name, _, given, returned = self.fields
        return (
            f"hook '{name}' has changed the type of value (was torch.{given.alias} got torch.{returned.alias})"
        )

    def story(self) -> list[tuple[str, str]]:
        _, place, given, returned = self.fields
        return [
            ("hook", where(place)),
            ("given", f"a gradient of {given}"),
            ("returned", f"one of {returned}"),
            ("fix", f"return it as .to({given})"),
        ]


class NonScalarError(Explained):
    """backward() of a tensor with several elements, without a gradient."""

    def __init__(self, t: Any) -> None:
        super().__init__(list(t.shape), place_of(getattr(t._node, "node", t._node)))

    def sentence(self) -> str:
        return "grad can be implicitly created only for scalar outputs"

    def story(self) -> list[tuple[str, str]]:
        shape, place = self.fields
        return [
            ("made", f"{where(place)}  (shape {shape})" if place else f"shape {shape}"),
            ("fix", "reduce it first (.sum() or .mean()), or pass gradient= with this shape"),
        ]


class Cut:
    """Why a result has no history although an input had: which call cut it, and what to do instead."""

    __slots__ = ("fix", "place", "reason")

    def __init__(self, reason: str, place: Place | None, fix: str) -> None:
        self.reason, self.place, self.fix = reason, place, fix


def note_cut(t: Any, reason: str, source: Any) -> None:
    """Remember on `t` that its history was cut here."""
    from lamina.core.tensor import more
    from lamina.core.version import users_place

    more(t).cut = Cut(reason, users_place(3), "leave that call out where the gradient is needed")


def warn_non_leaf_grad(t: Any) -> None:
    import warnings

    place = where(place_of(getattr(t._node, "node", t._node)))
    warnings.warn(
        "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be populated during "
        "autograd.backward(). If you indeed want the .grad field to be populated for a non-leaf Tensor, use .retain_grad() on the "
        "non-leaf Tensor. If you access the non-leaf Tensor by mistake, make sure you access the leaf Tensor instead. See "
        f"github.com/pytorch/pytorch/pull/30531 for more informations.{' (made at ' + place + ')' if place else ''}",
        UserWarning,
        stacklevel=3,
    )


def scalar_name(t: Any) -> str:
    """PyTorch's C++ name of a tensor's dtype, as its messages spell it."""
    return _SCALARS[t._kind.dtype.name]


_SCALARS = {
    "bool": "Bool", "uint8": "Byte", "int8": "Char", "int16": "Short", "int32": "Int", "int64": "Long", "float16": "Half",
    "bfloat16": "BFloat16", "float32": "Float", "float64": "Double", "complex64": "ComplexFloat", "complex128": "ComplexDouble",
    "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64", "float8_e4m3fn": "Float8_e4m3fn", "float8_e5m2": "Float8_e5m2",
}  # fmt: skip
_C_TYPES = {
    "bool": "bool", "uint8": "unsigned char", "int8": "signed char", "int16": "short", "int32": "int", "int64": "long int",
    "float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float", "float64": "double",
    "complex64": "c10::complex<float>", "complex128": "c10::complex<double>",
}  # fmt: skip


class ShapeError(Explained):
    """Two matrices whose shapes do not fit a product."""

    def __init__(self, first: Any, second: Any, transposed: bool = False) -> None:
        shape, other = tuple(first._array.shape), tuple(second._array.shape)
        super().__init__(shape, other[:-2] + other[-2:][::-1] if transposed else other, other if transposed else None,
                         users_place(3), _maker(first), _maker(second))  # fmt: skip

    def sentence(self) -> str:
        shape, other, *_ = self.fields
        return f"mat1 and mat2 shapes cannot be multiplied ({_matrix(shape)} and {_matrix(other, row=False)})"

    def story(self) -> list[tuple[str, str]]:
        shape, other, weight, place, first, second = self.fields
        last, wanted = (shape or (1,))[-1], (other if len(other) > 1 else other or (1,))[-2 if len(other) > 1 else -1]
        what = f"the last dimension of {list(shape)} is {last}, and the other operand {list(weight or other)} needs {wanted}"
        return [("at", where(place)), ("mat1", where(first)), ("mat2", where(second)), ("expected", what)]


def _matrix(shape: tuple[int, ...], row: bool = True) -> str:
    if len(shape) == 1:
        return f"1x{shape[0]}" if row else f"{shape[0]}x1"
    rows = 1
    for n in shape[:-1]:
        rows *= n
    return f"{rows}x{shape[-1]}" if row else f"{shape[-2]}x{shape[-1]}"


def _maker(t: Any) -> Place | None:
    return place_of(getattr(t._node, "node", t._node))


class DtypeError(Explained):
    """Two operands of a product in different dtypes."""

    def __init__(self, name: str, first: Any, second: Any) -> None:
        super().__init__(name, first._kind.dtype, second._kind.dtype, users_place(4), _maker(first), _maker(second))

    def sentence(self) -> str:
        name, first, second, *_ = self.fields
        if name == "addmm":
            return f"mat1 and mat2 must have the same dtype, but got {_SCALARS[first.name]} and {_SCALARS[second.name]}"
        if name == "mm":
            return f"expected m1 and m2 to have the same dtype, but got: {_C_TYPES[first.name]} != {_C_TYPES[second.name]}"
        return f"expected scalar type {_SCALARS[first.name]} but found {_SCALARS[second.name]}"

    def story(self) -> list[tuple[str, str]]:
        _, first, second, place, one, two = self.fields
        return [
            ("at", where(place)),
            ("first", f"{first}  {where(one)}".strip()),
            ("second", f"{second}  {where(two)}".strip()),
            ("fix", f"convert one of them: .to({first}) or .to({second})"),
        ]

