"""LLVM IR text to an object file for this machine, through llvmlite, which is imported here only and when first needed.

Compiling is slow (10-60 ms for a kernel): cache.py sees to it that it happens once.
"""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import Any

from lamina.compiler.emit.code import READY

_lock = threading.Lock()  # LLVM's passes share a target machine; two compiling threads gain nothing anyway


def compile_ir(ir: str) -> bytes:
    """The ELF object of a module of IR, optimised for this CPU. Raises RuntimeError, LLVM's words, where the IR is wrong."""
    with _lock:
        module, machine = _optimised(ir)
        return bytes(machine.emit_object(module))


def assembly(ir: str) -> str:
    """The same as text, to read."""
    with _lock:
        module, machine = _optimised(ir)
        return str(machine.emit_assembly(module))


def _optimised(ir: str) -> tuple[Any, Any]:
    llvm, machine = _target()
    module = llvm.parse_assembly(ir, context=llvm.create_context())
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    if ir.startswith(READY):
        return module, machine
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = tuning.slp_vectorization = tuning.loop_unrolling = True
    builder = llvm.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(module, builder)
    return module, machine


@cache
def version() -> str:
    """What tells one llvmlite (and so one LLVM) from another, found without importing it."""
    import importlib.util  # here, where llvmlite is: only what compiles needs it

    spec = importlib.util.find_spec("llvmlite")
    if spec is None or spec.origin is None:
        return "none"
    return (Path(spec.origin).parent / "_version.py").read_text()


@cache
def _target() -> tuple[Any, Any]:
    import llvmlite.binding as llvm  # 0.1 s, and 100 MB of memory: only for what compiles

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    features = llvm.get_host_cpu_features().flatten()
    return llvm, target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=3, reloc="pic", codemodel="small"
    )
