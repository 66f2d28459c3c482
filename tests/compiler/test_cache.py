"""The cache of native code: what is wrong with it costs a compilation and one warning, and never more."""

from __future__ import annotations

import errno
import functools
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pytest

import lamina
from lamina.compiler.runtime import cache, cpu
from lamina.compiler.runtime.image import Image

pytestmark = [pytest.mark.full, pytest.mark.skipif(bool(cpu.unsupported()), reason=cpu.unsupported())]

IMAGE = Image(b"\xc3" * 1000, {"k": 0}, [(8, "exp", 0)], [(16, 4)])


@pytest.fixture
def store(tmp_path: Path) -> cache.Store:
    made = cache.Store(tmp_path / "cache")
    made.put("key", IMAGE)
    return made


def test_what_is_put_is_got_back(store: cache.Store):
    assert store.get(["key", "other"]) == {"key": IMAGE}
    info = store.info()
    assert (info.kernels, info.problem) == (1, "") and info.bytes > 1000
    assert store.clear() == 1
    assert store.get(["key"]) == {} and store.info().kernels == 0
    assert [path.stat().st_mode & 0o777 for path in (store.root, store.folder)] == [0o700, 0o700]


def test_the_compiler_s_namespace_empties_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAMINA_CACHE_DIR", str(tmp_path / "cache"))
    cache.store().put("key", IMAGE)
    assert lamina.compiler.clear_cache() == 1
    assert lamina.compiler.clear_cache() == 0


def test_what_was_never_made_is_empty(tmp_path: Path):
    store = cache.Store(tmp_path / "none")
    assert store.get(["key"]) == {} and store.clear() == 0 and store.info().kernels == 0
    assert not store.root.exists()


def _bytes(change):
    return lambda file: file.write_bytes(change(file.read_bytes()))


def _foreign(path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root gives files away")
    os.chown(path, 12345, 12345)


DAMAGE = {
    "truncated": _bytes(lambda data: data[:-1]),
    "empty": _bytes(lambda data: b""),
    "a bit": _bytes(lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:]),
    "checksum": _bytes(lambda data: data[:10] + bytes([data[10] ^ 1]) + data[11:]),
    "other": _bytes(lambda data: b"\x7fELF" * 100),
    "longer": _bytes(lambda data: data + b"\0"),
    "renamed": lambda file: cache.Store(file.parent.parent).put("wrong", IMAGE) or os.replace(file.parent / "wrong.kernel", file),
    "writable by others": lambda file: file.chmod(0o666),
    "foreign": _foreign,
    "a directory": lambda file: (file.unlink(), file.mkdir()),
    "a link": lambda file: (file.rename(file.parent / "elsewhere"), file.symlink_to(file.parent / "elsewhere")),
    "a pipe": lambda file: (file.unlink(), os.mkfifo(file)),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_not_used(store: cache.Store, damage):
    DAMAGE[damage](store.folder / "key.kernel")
    store.put("sound", IMAGE)
    with pytest.warns(UserWarning, match="compiled anew") as caught:
        assert store.get(["key", "sound"]) == {"sound": IMAGE}
    assert store.get(["key"]) == {}  # no second warning
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store.put("key", IMAGE)
    if damage != "a directory":
        assert store.get(["key"]) == {"key": IMAGE}


FOLDER = {
    "world-writable": lambda root: root.chmod(0o777),
    "group-writable inside": lambda root: (root / "kernels").chmod(0o770),
    "foreign": _foreign,
    "foreign inside": lambda root: _foreign(root / "kernels"),
    "a link": lambda root: ((root / "kernels").rename(root / "x"), (root / "kernels").symlink_to("x")),
    "a file": lambda root: ((root / "kernels").rename(root / "x"), (root / "kernels").write_bytes(b"")),
}


@pytest.mark.parametrize("fault", FOLDER)
def test_a_folder_that_others_can_write_is_not_used(store: cache.Store, fault):
    FOLDER[fault](store.root)
    with pytest.warns(UserWarning, match="compiled anew") as caught:
        assert store.get(["key"]) == {}
    store.put("more", IMAGE)
    assert store.get(["key", "more"]) == {} and len(caught) == 1
    assert store.info().problem


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT])
def test_what_cannot_be_written_is_said_once(store: cache.Store, monkeypatch: pytest.MonkeyPatch, code):
    def refuse(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.warns(UserWarning, match="cannot be written") as caught:
        store.put("more", IMAGE)
    store.put("another", IMAGE)
    monkeypatch.undo()
    assert len(caught) == 1
    assert store.get(["key", "more"]) == {"key": IMAGE}  # what is there is still read
    assert os.listdir(store.folder) == ["key.kernel"]  # and nothing half written is left


def test_the_least_recently_used_go_first(tmp_path: Path):
    store = cache.Store(tmp_path, limit=10_000)
    for i in range(8):
        store.put(f"k{i}", IMAGE)
        os.utime(store.folder / f"k{i}.kernel", (1000 + i, 1000 + i))
    store.get(["k0"])  # used: now the youngest
    for i in range(8, 12):
        store.put(f"k{i}", IMAGE)
    left = store.get([f"k{i}" for i in range(12)])
    assert {"k0", "k11"} <= set(left) and "k1" not in left
    assert store.info().bytes <= 10_000


def test_what_is_no_file_is_left_and_hinders_nothing(tmp_path: Path):
    store = cache.Store(tmp_path, limit=3000)
    store.put("old", IMAGE)
    (store.folder / "folder.kernel").mkdir()
    for i in range(6):
        store.put(f"k{i}", IMAGE)
    assert store.get(["k5"]) == {"k5": IMAGE} and store.info().bytes <= 3000
    assert store.clear() >= 1 and (store.folder / "folder.kernel").is_dir()


def test_a_relative_folder_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cache, "_absolute", functools.cache(cache._absolute.__wrapped__))
    monkeypatch.setenv("LAMINA_CACHE_DIR", "here")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    cache.store().put("key", IMAGE)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert cache.store().get(["key"]) == {"key": IMAGE}


