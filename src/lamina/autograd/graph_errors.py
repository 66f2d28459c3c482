"""Errors of backward: graphs freed, missing or modified, hooks and functions that return what does not fit.

Not here: writes in place (write_errors.py), operands (operand_errors.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina.autograd.history import cut_rows, maker_of, place_of
from lamina.core.explained import Explained, where, where_defined, write_name
from lamina.core.version import Detached, Version, line_of


class FreedGraphError(Explained, RuntimeError):
    """A graph was run backward again after what it saved was freed."""

    carried = False
    """Whether the line that recorded the node has run again since: the new graph leads back into the one of an earlier step."""

    def __init__(self, node: Any) -> None:
        super().__init__(node)

    def met(self, order: Sequence[Any]) -> None:
        """Told by the run that met it: the nodes that it goes through."""
        (node,) = self.fields
        self.carried = any(
            other.__class__ is node.__class__ and other._code is node._code and other._lasti == node._lasti
            and other._seq > node._seq and other._versions is not node._versions
            for other in order
        )  # fmt: skip

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
            (
                "recorded",
                where(place_of(node)) + f"  ({node.name()}{', in an earlier step' if self.carried else ''})",
            ),
            ("freed", where(node._versions)),
            (
                "fix",
                "detach() what is carried over from the earlier step (a hidden state, a buffer, a running total), or go back once, after the last"
                if self.carried
                else "one backward for all losses, (a + b).backward(), or retain_graph=True in the first, or compute the loss again",
            ),
        ]


class ModifiedError(Explained, RuntimeError):
    """A saved tensor was written to before backward needed it."""

    def __init__(self, node: Any, t: Any, saved: int, now: Any, is_output: bool) -> None:
        # the tensor's description is taken now: the tensor itself may be large and need not live as long as the error
        made_by = getattr(t, "_node", None)
        # of a view, PyTorch tells how it comes from its base as that is now
        primitive = getattr(getattr(made_by, "node", made_by), "_primitive", None)
        view = primitive is not None and primitive.view
        shape = list(t._array.shape if hasattr(t, "_array") else t.array.shape)
        super().__init__(
            node, (t._kind if hasattr(t, "_kind") else t.kind).dtype, shape, saved, now, is_output, made_by, view
        )

    def sentence(self) -> str:
        node, dtype, shape, saved, version, is_output, made_by, view = self.fields
        maker = node if is_output else getattr(made_by, "node", made_by)
        nr = getattr(made_by, "nr", 0)
        label = "AsStrided" if view else maker._label() if hasattr(maker, "_label") else ""
        origin = f", which is output {nr} of {label}," if label else ""
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
        node, _, _, saved, version, is_output, *_ = self.fields
        rows = [
            (
                "saved",
                f"{where(place_of(node))}  ({node.name()} keeps its {'result' if is_output else 'input'} for backward)",
            )
        ]
        writes = list(version.log or ())
        for i, (before, operation, place) in enumerate(writes):
            if before >= saved:
                after = writes[i + 1][0] if i + 1 < len(writes) else version.n
                rows.append(
                    ("modified", f"{where(place)}  ({write_name(operation, place)}: version {before} -> {after})")
                )
        return [*rows, ("fix", _without_write([(o, p) for before, o, p in writes if before >= saved]))]


def _without_write(writes: Sequence[tuple[str, Any]]) -> str:
    """What to write in place of the first of these (operation, place)."""
    operation, place = writes[0] if writes else ("", None)
    source = "" if place is None else line_of(place)[2]
    if operation == "step":
        return "call backward() before that step(), or compute the loss again after it"
    if write_name(operation, place) != operation:
        return "y = y.clone() before that line, or torch.where(mask, value, y) in place of it"
    if operation.endswith("_") and operation[0] != "_" and source and operation not in source:
        return f"leave out inplace=True there: {operation[:-1]} then makes a new tensor"
    return "write that line out of place (y = y + 1 for y += 1), or y = y.clone() before it"


class DetachedInPlaceError(Explained, RuntimeError):
    """A saved tensor was cut from its history in place before backward needed it."""

    def __init__(self, node: Any) -> None:
        super().__init__(node)

    def sentence(self) -> str:
        return (
            "Trying to use a saved tensor that has been detached in-place, i.e. with .detach_().This is not supported, please use "
            "out-of-place `.detach()` instead"
        )

    def story(self) -> list[tuple[str, str]]:
        (node,) = self.fields
        return [
            ("saved", f"{where(place_of(node))}  ({node.name()} keeps its input for backward)"),
            ("fix", "y = x.detach() for x.detach_()"),
        ]


def check_unchanged(node: Any, t: Any, saved: int, counter: Version, is_output: bool = False) -> None:
    """Raise unless what `node` saved at version `saved` has that version still, and an input its history."""
    now = counter.n
    if isinstance(now, Detached) and not is_output and now.who() is t and node._seq < now.since:
        raise DetachedInPlaceError(node)
    if int(now) != int(saved):
        raise ModifiedError(node, t, saved, counter, is_output)


class NoGraphError(Explained, RuntimeError):
    """backward() of a tensor that nothing was recorded for."""

    def __init__(self, position: int, t: Any) -> None:
        super().__init__(position, cut_rows(t))

    def sentence(self) -> str:
        return f"element {self.fields[0]} of tensors does not require grad and does not have a grad_fn"

    def story(self) -> list[tuple[str, str]]:
        rows: list[tuple[str, str]] = self.fields[1]
        return rows or [
            ("why", "nothing that it was computed from requires grad (data, frozen parameters, the .grad of a tensor)"),
            ("fix", "requires_grad=True on the tensors whose gradient is wanted, before computing with them"),
        ]


class NoGraphInputError(Explained, RuntimeError):
    """A gradient was asked for by a tensor that requires none."""

    def __init__(self, t: Any) -> None:
        super().__init__(cut_rows(t))

    def sentence(self) -> str:
        return "One of the differentiated Tensors does not require grad"

    def story(self) -> list[tuple[str, str]]:
        rows: list[tuple[str, str]] = self.fields[0]
        return rows or [("fix", "requires_grad=True on it (or .requires_grad_()) before computing with it")]


class UnusedInputError(Explained, RuntimeError):
    """A gradient was asked for by a tensor that the outputs do not depend on."""

    def __init__(self, position: int, t: Any, outputs: Any) -> None:
        super().__init__(position, list(getattr(t, "shape", ())), maker_of(t), [maker_of(o) for o in outputs])

    def sentence(self) -> str:
        return (
            f"The differentiated Tensor at index {self.fields[0]} appears to not have been used in the graph. Set allow_unused=True if "
            "this is the desired behavior."
        )

    def story(self) -> list[tuple[str, str]]:
        position, shape, place, makers = self.fields
        rows = [
            ("input", f"number {position}, of shape {shape}" + (f", made at {where(place)}" if place else ", a leaf"))
        ]
        rows += [("output", where(m)) for m in makers if m is not None]
        rows.append(
            (
                "fix",
                "compute the output with this very tensor, or pass allow_unused=True (None) or materialize_grads=True (zeros)",
            )
        )
        return rows


class NonScalarError(Explained, RuntimeError):
    """backward() of a tensor with several elements, without a gradient."""

    def __init__(self, t: Any) -> None:
        super().__init__(list(t.shape), maker_of(t))

    def sentence(self) -> str:
        return "grad can be implicitly created only for scalar outputs"

    def story(self) -> list[tuple[str, str]]:
        shape, place = self.fields
        return [
            ("made", f"{where(place)}  (shape {shape})" if place else f"shape {shape}"),
            ("fix", "reduce it first (.sum() or .mean()), or pass gradient= with this shape"),
        ]


class HookShapeError(Explained, RuntimeError):
    """A hook returned a gradient of another shape."""

    def __init__(self, hook: Any, given: Any, returned: Any) -> None:
        super().__init__(getattr(hook, "__name__", repr(hook)), hook, list(given.shape), list(returned.shape))

    def sentence(self) -> str:
        return f"hook '{self.fields[0]}' has changed the size of value"

    def story(self) -> list[tuple[str, str]]:
        _, hook, given, returned = self.fields
        return [
            ("hook", where_defined(hook)),
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
        was, got = (f"CPU{d.alias[:-6]}Type" if d.category == 3 else f"torch.{d.alias}" for d in (given, returned))
        return f"hook '{name}' has changed the type of value (was {was} got {got})"

    def story(self) -> list[tuple[str, str]]:
        _, hook, given, returned = self.fields
        return [
            ("hook", where_defined(hook)),
            ("given", f"a gradient of {given}"),
            ("returned", f"one of {returned}"),
            ("fix", f"return it as .to({given})"),
        ]


class BackwardCountError(Explained, RuntimeError):
    """A user's backward returned more or fewer gradients than forward has arguments."""

    def __init__(self, node: Any, wanted: int, given: int) -> None:
        super().__init__(type(node).__name__, wanted, given, place_of(node), node._forward_cls.backward)

    def sentence(self) -> str:
        name, wanted, given, *_ = self.fields
        return f"function {name} returned an incorrect number of gradients (expected {wanted}, got {given})"

    def story(self) -> list[tuple[str, str]]:
        name, wanted, _, place, backward = self.fields
        return [
            ("backward", where_defined(backward)),
            ("called", where(place)),
            ("fix", f"return {wanted} values, one for each argument of forward (None for those without a gradient)"),
        ]


class GradientShapeError(Explained, RuntimeError):
    """A node returned a gradient that does not fit its input."""

    def __init__(self, node: Any, position: int, given: list[int], wanted: list[int]) -> None:
        super().__init__(type(node).__name__, position, given, wanted, place_of(node))

    def sentence(self) -> str:
        name, position, given, wanted, _ = self.fields
        return f"Function {name} returned an invalid gradient at index {position} - got {given} but expected shape compatible with {wanted}"

    def story(self) -> list[tuple[str, str]]:
        return [("called", where(self.fields[4])), ("fix", f"return a gradient of the input's shape, {self.fields[3]}")]
