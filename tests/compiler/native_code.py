"""Runs one kernel's code on arrays, by LLVM's own loader: for tests of what is emitted, whatever the runtime does with it."""

import ctypes

import llvmlite.binding as llvm
import numpy as np

from lamina.compiler.emit import emit
from lamina.compiler.emit.code import Code

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()

_SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


class Native:
    """The text of a kernel, compiled."""

    def __init__(self, code: Code) -> None:
        module = llvm.parse_assembly(code.ir)
        module.verify()
        features = llvm.get_host_cpu_features().flatten()
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=features, opt=2, reloc="pic"
        )
        self.engine = llvm.create_mcjit_compiler(module, machine)
        self.engine.finalize_object()
        self.code, self.function = code, _SIGNATURE(self.engine.get_function_address(code.symbol))

    def __call__(self, arrays, unit_by_unit: bool = False) -> None:
        """All units on `arrays`; `unit_by_unit`: one after the other from the last on, each in new scratch."""
        operands = (ctypes.c_void_p * max(len(arrays), 1))(*[array.ctypes.data for array in arrays])
        units, scratch = self.code.units, self.code.scratch
        for lo, hi in [(u, u + 1) for u in reversed(range(units))] if unit_by_unit else [(0, units)]:
            room = np.full(scratch + 128, 0xFF, np.uint8)  # NaN, whatever the dtype
            start = -room.ctypes.data % 64
            self.function(operands, room.ctypes.data + start, lo, hi)
            assert (room[:start] == 0xFF).all() and (room[start + scratch :] == 0xFF).all()


def native(code: Code, arrays, unit_by_unit: bool = False) -> None:
    """Compile and run `code`."""
    Native(code)(arrays, unit_by_unit)


def run(kernel, arrays) -> None:
    """Compile and run a kernel."""
    native(emit(kernel), arrays)