@pytest.mark.parametrize("variable", ["LAMINA_CACHE_DIR", "XDG_CACHE_HOME", ""])
def test_a_user_without_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable):
    monkeypatch.setattr(cache, "_absolute", functools.cache(cache._absolute.__wrapped__))
    monkeypatch.setattr(os.path, "expanduser", lambda text: text)  # what it gives where nobody knows
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("LAMINA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "~nobody/cache")
    folder = cache.cache_folder()
    assert folder.is_absolute() and folder.is_relative_to(tmp_path) and str(os.geteuid()) in folder.name
    cache.store().put("key", IMAGE)
    assert cache.store().get(["key"]) == {"key": IMAGE}


@pytest.mark.parametrize("text", ["nonsense", "nan", "inf", "1e400G"])
def test_what_is_no_limit_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text):
    monkeypatch.setenv("LAMINA_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("LAMINA_CACHE_LIMIT", text)
    with pytest.warns(UserWarning, match="not a size such as"):
        assert cache.store().limit == 512 << 20


@pytest.mark.parametrize(
    "text, size", [("", 512 << 20), ("2k", 2048), ("1.5M", 3 << 19), ("3GB", 3 << 30), ("77", 77), ("0", 0)]
)
def test_limits_are_read(monkeypatch: pytest.MonkeyPatch, text, size):
    monkeypatch.setenv("LAMINA_CACHE_LIMIT", text)
    assert cache.store().limit == size


USES = """
import sys, numpy as np
from lamina.compiler.emit.code import Code
from lamina.compiler.runtime.program import Launch, Program
ir = "define void @k(ptr %o, ptr %s, i64 %l, i64 %h) { %p = load ptr, ptr %o store double NUMBER.0, ptr %p ret void }"
launches = [Launch(Code(ir.replace("NUMBER", str(i)), "k", 1, 0, 1.0), ((i, 0),)) for i in range(5)]
arrays = [np.zeros(1) for _ in launches]
Program([launches], slots=5, first_dynamic=0).entries[0](*arrays)
assert [a[0] for a in arrays] == [0.0, 1.0, 2.0, 3.0, 4.0]
print("compiled" if "llvmlite" in sys.modules else "loaded")
"""


def _start(folder: Path) -> subprocess.Popen:
    environment = os.environ | {"LAMINA_CACHE_DIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", USES], env=environment, stdout=subprocess.PIPE, text=True
    )


def test_processes_share_it_at_once_and_after(tmp_path: Path):
    started = [_start(tmp_path / "cache") for _ in range(2)]
    assert {process.communicate(timeout=60)[0] for process in started} <= {"compiled\n", "loaded\n"}
    again = _start(tmp_path / "cache")
    assert again.communicate(timeout=60)[0] == "loaded\n"
    assert [process.returncode for process in (*started, again)] == [0, 0, 0]
