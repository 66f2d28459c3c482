"""`lamina doctor`: what this installation is made of, and whether it computes what it should.

Here: the report and the self-check. Everything is looked up without being imported, except what the self-check uses.
"""

import ctypes
import importlib.metadata
import math
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import lamina
from lamina.compiler import costs
from lamina.compiler.runtime import cache, cpu, tuned
from lamina.core import blas
from lamina.version import __version__
from lamina.version import lamina as own_version

_PACKAGES = ("ml_dtypes", "llvmlite", "scipy", "safetensors", "tqdm", "matplotlib")
_VARIABLES = (
    "LAMINA_NUM_THREADS", "LAMINA_CACHE_DIR", "LAMINA_CACHE_LIMIT", "LAMINA_JIT", "LAMINA_CPU_CAPABILITY",
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"
)  # fmt: skip
_FEATURES = ("SSE42", "AVX", "AVX2", "FMA3", "AVX512F", "AVX512_SKX", "AVX512_SPR", "NEON", "ASIMD", "SVE")

# What PyTorch 2.13 prints for the three steps below.
_RECORDED = (4.128729343414307, 3.4072511196136475, 2.365995168685913)


def main() -> int:
    """Print the report; 1 if the self-check fails, else 0."""
    for title, lines in (("versions", _versions()), ("machine", _machine()), ("native code", _native())):
        print(title)
        for name, value in lines:
            print(f"  {name:22} {value}")
    print("self-check")
    problem = self_check()
    print(f"  {'three training steps':22} {problem or 'the losses are those of PyTorch'}")
    return 1 if problem else 0


def self_check() -> str:
    """Train three steps and compare the losses with recorded ones; what is wrong, or an empty string."""
    try:
        losses = _three_losses()
    except Exception as error:  # whatever it is, a doctor reports it
        return f"FAILED: {type(error).__name__}: {error}"
    pairs = zip(losses, _RECORDED, strict=True)
    if all(math.isclose(loss, recorded, rel_tol=1e-5) for loss, recorded in pairs):
        return ""
    return f"FAILED: the losses are {losses}, and should be {list(_RECORDED)}"


def _three_losses() -> list[float]:
    with lamina.random.fork_rng(devices=[]):
        lamina.manual_seed(0)
        model = lamina.nn.Sequential(lamina.nn.Linear(4, 8), lamina.nn.Tanh(), lamina.nn.Linear(8, 1))
        inputs = lamina.randn(32, 4)
    targets = inputs.sum(1, keepdim=True)
    optimizer = lamina.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(len(_RECORDED)):
        optimizer.zero_grad()
        loss = lamina.nn.functional.mse_loss(model(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def _versions() -> Iterator[tuple[str, str]]:
    yield "lamina", f"{own_version} ({Path(lamina.__file__).parent}), as torch {__version__}"
    yield "python", f"{platform.python_version()} ({sys.executable})"
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    yield "numpy", f"{np.__version__}, BLAS {blas.get('name', 'unknown')} {blas.get('version', '')}".rstrip()
    for package in _PACKAGES:
        yield package, _version_of(package) or "not installed"
    torch = _version_of("torch")
    yield "PyTorch", f"{torch} is installed, and not used" if torch else "not installed, and not needed"


def _version_of(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _machine() -> Iterator[tuple[str, str]]:
    yield "system", f"{platform.system()} {platform.release()}, {platform.machine()}"
    found = np._core._multiarray_umath.__cpu_features__
    yield "CPU features", " ".join(name for name in _FEATURES if found.get(name)) or "none that NumPy uses"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    chosen = "OPENBLAS_CORETYPE" in os.environ
    yield "BLAS kernels", f"{_blas_kernels()}, chosen by {'OPENBLAS_CORETYPE' if chosen else 'OpenBLAS'}"
    yield "threads", f"{lamina.get_num_threads()} used, {cores} cores"
    yield "BLAS threads", f"{blas.threads() or 'its own'}; large products are shared by lamina"
    for name in _VARIABLES:
        if name in os.environ:
            yield name, os.environ[name]


def _blas_kernels() -> str:
    """What the OpenBLAS in NumPy's wheel says it uses."""
    for path in Path(np.__file__).parent.parent.glob("numpy.libs/*openblas*"):
        try:
            ask = ctypes.CDLL(str(path)).scipy_openblas_get_corename64_
        except (OSError, AttributeError):
            continue
        ask.restype = ctypes.c_char_p
        return str(ask().decode())
    return "unknown"


def _native() -> Iterator[tuple[str, str]]:
    missing = cpu.unsupported() or ("" if _version_of("llvmlite") else "llvmlite is not installed")
    yield "kernels", f"none: {missing}; operations run on NumPy" if missing else "compiled through llvmlite"
    found = cache.info()
    yield "cache", f"{found.folder} ({found.kernels} kernels, {found.bytes / 1e6:.1f} MB)"
    if found.problem:
        yield "cache not used", found.problem
    if not missing:
        fitted = costs.coefficients() != costs.SHIPPED[costs.kind()]
        yield "cost model", f"fitted to this machine ({tuned.file()})" if fitted else f"as shipped for {costs.kind()}"
