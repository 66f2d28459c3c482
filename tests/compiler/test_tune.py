"""The cost model's coefficients: what is wrong with fitted ones is never used; sound ones decide; results do not show them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import lamina
from lamina.compiler import costs, tune
from lamina.compiler.emit import emit
from lamina.compiler.kernels import Access, ConvWeight, Inst, Matmul, Window
from lamina.compiler.runtime import cpu, tuned
from lamina.compiler.runtime.program import Launch, Program

pytestmark = [pytest.mark.full, pytest.mark.skipif(bool(cpu.unsupported()), reason=cpu.unsupported())]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAMINA_CACHE_DIR", str(tmp_path / "cache"))
    costs.forget()
    yield tmp_path / "cache"
    monkeypatch.undo()
    costs.forget()


def shipped() -> costs.Coefficients:
    return costs.SHIPPED[costs.kind()]


def fitted(**changed: float) -> costs.Coefficients:
    tuned.save(shipped()._replace(**changed)._asdict())
    costs.forget()
    return costs.coefficients()


def test_without_a_file_the_shipped_ones_are_used(folder: Path):
    assert costs.coefficients() == shipped() and not folder.exists()
    assert tuned.reset() is False


def test_what_is_kept_is_used_until_it_is_thrown_away(folder: Path):
    assert fitted(ghz=4.2) == shipped()._replace(ghz=4.2) and costs.machine().ghz == 4.2
    assert [path.name for path in folder.iterdir()] == [tuned.file().name]
    assert (folder.stat().st_mode & 0o777, tuned.file().stat().st_mode & 0o777) == (0o700, 0o600)
    assert tuned.reset() is True
    costs.forget()
    assert costs.coefficients() == shipped()


def _changed(**change):
    def change_file(file: Path) -> None:
        held = json.loads(file.read_text())
        for name, value in change.items():
            (held if name == "machine" else held["coefficients"])[name] = value
        file.write_text(json.dumps(held))

    return change_file


def _without(file: Path) -> None:
    held = json.loads(file.read_text())
    del held["coefficients"]["ghz"]
    file.write_text(json.dumps(held))


def _linked(file: Path) -> None:
    file.rename(file.with_suffix(".real"))
    file.symlink_to(file.with_suffix(".real"))


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _foreign(file: Path) -> None:
    if os.geteuid():
        pytest.skip("only root gives files away")
    os.chown(file, 12345, 12345)


FAULTS = {
    "empty": lambda file: file.write_bytes(b""),
    "truncated": lambda file: file.write_bytes(file.read_bytes()[:100]),
    "not text": lambda file: file.write_bytes(bytes(range(256))),
    "nested": lambda file: file.write_text("[" * 20000),
    "another form": lambda file: file.write_text("[1, 2]"),
    "another machine": _changed(machine="a Cray"),
    "one is missing": _without,
    "one too many": _changed(other=1.0),
    "not a number": _changed(ghz="fast"),
    "a bool": _changed(ghz=True),
    "NaN": _changed(ghz=float("nan")),
    "infinite": _changed(share_ns=float("inf")),
    "negative": _changed(share_ns=-1.0),
    "zero": _changed(ghz=0),
    "far": _changed(share_ns=1e12),
    "others may write": lambda file: file.chmod(0o666),
    "others may write the folder": lambda file: file.parent.chmod(0o777),
    "foreign": _foreign,
    "a link": _linked,
    "a folder": _folder,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_costs_one_warning(fault: str):
    fitted(ghz=4.2)
    FAULTS[fault](tuned.file())
    costs.forget()
    with pytest.warns(UserWarning, match="are not used .*`lamina tune` fits them anew"):
        assert costs.coefficients() == shipped()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert costs.coefficients() == shipped()


def test_a_folder_that_cannot_be_written_is_said(folder: Path):
    folder.mkdir(mode=0o700)
    folder.chmod(0o777)
    with pytest.raises(PermissionError):
        tuned.save(shipped()._asdict())
    assert not list(folder.iterdir())


# ---- decisions -------------------------------------------------------------------------------------------------------


def _product(m: int, n: int, k: int) -> Matmul:
    store = Inst("store", (0,), "float32", Access(2, (n, 1), "float32"))
    body = (Inst("product", (), "float32"), store)
    return Matmul((), m, n, k, Access(0, (k, 1), "float32"), Access(1, (n, 1), "float32"), body)


def test_own_micro_kernel_or_blas(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(costs, "LARGE_PRODUCT", 1 << 24)
    x = lamina.randn(400, 400)
    for own, blas, calls in ((0.9, 0.9, False), (0.4, 0.95, True)):
        fitted(own_product=own, blas_product=blas)
        step = lamina.compile(lambda x: x @ x)
        for _ in range(3):
            out = step(x)
        assert f"{int(calls)} calls into NumPy" in str(step.explain())
        np.testing.assert_allclose(out.numpy(), (x.numpy() @ x.numpy()), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("taps", [1, 3])
def test_direct_convolution_or_columns(taps: int):
    window = Window(8, 64, 64, 1, (32, 32), (taps, taps), padding=(taps // 2, taps // 2))
    names = ("direct_points", "columns_points") if taps == 1 else ("direct", "columns")
    for efficiency, wins in (((0.9, 0.5), False), ((0.3, 0.9), True)):
        fitted(**dict(zip(names, efficiency, strict=True)))
        assert costs.columns_win(window, 4) == wins
    assert not costs.columns_win(window._replace(groups=2), 4)


def test_one_thread_or_many():
    kernel = _product(256, 256, 64)
    units = [emit(kernel).units for share in (2e3, 4e5) if fitted(share_ns=share)]
    assert units[0] > units[1] == 1


def test_release_of_the_gil():
    code = emit(_product(64, 64, 64))
    launch = Launch(code, ((0, 0), (1, 0), (2, 0)))
    for limit, released in ((code.cost_ns / 2, True), (code.cost_ns * 2, False)):
        fitted(release_ns=limit)
        assert bool(Program([[launch]], 3, 0)._segments[0].table["release"]) == released


def test_which_way_a_weight_s_gradient_goes():
    g, x, out = (Access(i, s, "float32") for i, s in enumerate(((4096, 256, 16, 1), (2048, 256, 16, 1), (72, 9, 3, 1))))
    window = Window(4, 8, 16, 1, (16, 16), (3, 3), padding=(1, 1))
    body = (Inst("product", (), "float32"), Inst("store", (0,), "float32", out))
    texts = {emit(ConvWeight(window, g, x, body)).ir for crossing in (0.1, 100.0) if fitted(crossing=crossing)}
    assert len(texts) == 2


def test_results_do_not_show_how_work_was_cut():
    a, b = np.random.default_rng(0).standard_normal((2, 300, 300), dtype=np.float32)
    results = []
    for change in ({}, {"share_ns": 100.0}, {"share_ns": 4e5}, {"ghz": 9.0}, {"vector_ns": 3.0, "memory_rate": 1.0}):
        fitted(**change)
        out = np.empty((300, 300), np.float32)
        code = emit(_product(300, 300, 300))
        Program([[Launch(code, ((0, 0), (1, 0), (2, 0)))]], 3, 0).entries[0](a, b, out)
        results.append(out.tobytes())
    assert len(set(results)) == 1


# ---- fitting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("took", [1.0, 1e12], ids=["at once", "for ever"])
def test_whatever_is_measured_can_be_read_again(monkeypatch: pytest.MonkeyPatch, took: float):
    """Every kernel runs once; a machine that seems stopped, or infinitely fast, gives numbers that are kept and read."""

    def measured(*runs, clock=None):
        for run in runs:
            run()
        return [took * (i + 1) for i in range(len(runs))]

    monkeypatch.setattr(tune, "nanoseconds", measured)
    threads = lamina.get_num_threads()
    found = tune.fit()
    assert lamina.get_num_threads() == threads
    assert fitted(**found._asdict()) == found
    assert len(tune.table(found).splitlines()) == 1 + len(found)


def test_the_command(folder: Path):
    def lamina_tune(*options: str) -> str:
        environment = os.environ | {"LAMINA_CACHE_DIR": str(folder)}
        done = subprocess.run(
            [sys.executable, "-m", "lamina", *options], env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "shipped" in lamina_tune("tune", "--dry-run") and not tuned.file().exists()
    assert str(tuned.file()) in lamina_tune("tune") and tuned.file().exists()
    assert "fitted to this machine" in lamina_tune("doctor")
    assert "deleted" in lamina_tune("tune", "--reset") and not tuned.file().exists()
    assert "as shipped" in lamina_tune("doctor")
