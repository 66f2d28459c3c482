"""Autograd's mistakes, explained: PyTorch's sentence, then the lines of the user's program, then what to write instead.

`str(error)` is PyTorch's text; the rest are the exception's notes, which a traceback shows below it. Exceptions hold fields; text is
made when it is printed. Here: the errors. Not here: where they are raised.
"""

from __future__ import annotations

from typing import Any

from lamina.core.version import Place, Untracked, line_of, users_place


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
    """A view whose history cannot follow a write was written to, or used after its base was."""

    def __init__(self, t: Any, operation: str, view: Any, base_modified: bool) -> None:
        edge = t._node
        has_history = hasattr(edge, "_edges") or hasattr(edge, "node")
        super().__init__(
            f"Output {getattr(edge, 'nr', 0)} of {view.maker.partition('Backward')[0]} is a view" if has_history else None,
            operation, view.made_in, base_modified, place_of(getattr(edge, "node", edge)),
            [(o, p) for _, o, p in (t._version_.log or ())][-1:] if base_modified and t._version_ is not None else [],
        )  # fmt: skip

    def sentence(self) -> str:
        view, _, made_in, base_modified, *_ = self.fields
        what = "its base or another view of its base has been modified inplace" if base_modified else "is being modified inplace"
        if view is not None:
            start = f"{view} and {what}."
        elif made_in == "inference":
            start = f"A view was created in inference mode and {what} in normal mode."
        else:
            start = f"A view was created in no_grad mode and {what} with grad mode enabled."
        return f"{start} {_WHY[made_in]}"

    def story(self) -> list[tuple[str, str]]:
        _, operation, _, _, place, writes = self.fields
        rows = [("view", where(place)), ("in-place", operation)]
        rows += [("modified", f"{where(p)}  ({o})") for o, p in writes]
        return [*rows, ("fix", "write out of place, or to a clone() of the view")]


_AMBIGUOUS = (
    "Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by moving both the view and the "
    "inplace either both inside the {} block (if you don't want the inplace to be tracked) or both outside (if you want the inplace to "
    "be tracked)."
)
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


class InferenceInPlaceError(Explained):
    """A tensor made in inference mode was written to outside of it."""

    def __init__(self, t: Any, operation: str) -> None:
        super().__init__(operation)

    def sentence(self) -> str:
        return (
            "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a normal tensor before "
            "doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details."
        )

    def story(self) -> list[tuple[str, str]]:
        return [("in-place", self.fields[0])]


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
        origin = f", which is output {nr} of {maker._label()}," if hasattr(maker, "_label") else ""
        return (
            "one of the variables needed for gradient computation has been modified by an inplace operation: "
            f"[torch.{dtype.alias} {shape}]{origin} is at version {version.n}; expected version {saved} instead. Hint: "
            + (
                "the backtrace further above shows the operation that failed to compute its gradient. The variable in question "
                "was changed in there or anywhere later. Good luck!"
                if node._extra is not None and node._extra.stack
                else "enable anomaly detection to find the operation that failed to compute its gradient, with "
                "torch.autograd.set_detect_anomaly(True, check_nan=False)."
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


class InferenceSavedError(Explained):
    """A tensor made in inference mode takes part in recorded computation."""

    def sentence(self) -> str:
        return (
            "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in computation tracked "
            "by autograd. To work around this, you can make a clone to get a normal tensor and use it in autograd, or use "
            "`torch.no_grad()` instead of `torch.inference_mode()`."
        )


Untracked.refusal = InferenceSavedError


class BackwardCountError(Explained):
    """A user's backward returned more or fewer gradients than forward has arguments."""

    def __init__(self, node: Any, wanted: int, given: int) -> None:
        user = getattr(node._forward_cls.backward, "__code__", None)
        super().__init__(type(node).__name__, wanted, given, place_of(node), (user, 0) if user is not None else None)

    def sentence(self) -> str:
        name, wanted, given, *_ = self.fields
        return f"function {name} returned an incorrect number of gradients (expected {wanted}, got {given})"

    def story(self) -> list[tuple[str, str]]:
        name, wanted, _, place, backward = self.fields
        return [
            ("backward", where(backward)),
            ("called", where(place)),
            ("fix", f"return {wanted} values, one for each argument of forward (None for those without a gradient)"),
        ]


class GradientShapeError(Explained):
    """A node returned a gradient that does not fit its input."""

    def __init__(self, node: Any, position: int, given: list[int], wanted: list[int]) -> None:
        super().__init__(type(node).__name__, position, given, wanted, place_of(node))

    def sentence(self) -> str:
        name, position, given, wanted, _ = self.fields
        return (
            f"Function {name} returned an invalid gradient at index {position} - got {given} but expected shape compatible with {wanted}"
        )

    def story(self) -> list[tuple[str, str]]:
        return [("called", where(self.fields[4])), ("fix", f"return a gradient of the input's shape, {self.fields[3]}")]


class NoGraphInputError(Explained):
    """A gradient was asked for by a tensor that requires none."""

    def __init__(self, t: Any) -> None:
        about = getattr(t, "_more", None)
        super().__init__(about.cut if about is not None else None)

    def sentence(self) -> str:
        return "One of the differentiated Tensors does not require grad"

    def story(self) -> list[tuple[str, str]]:
        cut = self.fields[0]
        if cut is None:
            return [("fix", "requires_grad=True on it (or .requires_grad_()) before computing with it")]
        return [("cut", f"{where(cut.place)}  ({cut.reason})"), ("fix", cut.fix)]


class UnusedInputError(Explained):
    """A gradient was asked for by a tensor that the outputs do not depend on."""

    def __init__(self, position: int, t: Any, outputs: Any) -> None:
        edge = getattr(t, "_node", None)
        makers = [place_of(getattr(o._node, "node", o._node)) for o in outputs if hasattr(o, "_node")]
        super().__init__(position, list(getattr(t, "shape", ())), place_of(getattr(edge, "node", edge)), makers)

    def sentence(self) -> str:
        return (
            f"The differentiated Tensor at index {self.fields[0]} appears to not have been used in the graph. Set allow_unused=True if "
            "this is the desired behavior."
        )

    def story(self) -> list[tuple[str, str]]:
        position, shape, place, makers = self.fields
        rows = [("input", f"number {position}, of shape {shape}" + (f", made at {where(place)}" if place else ", a leaf"))]
        rows += [("output", where(m)) for m in makers if m is not None]
        rows.append(("fix", "compute the output with this very tensor, or pass allow_unused=True (None) or materialize_grads=True (zeros)"))
        return rows


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
        f"github.com/pytorch/pytorch/pull/30531 for more information.{' (made at ' + place + ')' if place else ''}",
        UserWarning,
        stacklevel=3,
    )


def scalar_name(t: Any) -> str:
    """PyTorch's C++ name of a tensor's dtype, as its messages spell it."""
    return _SCALARS[t._kind.dtype.name]


def c_type(t: Any) -> str:
    """PyTorch's C++ type of a tensor's elements."""
    return _C_TYPES[t._kind.dtype.name]


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
        if name == "self":
            return f"self and mat2 must have the same dtype, but got {_SCALARS[first.name]} and {_SCALARS[second.name]}"
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

