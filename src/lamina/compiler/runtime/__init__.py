"""Native code: from LLVM IR to functions that Python calls. Nothing here imports llvmlite before a kernel must be compiled.

cpu.py what this machine is; codegen.py IR to object file, helpers.py many at once; image.py object file to position-independent image;
cache.py images on disk; memory.py image to addresses; library.py all of these, from IR to address. entry.py builtins over addresses;
guards.py what they check first; pool.py threads; program.py launches. The code that runs in between is IR of its own, native/*.ll,
compiled and cached like a kernel (native.py).
"""
