"""Kernels run: entries, operands, checks of arguments, times. The kernels are written by hand (native_ir.py)."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lamina.compiler.emit.code import Code
from lamina.compiler.runtime import cpu, library, memory, native
from lamina.compiler.runtime.program import Launch, Program

from . import native_ir

pytestmark = [pytest.mark.full, pytest.mark.skipif(bool(cpu.unsupported()), reason=cpu.unsupported())]


def test_launches_run_in_order_on_their_operands():
    arena, source, target = np.zeros(16), np.arange(8.0), np.zeros(10)
    double, triple = native_ir.affine(2.0, 8), native_ir.affine(3.0, 8)
    first = [Launch(double, ((1, 0), (0, 64))), Launch(triple, ((0, 64), (2, 16)))]
    program = Program([first, [Launch(double, ((0, 64), (0, 64)))]], slots=3, first_dynamic=1, arguments=[(1, 2), ()])
    program.bind(0, arena.ctypes.data)
    assert program.entries[0](source, target) is None
    np.testing.assert_array_equal(target, [0, 0, *(3 * (2 * source + 1) + 1)])
    program.entries[1]()
    np.testing.assert_array_equal(arena[8:], 2 * (2 * source + 1) + 1)


def test_arguments_are_checked_before_anything_runs():
    source, target = np.ones(4), np.zeros(4)
    program = Program([[Launch(native_ir.affine(2.0, 4), ((0, 0), (1, 0)))]], slots=2, first_dynamic=0)
    [entry] = program.entries
    with pytest.raises(TypeError, match="takes 2 arrays, but 1 were given"):
        entry(source)
    with pytest.raises(TypeError, match=r"argument 1 of .* must be a numpy.ndarray, not list"):
        entry(source, [0.0])
    with pytest.raises(TypeError):
        entry(source, target, out=target)
    assert not target.any()
    entry(source, target.view(np.recarray))  # a subclass is an array
    np.testing.assert_array_equal(target, 3)


def test_an_entry_holds_what_it_needs_and_nothing_leaks():
    source, target = np.ones(4), np.zeros(4)
    entry = Program([[Launch(native_ir.affine(5.0, 4), ((0, 0), (1, 0)))]], slots=2, first_dynamic=0).entries[0]
    before = [sys.getrefcount(thing) for thing in (None, source, target)]
    for _ in range(1000):
        entry(source, target)
    after = [sys.getrefcount(thing) for thing in (None, source, target)]
    assert all(abs(a - b) < 100 for a, b in zip(after, before, strict=True))
    np.testing.assert_array_equal(target, 6)


@pytest.mark.parametrize("name, argument", [("exp", 0.5), ("cbrt", 27.0), ("lgamma", 4.5)])
def test_what_the_c_library_has_is_found(name, argument):
    call = f"  %y = call double @{name}(double %x)"
    code = native_ir.each(f"calls_{name}", call, 2, declare=f"declare double @{name}(double)\n")
    source, target = np.full(2, argument), np.zeros(2)
    Program([[Launch(code, ((0, 0), (1, 0)))]], slots=2, first_dynamic=0).entries[0](source, target)
    np.testing.assert_allclose(target, getattr(math, name)(argument), rtol=1e-14)


def test_what_no_library_has_is_named():
    call = "  %y = call double @no_such_function(double %x)"
    code = native_ir.each("calls_nothing", call, 2, declare="declare double @no_such_function(double)\n")
    with pytest.raises(LookupError, match="no_such_function"):
        Program([[Launch(code, ((0, 0), (1, 0)))]], slots=2, first_dynamic=0)


def test_a_kernel_with_variables_of_its_own_is_refused():
    body = "  %y = load double, ptr @own\n  store double %x, ptr @own"
    code = native_ir.each("has_state", body, 2, declare="@own = global double 0.0\n")
    with pytest.raises(ValueError, match="no writable data"):
        Program([[Launch(code, ((0, 0), (1, 0)))]], slots=2, first_dynamic=0)


FUNCTIONS = {
    "fabs": 1.5,
    "exp2": -2.25,
    "sqrt": 1234567.0,
    "cbrt": 7.0,
    "tan": 0.1,
    "expm1": 3.0,
    "floor": -0.5,
    "log1p": 11.0,
}
NUMPY = [np.fabs, np.exp2, np.sqrt, np.cbrt, np.tan, np.expm1, np.floor, np.log1p]


def test_constants_and_tables_of_jumps_are_linked():
    cases = [
        f"case{i}:\n  %v{i} = call double @{name}(double {value})\n  br label %join"
        for i, (name, value) in enumerate(FUNCTIONS.items())
    ]
    ir = f"""
