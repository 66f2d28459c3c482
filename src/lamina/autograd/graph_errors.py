"""Errors of backward: graphs freed, missing or modified, hooks and functions that return what does not fit.

Not here: writes in place (write_errors.py), operands (operand_errors.py).
"""

from __future__ import annotations

from typing import Any

from lamina.autograd.history import cut_rows, maker_of, place_of
from lamina.core.explained import Explained, where, where_defined
from lamina.core.version import Detached, Version


class FreedGraphError(Explained, RuntimeError):
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


class ModifiedError(Explained, RuntimeError):
    """A saved tensor was written to before backward needed it."""

    def __init__(self, node: Any, t: Any, saved: int, now: Any, is_output: bool) -> None:
        # the tensor's description is taken now: the tensor itself may be large and need not live as long as the error
        made_by = getattr(t, "_node", None)
        shape = list(t._array.shape if hasattr(t, "_array") else t.array.shape)
        super().__init__(
            node, (t._kind if hasattr(t, "_kind") else t.kind).dtype, shape, saved, now, is_output, made_by
        )

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
                rows.append(("modified", f"{where(place)}  ({operation}: version {before} -> {after})"))
        rows.append(("fix", "write that line out of place (y = y + 1 for y += 1), or save a clone() before it"))
        return rows


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
            ("fix", "requires_grad=True on the tensors whose gradient is wanted, before computing with them")
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
