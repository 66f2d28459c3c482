"""Every primitive's declaration against the checks, on its samples. A primitive without samples fails."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from checks import CHECKS, check_value
from checks_transforms import check_jvp, check_vmap
from samples import FULL, REFERENCES, SAMPLES, primitives

PRIMITIVES = [
    pytest.param(p, id=p.name.replace(" ", "-"), marks=[pytest.mark.full] if p.name in FULL else [])
    for p in primitives()
]


def test_every_primitive_has_samples():
    assert [p.name for p in primitives() if not SAMPLES.get(p.name)] == []


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("p", PRIMITIVES)
def test_declaration(p, check):
    for args, params in SAMPLES.get(p.name, ()):
        if check is check_value:
            check(p, args, params, REFERENCES.get(p.name))
        else:
            check(p, args, params)


@pytest.mark.parametrize("check", (check_jvp, check_vmap), ids=lambda check: check.__name__)
@pytest.mark.parametrize("p", PRIMITIVES)
def test_transforms(p, check):
    for args, params in SAMPLES.get(p.name, ()):
        check(p.function, args, params)
