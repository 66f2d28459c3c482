"""LLVM IR text to an object file for this machine, through llvmlite, which is imported here only and when first needed.

Compiling is slow (5-30 ms for a kernel): cache.py sees to it that it happens once, helpers.py that other cores help: they run this
file as a program, so it imports nothing of lamina's.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import threading
from functools import cache
from pathlib import Path
from typing import IO, Any

READY = "; written as it is to run: passes would take longer than all else and change nothing\n"
"""The first line of text that goes to code generation without optimising passes."""

WIDER = ("avx512", "avx10", "amx")
"""How features begin that AVX2 machines do not have."""

_lock = threading.Lock()  # LLVM's passes share a target machine; two compiling threads gain nothing anyway
os.register_at_fork(
    before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
)  # never amid LLVM's work


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
    # Kernels are written with vectors and unrolled where that pays; doing it again took a third of the time and made nothing
    # faster. A loop may still ask for it, by its metadata (llvm.loop.vectorize.enable, llvm.loop.unroll.enable).
    tuning.loop_vectorization = tuning.slp_vectorization = tuning.loop_interleaving = tuning.loop_unrolling = False
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


def narrow() -> bool:
    """Whether code is made as for a machine without AVX-512: its numbers and its speed can be had here.

    Raises ValueError where LAMINA_CPU_CAPABILITY asks for something else.
    """
    asked = os.environ.get("LAMINA_CPU_CAPABILITY", "")
    if asked not in ("", "avx2"):
        raise ValueError(f"LAMINA_CPU_CAPABILITY={asked}: expected avx2, or nothing for all that this machine has")
    return asked == "avx2"


@cache
def _target() -> tuple[Any, Any]:
    import llvmlite.binding as llvm  # 0.1 s, and 100 MB of memory: only for what compiles

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    features = llvm.get_host_cpu_features()
    if narrow():
        features.update({name: False for name in features if name.startswith(WIDER)})
    return llvm, target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features.flatten(), opt=3, reloc="pic", codemodel="small"
    )


def write(stream: IO[bytes], data: bytes) -> None:
    """One message between a helper and who started it."""
    stream.write(struct.pack("<Q", len(data)) + data)
    stream.flush()


def read(stream: IO[bytes]) -> bytes:
    """The next message. Raises EOFError at the end."""
    head = stream.read(8)
    if len(head) < 8:
        raise EOFError
    (size,) = struct.unpack("<Q", head)
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _serve() -> None:
    """As a program: objects for modules until there are no more; nothing for what LLVM refuses."""
    source, target = sys.stdin.buffer, sys.stdout.buffer
    sys.path[:] = json.loads(read(source))
    while True:
        try:
            ir = read(source).decode()
        except EOFError:
            return
        try:
            made = compile_ir(ir)
        except RuntimeError:
            made = b""
        write(target, made)


if __name__ == "__main__":
    _serve()