define void @table(ptr %operands, ptr %scratch, i64 %lo, i64 %hi) {{
  %target = load ptr, ptr %operands
  br label %loop
loop:
  %i = phi i64 [%lo, %0], [%next, %join]
  switch i64 %i, label %case0 [{" ".join(f"i64 {i}, label %case{i}" for i in range(8))}]
{chr(10).join(cases)}
join:
  %y = phi double {", ".join(f"[%v{i}, %case{i}]" for i in range(8))}
  %to = getelementptr double, ptr %target, i64 %i
  store double %y, ptr %to
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %hi
  br i1 %more, label %loop, label %end
end:
  ret void
}}
""" + "".join(f"declare double @{name}(double)\n" for name in FUNCTIONS)
    target = np.zeros(8)
    Program([[Launch(Code(ir, "table", 8, 0, 100.0), ((0, 0),))]], slots=1, first_dynamic=0).entries[0](target)
    expected = [f(value) for f, value in zip(NUMPY, FUNCTIONS.values(), strict=True)]
    np.testing.assert_allclose(target, expected, rtol=1e-14)


def test_launches_without_units_do_nothing_and_every_launch_is_timed():
    source, target = np.ones(4), np.zeros(4)
    some, none = native_ir.affine(2.0, 4), native_ir.affine(3.0, 0)
    program = Program([[Launch(some, ((0, 0), (1, 0))), Launch(none, ((0, 0), (1, 0)))]], slots=2, first_dynamic=0)
    [times] = program.profile()
    program.entries[0](source, target)
    np.testing.assert_array_equal(target, 3)
    assert times[0] > 0 and times.shape == (2,)
    program.profile(False)
    times[:] = 0
    program.entries[0](source, target)
    assert not times.any()


def test_without_the_known_layout_entries_go_through_ctypes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(native, "layout_holds", lambda: False)
    source, target = np.ones(4), np.zeros(4)
    [entry] = Program([[Launch(native_ir.affine(2.0, 4), ((0, 0), (1, 0)))]], slots=2, first_dynamic=0).entries
    assert entry(source, target) is None
    np.testing.assert_array_equal(target, 3)
    with pytest.raises(TypeError, match="takes 2 arrays, but 1 were given"):
        entry(source)
    with pytest.raises(TypeError, match="must be a numpy.ndarray, not list"):
        entry(source, [])


def test_where_no_memory_may_be_executable_there_is_no_native_code(monkeypatch: pytest.MonkeyPatch):
    def refuse(name: str, *args: int) -> int:
        if name == "mprotect":
            raise PermissionError(13, "mprotect for native code")
        return call(name, *args)

    call = memory._call
    monkeypatch.setattr(memory, "_call", refuse)
    monkeypatch.setattr(library, "_loaded", {})
    monkeypatch.setattr(native, "functions", native.functions.__wrapped__)
    assert "mprotect for native code" in native.problem.__wrapped__()


def test_the_cpu_is_known_where_proc_is_closed(monkeypatch: pytest.MonkeyPatch):
    known = cpu.host()
    monkeypatch.setattr(cpu, "_proc_cpuinfo", dict)
    guessed = cpu.host.__wrapped__()
    assert guessed.vector_bits == known.vector_bits
    assert guessed.identity != known.identity  # so that code is not taken for another machine's
    assert 1 <= cpu.cores() <= len(os.sched_getaffinity(0))


_NARROW = """
import subprocess
import sys
from pathlib import Path
import lamina
from lamina.compiler.runtime import cpu
f = lamina.compile(lambda x, w: (x @ w).exp().sum(0), fullgraph=True)
x, w = lamina.arange(60.0).reshape(3, 20) / 60, lamina.arange(400.0).reshape(20, 20) / 4000
found = [f(x, w) for _ in range(4)]
assert f.calls["replayed"] >= 2
assert lamina.allclose(found[-1], (x @ w).exp().sum(0))
print(cpu.host().vector_bits)
"""


@pytest.mark.parametrize("asked", ["avx2", "sse9"])
def test_code_can_be_that_of_a_smaller_machine(asked: str, tmp_path: Path):
    environment = os.environ | {"LAMINA_CPU_CAPABILITY": asked, "LAMINA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", _NARROW], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    if asked == "avx2":
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) == min(256, cpu.host().vector_bits)
    else:
        assert "LAMINA_CPU_CAPABILITY=sse9: expected avx2" in done.stderr
