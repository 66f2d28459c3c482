"""The command `lamina`: a program under `lamina run` sees and does what it would under python."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "lamina"]


def lamina(*arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=120, **options)


def python(*arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, **options)


SEES = """
import pickle, sys
class Here: pass
assert type(pickle.loads(pickle.dumps(Here()))) is Here
print(sys.argv, sys.path[0], __name__, __file__, __package__, getattr(__spec__, "name", None), __doc__)
"""

# What the program does at its end -> under lamina as under python: status, traceback, text on standard error.
ENDINGS = {
    "returns": "",
    "status": "sys.exit(3)",
    "message": "sys.exit('bye')",
    "exception": "def f():\n    1 / 0\nf()",
    "chained": "try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('b') from e",
    "interrupt": "raise KeyboardInterrupt",
    "own hook": "sys.excepthook = lambda t, v, tb: print('hook', t.__name__, tb.tb_lineno, tb.tb_next)\n1 / 0",
    "at exit": "import atexit; atexit.register(print, 'last'); 1 / 0",
    "syntax": "print(1 +",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_script_runs_as_under_python(tmp_path: Path, ending):
    script = tmp_path / "program.py"
    script.write_text(SEES + ENDINGS[ending])
    expected = python("program.py", "--help", "-m", "x", cwd=tmp_path)
    got = lamina("run", "program.py", "--help", "-m", "x", cwd=tmp_path)
    assert (got.returncode, got.stdout, got.stderr) == (expected.returncode, expected.stdout, expected.stderr)


@pytest.mark.parametrize("name", ["package", "package.inner", "missing", "package.missing", "package.empty"])
def test_a_module_runs_as_under_python(tmp_path: Path, name):
    inner = tmp_path / "package"
    (inner / "empty").mkdir(parents=True)
    (inner / "empty" / "__init__.py").write_text("")
    (inner / "__init__.py").write_text("import sys; print('package', sys.argv[0])")
    (inner / "__main__.py").write_text(SEES + "sys.exit(4)")
    (inner / "inner.py").write_text("from . import empty\n" + SEES)
    expected = python("-m", name, "a", "-b", cwd=tmp_path)
    got = lamina("run", "-m", name, "a", "-b", cwd=tmp_path)
    assert (got.returncode, got.stdout) == (expected.returncode, expected.stdout)
    assert got.stderr.replace("lamina: ", "") == expected.stderr.replace(f"{sys.executable}: ", "")


def test_standard_input_a_folder_and_a_missing_file(tmp_path: Path):
    (tmp_path / "__main__.py").write_text(SEES)
    assert lamina("run", str(tmp_path)).stdout == python(str(tmp_path)).stdout
    source = "import sys, torch; print(sys.argv, __name__, torch.__spec__.name)"
    assert lamina("run", "-", "a", input=source).stdout == "['-', 'a'] __main__ lamina\n"
    missing = lamina("run", str(tmp_path / "missing.py"))
    assert missing.returncode == 2 and "[Errno 2] No such file or directory" in missing.stderr


def test_processes_that_a_program_starts_have_lamina_as_torch(tmp_path: Path):
    (tmp_path / "program.py").write_text(
        """
import multiprocessing, subprocess, sys, torch
def work(i):
    return torch.__spec__.name, i + 1
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(work, [1]))
    subprocess.run([sys.executable, "-c", "import torch, torch.optim; print(torch.optim.__name__)"], check=True)
"""
    )
    done = lamina("run", "program.py", cwd=tmp_path)
    assert done.stdout == "[('lamina', 2)]\nlamina.optim\n", done.stderr


def test_doctor_reports_and_checks_itself(tmp_path: Path):
    done = lamina("doctor", env={**os.environ, "LAMINA_CACHE_DIR": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("numpy", "BLAS", "CPU features", "threads", str(tmp_path), "the losses are those of PyTorch"):
        assert word in done.stdout


def test_doctor_says_what_is_wrong(monkeypatch, capsys):
    from lamina import doctor

    monkeypatch.setattr(doctor, "_RECORDED", (1.0, 2.0, 3.0))
    assert doctor.main() == 1
    assert "FAILED: the losses are [4.12" in capsys.readouterr().out


def test_where_nothing_is_compiled_there_is_nothing_to_tune():
    done = lamina("tune", env=os.environ | {"LAMINA_JIT": "0"})
    assert done.returncode == 2 and "no native code here" in done.stderr


def test_the_cache_is_described_and_emptied(tmp_path: Path):
    kernels = tmp_path / "kernels"
    kernels.mkdir(mode=0o700)
    tmp_path.chmod(0o700)
    (kernels / "0.kernel").write_bytes(bytes(3_000_000))
    environment = {"env": os.environ | {"LAMINA_CACHE_DIR": str(tmp_path)}}
    assert "1 kernels, 3.0 MB" in lamina("cache", "info", **environment).stdout
    assert "1 kernels deleted" in lamina("cache", "clear", **environment).stdout
    assert not list(kernels.iterdir())
    kernels.chmod(0o777)
    refused = lamina("cache", "info", **environment)
    assert refused.returncode == 1 and "can be written by others" in refused.stdout
