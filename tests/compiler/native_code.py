"""Runs one kernel's code on arrays, by LLVM's own loader: for tests of what is emitted, whatever the runtime does with it."""

import ctypes

import llvmlite.binding as llvm
import numpy as np

from lamina.compiler.emit.code import Code

_kept = []


def native(code: Code, arrays, unit_by_unit: bool = False) -> None:
    """All units of `code` on `arrays`; `unit_by_unit`: one after the other from the last on, each in new scratch."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(code.ir)
    module.verify()
    features = llvm.get_host_cpu_features().flatten()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=2, reloc="pic"
    )
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    _kept.append(engine)
    signature = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    function = signature(engine.get_function_address(code.symbol))
    operands = (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])
    spans = [(u, u + 1) for u in reversed(range(code.units))] if unit_by_unit else [(0, code.units)]
    for lo, hi in spans:
        room = np.full(code.scratch + 128, 0xFF, np.uint8)  # NaN, whatever the dtype
        start = -room.ctypes.data % 64
        function(operands, room.ctypes.data + start, lo, hi)
        assert (room[:start] == 0xFF).all() and (room[start + code.scratch :] == 0xFF).all()
