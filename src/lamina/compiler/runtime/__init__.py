"""Native code: from LLVM IR to functions that Python calls. Nothing here imports llvmlite before a kernel must be compiled.

cpu.py what this machine is; codegen.py IR to object file; image.py object file to position-independent image; memory.py image to
addresses; cache.py images on disk; entry.py builtins over addresses; pool.py threads; program.py launches. The code that runs in
between is IR of its own, in native/*.ll, compiled and cached like a kernel.
"""
