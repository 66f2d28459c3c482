"""Every primitive's declaration against the checks, on its samples. A primitive without samples fails."""

import importlib.util
import inspect
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from checks import CHECKS, Call, check_convention, check_gradient, check_value
from checks_transforms import check_jvp, check_vmap
from conventions import otherwise
from samples import SAMPLES, expected, primitives, recorded

import lamina
from lamina import Tensor
from lamina.autograd.saved import SavedOutput
from lamina.primitives import functions, registry
from lamina.primitives.dispatch import apply
from lamina.primitives.fused import COMPOSITES
from lamina.primitives.registry import elementwise, primitive

PRIMITIVES = [pytest.param(p, id=p.name.replace(" ", "-")) for p in primitives()]
pytestmark = pytest.mark.filterwarnings("ignore:Using a target size")  # a composite's other way, of shapes that differ
ELSEWHERE = {
    "GroupedMmBackward0": "tests/oracle/test_functional_oracle.py", "SegmentReduceBackward0": "tests/oracle/test_segments_oracle.py",
    "WeightNormInterfaceBackward0": "tests/nn/test_utils_gradients.py",
}  # fmt: skip
"""Composites whose arguments are not tensors and numbers alone, and what tests them."""
SCIPY = importlib.util.find_spec("scipy") is not None


@contextmanager
def unless_slim():
    """In the slim install, some functions and derivatives are refused: the check is skipped for these, and only there."""
    try:
        yield
    except NotImplementedError as error:
        if SCIPY or "SciPy is not installed" not in str(error):
            raise
        pytest.skip(str(error))


def test_every_primitive_has_samples():
    assert [p.name for p in primitives() if not SAMPLES.get(p.name)] == []


def test_every_composite_is_reached():
    reached = set()
    for p in primitives():
        for args, params in SAMPLES[p.name] if "." in p.name else ():
            call = Call(p, args, params)
            stack = [o.grad_fn for o in call.outputs(call.tensors(requires_grad=True))]
            while stack:
                node = stack.pop()
                reached.add(node.name())
                stack += [n for n, _ in node.next_functions if n is not None]
    assert COMPOSITES - reached - set(ELSEWHERE) == set()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("p", PRIMITIVES)
def test_declaration(p, check):
    with unless_slim():
        for i, (args, params) in enumerate(SAMPLES.get(p.name, ())):
            if check is check_value:
                check(p, args, params, expected(p, i))
            else:
                check(p, args, params)
            if check is check_gradient and otherwise(p, params):
                check_convention(p, args, params, recorded(p, i)["gradients"])


@pytest.mark.parametrize("check", (check_jvp, check_vmap), ids=lambda check: check.__name__)
@pytest.mark.parametrize("p", PRIMITIVES)
def test_transforms(p, check):
    with unless_slim():
        for args, params in SAMPLES.get(p.name, ()):
            check(p.function, args, params)


def kept(value):
    """What a node saved, as text."""
    if isinstance(value, (Tensor, SavedOutput)):
        return f"{value._array if isinstance(value, Tensor) else value.array}"
    return f"({', '.join(map(kept, value))})" if isinstance(value, tuple) else repr(value)


def records(outs, tensors):
    """Of the nodes that a call has recorded: class, edges, what is saved and at which version."""
    nodes = {id(node): node for node in (getattr(o._node, "node", o._node) for o in outs) if node is not None}
    return [
        (
            type(n),
            [next((i for i, t in enumerate(tensors) if t is e), None) for e in n._edges],
            kept(n._saved),
            n._versions,
        )
        for n in nodes.values()
    ]


WRITTEN = [p for p in PRIMITIVES if "first_call" in getattr(p.values[0].function, "__globals__", ())]  # by ways.py


@pytest.mark.parametrize("p", WRITTEN)
def test_the_straight_way_records_what_the_general_call_does(p):
    with unless_slim():
        for args, params in SAMPLES.get(p.name, ()):
            call = Call(p, args, params)
            if params.get("generator") is not None:  # it would give the second call other numbers
                continue
            for asked in (call.smooth, *([i] for i in call.smooth)):
                tensors = call.tensors()
                for i in asked:
                    tensors[i].requires_grad_()
                found, wanted = (
                    records(outs if isinstance(outs, tuple) else (outs,), tensors)
                    for outs in (p.function(*tensors, **params), apply(p, tensors, params))
                )
                assert found == wanted


CALLS = []
"""The sizes of what was computed with."""


def counted(*arrays):
    CALLS.append(len(arrays))
    return sum(arrays)


@pytest.mark.parametrize("needed", [True, False])
@pytest.mark.parametrize(("declare", "compute"), [
    (elementwise, lambda x: counted(x)), (elementwise, lambda x, y: counted(x, y)), (elementwise, lambda x, y, z: counted(x, y, z)),
    (primitive, lambda x: counted(x)), (primitive, lambda x, y: counted(x, y)), (primitive, lambda *xs: counted(*xs)),
])  # fmt: skip
def test_a_call_computes_once(declare, compute, needed, monkeypatch):
    monkeypatch.setattr(registry, "PRIMITIVES", {})
    count = compute.__code__.co_argcount
    if count:
        op = declare("counted", compute, grads=[lambda g: g] * count)
    else:
        op = declare("counted", compute, grads=lambda g, needs: [g for _ in needs], variadic=True)
    CALLS.clear()
    op(*[lamina.ones(2, requires_grad=needed) for _ in range(count or 2)])
    assert CALLS == [count or 2]


WITH_OUT = [
    f
    for f in vars(functions).values()
    if callable(f) and hasattr(f, "primitive") and "out" in inspect.signature(f).parameters
]


@pytest.mark.parametrize("function", WITH_OUT, ids=lambda f: f.__name__)
def test_out_gets_the_result(function):
    dtype = (
        lamina.bool if function.__name__.startswith("bitwise_") and "shift" not in function.__name__ else lamina.int64
    )
    dtype = dtype if function.__name__.startswith(("bitwise_", "gcd", "lcm")) else lamina.float32
    given = [lamina.full((2,), 1, dtype=dtype)] * len(function.primitive.inputs)
    with unless_slim():
        wanted = function(*given)
        out = lamina.empty(2, dtype=wanted.dtype)
        assert function(*given, out=out) is out
        assert out.tolist() == pytest.approx(wanted.tolist(), nan_ok=True)
