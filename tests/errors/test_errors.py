"""Errors that explain: the page shows every one as it is printed, and they degrade sensibly where there is no source."""

import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lamina

sys.path.insert(0, str(Path(__file__).parent))

import page


def test_page_shows_what_is_printed():
    assert set(page.ORDER) == {p.stem for p in page.PROGRAMS}
    assert page.PAGE.read_text() == page.page(), "run: python tests/errors/page.py"


@pytest.mark.parametrize("program", page.PROGRAMS, ids=lambda p: p.stem)
def test_the_program_is_named(program):
    """Each text tells at least one line of the program that made it."""
    assert f"{program.name}:" in page.printed(program)


FAILING = "import lamina\nx = lamina.ones(2, requires_grad=True)\ny = x.exp()\ny += 1\ny.sum().backward()"


def test_without_source():
    done = subprocess.run([sys.executable, "-c", FAILING], capture_output=True, text=True, timeout=60)
    assert re.search(r"modified  <string>:4  (y \+= 1  )?\(__iadd__", done.stderr)  # Python 3.13 keeps the text of -c
    namespace: dict = {}
    with pytest.raises(RuntimeError) as caught:
        exec(compile(FAILING, "<cell>", "exec"), namespace)  # noqa: S102
    assert any("<cell>:4" in note for note in caught.value.__notes__)


def test_text_and_notes():
    x = lamina.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError) as caught:
        x.add_(1)
    error = caught.value
    assert str(error) == "a leaf Variable that requires grad is being used in an in-place operation."
    assert type(error).__name__ == "RuntimeError"
    error.add_note("mine")
    assert error.__notes__[-1] == "mine" and "test_errors.py" in error.__notes__[0]
    again = pickle.loads(pickle.dumps(error))  # data workers send them
    assert type(again) is RuntimeError and str(again) == str(error)


def test_installed_packages_are_skipped(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "somelib.py"
    package.parent.mkdir()
    package.write_text("def double(t):\n    return t * 2\n")
    monkeypatch.syspath_prepend(str(package.parent))
    import somelib

    loss = somelib.double(lamina.ones(2, requires_grad=True))
    with pytest.raises(RuntimeError) as caught:
        loss.backward()
    assert "test_errors.py:" in caught.value.__notes__[0] and "somelib.py" not in caught.value.__notes__[0]


def test_why_no_grad():
    x = lamina.ones(2, requires_grad=True)
    y = x * 2
    assert "not a leaf" in lamina.why_no_grad(y)
    assert "cut" in lamina.why_no_grad(y.detach())
    assert "does not depend" in lamina.why_no_grad(lamina.ones(2, requires_grad=True), y)
    assert "has not run" in lamina.why_no_grad(x, y)
    assert "dtype" in lamina.why_no_grad(lamina.ones(2, dtype=lamina.int64))
    y.sum().backward()
    assert "has a gradient" in lamina.why_no_grad(x)
    with pytest.raises(TypeError):
        lamina.why_no_grad(3)
