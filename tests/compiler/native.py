"""Running one kernel on NumPy arrays, for tests of what `emit` makes."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import llvmlite.binding as llvm
import numpy as np

from lamina.compiler.emit import Code, emit
from lamina.compiler.kernels import Loop

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()

_SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


def run(kernel: Loop, operands: Sequence[np.ndarray], together: bool = True) -> None:
    """Compile `kernel` and run it on arrays, all units `together` or one by one, from the last to the first."""
    execute(emit(kernel), operands, together)


def execute(code: Code, operands: Sequence[np.ndarray], together: bool) -> None:
    """Run the text of a kernel."""
    module = llvm.parse_assembly(code.ir)
    module.verify()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=1, jit=True
    )
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    function = _SIGNATURE(engine.get_function_address(code.symbol))
    pointers = (ctypes.c_void_p * max(len(operands), 1))(*[a.ctypes.data for a in operands])
    room = np.empty(code.scratch + 64, np.uint8)
    scratch = room.ctypes.data + -room.ctypes.data % 64
    if together:
        function(pointers, scratch, 0, code.units)
        return
    for unit in reversed(range(code.units)):
        function(pointers, scratch, unit, unit + 1)
