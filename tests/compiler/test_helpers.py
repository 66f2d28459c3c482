"""Compiling with the help of other processes: the same objects, whatever becomes of the helpers."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

import lamina
from lamina.compiler.runtime import codegen, cpu, helpers

from . import native_ir

pytestmark = [pytest.mark.full, pytest.mark.skipif(bool(cpu.unsupported()), reason=cpu.unsupported())]

MODULES = {str(i): native_ir.affine(1.5 + i, 8).ir for i in range(6)}


@pytest.fixture(autouse=True)
def two_helpers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(helpers, "_WORTH_MS", 1.0)
    monkeypatch.setattr(cpu, "cores", lambda: 3)
    before = lamina.get_num_threads()
    lamina.set_num_threads(3)
    yield
    lamina.set_num_threads(before)


def test_a_helper_makes_what_is_made_here():
    asked = io.BytesIO()
    codegen.write(asked, json.dumps(sys.path).encode())
    for ir in [*MODULES.values(), "nonsense"]:
        codegen.write(asked, ir.encode())
    command = [sys.executable, "-P", "-E", "-S", codegen.__file__]
    done = subprocess.run(command, input=asked.getvalue(), capture_output=True, timeout=60)
    answered = io.BytesIO(done.stdout)
    expected = [codegen.compile_ir(ir) for ir in MODULES.values()]
    assert [codegen.read(answered) for _ in expected] == expected
    assert codegen.read(answered) == b"" and done.stderr == b""


def test_with_helpers_all_is_made_once():
    expected = {key: codegen.compile_ir(ir) for key, ir in MODULES.items()}
    made = list(helpers.compile_all(MODULES))
    assert len(made) == len(MODULES) and dict(made) == expected


FAULTS = {
    "ends at once": "",
    "ends after a request": "import sys; sys.stdin.buffer.read(9)",
    "half an answer": "import sys; sys.stdin.buffer.read(9); sys.stdout.buffer.write(b'd' + bytes(7) + b'abc')",
    "fails": "1 / 0",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_helper_that_fails_is_done_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault):
    program = tmp_path / "helper.py"
    program.write_text(FAULTS[fault])
    monkeypatch.setattr(codegen, "__file__", str(program))
    assert dict(helpers.compile_all(MODULES)).keys() == MODULES.keys()


def test_without_processes_it_is_done_here(monkeypatch: pytest.MonkeyPatch):
    def refuse(*args, **kwargs):
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert dict(helpers.compile_all(MODULES)).keys() == MODULES.keys()


def test_what_llvm_says_of_wrong_ir_arrives():
    with pytest.raises(RuntimeError, match="expected instruction opcode"):
        dict(helpers.compile_all(MODULES | {"wrong": "define void @f() { nonsense }"}))


def test_who_stops_early_leaves_no_process():
    compiled = helpers.compile_all(MODULES)
    next(compiled)
    compiled.close()  # a process that is left would be a ResourceWarning, and so an error
