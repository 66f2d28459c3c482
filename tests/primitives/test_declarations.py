"""Every primitive's declaration against the checks, on its samples. A primitive without samples fails."""

import importlib.util
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from checks import CHECKS, Call, check_convention, check_gradient, check_value
from checks_transforms import check_jvp, check_vmap
from conventions import otherwise
from samples import SAMPLES, expected, primitives, recorded

from lamina.primitives.fused import COMPOSITES

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
