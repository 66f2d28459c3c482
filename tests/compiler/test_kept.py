"""Programs on disk: who finds one runs no pass, and computes the same; what could make another is part of the key."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lamina
from lamina.compiler import kept, pipeline
from lamina.compiler.available import available
from lamina.compiler.passes import columns
from lamina.compiler.runtime import cache

pytestmark = [pytest.mark.full, pytest.mark.skipif(not available(), reason="programs are kept where there are kernels")]

PROGRAM = """
import sys, warnings
import lamina
from lamina import nn
warnings.simplefilter("error")
lamina.manual_seed(0)
net = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Dropout(0.5), nn.Linear(8, 4))
optimizer = lamina.optim.AdamW(net.parameters(), 0.1)
def step(x, y):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(net(x), y)
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()
    return loss
compiled = lamina.compile(step, fullgraph=True, nan=NAN)
x, y = lamina.randn(16, 6), lamina.randint(4, (16,))
losses = [compiled(x, y).item().hex() for _ in range(5)]
assert compiled.calls["replayed"] >= 3
print("emit" if "lamina.compiler.emit" in sys.modules else "found")
print(*losses)
print(compiled.explain())  # which runs the passes after all
"""


def run(folder: Path, nan: str | None, warns: str = "error") -> tuple[list[str], str]:
    """The lines that it prints, in no order (leaves are looked at as the heap has them), and its warnings."""
    program = PROGRAM.replace("NAN", repr(nan)).replace("error", warns)
    environment = os.environ | {"LAMINA_CACHE_DIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.splitlines()), done.stderr


@pytest.mark.parametrize("nan", ["raise", None])
def test_the_second_process_runs_no_pass_and_computes_the_same(tmp_path: Path, nan):
    (first, _), (second, _) = run(tmp_path, nan), run(tmp_path, nan)
    assert "emit" in first and "found" in second and set(first) ^ set(second) == {"emit", "found"}
    for file in (tmp_path / "kernels").glob("*.program"):
        file.write_bytes(file.read_bytes()[:-1])
    third, warned = run(tmp_path, nan, "always")
    assert third == first and "compiled anew" in warned


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The keys under which programs were asked for."""
    monkeypatch.setenv("LAMINA_CACHE_DIR", str(tmp_path))
    found: list[str | None] = []

    def of(*args):
        entry = entry_of(*args)
        found.append(entry and entry.key)
        return entry

    entry_of = kept.Entry.of
    monkeypatch.setattr(kept, "_as_on_disk", lambda: True)
    monkeypatch.setattr(kept.Entry, "of", staticmethod(of))
    return found


def compiled_of(function, *arguments):
    compiled = lamina.compile(function, fullgraph=True)
    for _ in range(3):
        last = compiled(*arguments)
    assert compiled.calls["replayed"]
    return last


def shifted(by):
    return lambda x: (x * 2 + lamina.tensor([by, 1.0])).tanh()


X = lamina.ones(3, 2)
VARIANTS = {
    "another constant": (shifted(0.5), (X,)),
    "another shape": (shifted(1.0), (lamina.ones(4, 2),)),
    "other strides": (shifted(1.0), (lamina.ones(2, 3).t(),)),
    "another dtype": (shifted(1.0), (X.double(),)),
    "a parameter of another kind": (lambda x: (x * 2.0 + lamina.tensor([1.0, 1.0])).sum(1), (X,)),
    "along another dimension": (lambda x: (x * 2.0 + lamina.tensor([1.0, 1.0])).sum(0), (X,)),
    "a result more": (lambda x: ((x * 2 + lamina.tensor([1.0, 1.0])).tanh(), x * 2), (X,)),
}


def test_what_could_make_another_program_is_part_of_the_key(keys):
    compiled_of(shifted(1.0), X)
    compiled_of(shifted(1.0), X)
    assert len(set(keys)) == 1 and None not in keys
    for n, (function, arguments) in enumerate(VARIANTS.values(), 2):
        compiled_of(function, *arguments)
        assert len(set(keys)) == n


def test_limits_that_were_set_to_others_are_part_of_the_key(keys, monkeypatch: pytest.MonkeyPatch):
    compiled_of(shifted(1.0), X)
    monkeypatch.setattr(columns, "LEAST", 0)
    compiled_of(shifted(1.0), X)
    assert len(set(keys)) == 2


def test_a_compiler_that_was_changed_in_this_process_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAMINA_CACHE_DIR", str(tmp_path))
    fuse = pipeline.fuse
    monkeypatch.setattr(pipeline, "fuse", lambda *args: fuse(*args))
    compiled_of(shifted(1.0), X)
    assert not list((tmp_path / "kernels").glob("*.program"))


def test_a_program_that_computes_something_else_is_forgotten(keys):
    """One that is not what the passes make: the first replay tells, and no later process finds it."""

    def scaled(by):
        return lambda x: (x * by).tanh()

    compiled_of(scaled(2.0), X)
    compiled_of(scaled(3.0), X)
    one, other = keys
    cache.store().put_program(one, cache.store().program(other))
    compiled = lamina.compile(scaled(2.0))
    with pytest.warns(RuntimeWarning, match="stays eager"):
        found = [compiled(X) for _ in range(3)]
    assert cache.store().program(one) is None
    np.testing.assert_array_equal(found[2].numpy(), scaled(2.0)(X).numpy())
