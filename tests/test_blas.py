"""Which matrix kernels are asked for, by what the processor says of itself; and that the user has the last word."""

import os
import subprocess
import sys

import pytest

from lamina import _blas

AVX512 = "avx512f avx512dq avx512bw avx512vl avx512cd"


@pytest.mark.parametrize(
    ("vendor", "flags", "kernels"),
    [
        ("AuthenticAMD", f"sse avx2 {AVX512} avx512_bf16 avx512_vnni", "Cooperlake"),
        ("AuthenticAMD", f"sse avx2 {AVX512}", "SkylakeX"),
        ("AuthenticAMD", "sse avx2 fma", ""),
        ("AuthenticAMD", "sse avx2 avx512f", ""),
        ("GenuineIntel", f"sse avx2 {AVX512} avx512_bf16 avx512_vnni", ""),
    ],
)
def test_kernels_of_a_processor(vendor: str, flags: str, kernels: str) -> None:
    assert _blas.wanted(f"processor\t: 0\nvendor_id\t: {vendor}\nflags\t\t: {flags}\nbugs\t\t:\n") == kernels


@pytest.mark.parametrize(("before", "given"), [("", "Zen"), ("import numpy; ", "")])
def test_a_user_and_a_loaded_numpy_are_left_alone(before: str, given: str) -> None:
    program = before + "import lamina, os; print(os.environ.get('OPENBLAS_CORETYPE', ''))"
    environment = {k: v for k, v in os.environ.items() if k != _blas.VARIABLE} | ({_blas.VARIABLE: given} if given else {})
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert run.stdout.strip() == given
