"""Errors that explain: the page shows every one as it is printed, and they degrade sensibly where there is no source."""

import io  # noqa: F401 (in a mistake)
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lamina
from lamina import nn
from lamina.utils.data._utils.errors import ExceptionWrapper

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


def test_workers_send_errors():
    try:
        lamina.ones(2, 3) @ lamina.ones(2, 3)
    except RuntimeError:
        sent = pickle.loads(pickle.dumps(ExceptionWrapper(where="in a worker")))
    with pytest.raises(RuntimeError, match="^Caught RuntimeError in a worker.") as caught:
        sent.reraise()
    assert type(caught.value) is RuntimeError and "mat1      lamina.ones(2, 3)" in str(caught.value)


class Scores(nn.Module):
    def __init__(self):
        super().__init__()
        self.keys = nn.Parameter(lamina.ones(2, 2))

    def forward(self, x):
        return x @ self.keys


def test_operands_are_the_programs_where_its_own_module_fails():
    with pytest.raises(RuntimeError) as caught:
        Scores()(lamina.ones(1, 3))
    notes = "\n".join(caught.value.__notes__)
    assert "module    Scores" in notes and "mat1      x " in notes and "mat2      self.keys " in notes


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
    loss = x.exp().sum()
    loss.backward()
    x.grad = None
    assert "test_errors.py:" in lamina.why_no_grad(x, loss) and "zero_grad()" in lamina.why_no_grad(x, loss)
    assert "frozen" in lamina.why_no_grad(nn.Linear(1, 1).requires_grad_(False).weight)
    with lamina.no_grad():
        assert "its base" in lamina.why_no_grad(x[:1])
    with lamina.inference_mode():
        assert "inference mode" in lamina.why_no_grad(lamina.ones(1))
    lamina.autograd.grad(x.exp().sum(), x)
    assert "leaves .grad as it is" in lamina.why_no_grad(x)
    with pytest.raises(TypeError):
        lamina.why_no_grad(3)


class Misspelt(nn.Module):
    def foward(self, x):
        return x


class Hurried(nn.Module):
    def __init__(self):
        self.fc = nn.Linear(1, 1)


class Keeps(lamina.autograd.Function):
    @staticmethod
    def forward(ctx, x, k):
        ctx.save_for_backward(x, k)


ADVICE = {
    "nn.Linear(1, 1).load_state_dict({'module.' + k: v for k, v in nn.Linear(1, 1).state_dict().items()})": "removeprefix('module.')",
    "lamina.optim.SGD([])": "nn.ModuleList",
    "lamina.ones(1).cuda()": "device='cpu'",
    "nn.CrossEntropyLoss(lamina.ones(2, 3), lamina.tensor([0, 1]))": "nn.CrossEntropyLoss()(input, target)",
    "Misspelt()(lamina.ones(1))": "'foward'",
    "Hurried()": "first line of Hurried.__init__",
    "Keeps.apply(lamina.ones(1, requires_grad=True), 3)": "ctx.k = k",
    "lamina.ones(1).register_hook(print)": "requires_grad_()",
    "bool(lamina.ones(2) > 0)": ".any()",
    "lamina.ones(2, dtype=lamina.int64).mean()": ".float()",
    "lamina.ones(2, 2).gather(1, lamina.tensor([0, 1]))": "unsqueeze",
    "lamina.stack([lamina.ones(1), lamina.ones(2)])": "pad_sequence",
    "lamina.save(lambda x: x, io.BytesIO())": "state_dict()",
    "lamina.cat([lamina.ones(1, 2), lamina.ones(1, 3)])": "[1, 2], [1, 3]",
}


@pytest.mark.parametrize("mistake", ADVICE)
def test_advice(mistake):
    """Below PyTorch's sentence stands what to write instead."""
    with pytest.raises(Exception) as caught:
        eval(mistake)
    assert ADVICE[mistake] in "\n".join(caught.value.__notes__)
    assert ADVICE[mistake] not in str(caught.value)


def test_tracebacks_end_at_the_program(tmp_path):
    """Under `lamina run`, where lamina refuses something."""
    program = tmp_path / "program.py"
    program.write_text("import torch\ntorch.nn.Sequential(torch.nn.Linear(2, 1))(torch.ones(1, 3))\n")
    command = [sys.executable, "-m", "lamina", "run", str(program)]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60).stderr
    assert shown.count("  File ") == 1 and "module    Sequential.0" in shown
