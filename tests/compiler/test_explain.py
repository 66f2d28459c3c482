"""What explain() tells: guards and reasons with their lines, counted work, times, the page; that asking changes nothing."""

import gc
import re

import numpy as np
import pytest

import lamina as torch
from lamina import nn
from lamina.compiler import accounts, forms
from lamina.compiler.graph import Node, Ref, Value
from lamina.compiler.kernels import Access, Inst, Loop, Matmul
from lamina.compiler.plan import eager_peak

pytestmark = pytest.mark.full
SCALE = 2.0


def trained(compile):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))
    optimizer = torch.optim.Adam(model.parameters())

    def step(x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x) * SCALE, y)
        loss.backward()
        optimizer.step()
        return loss

    return model, compile(step)


def batch():
    return torch.randn(16, 4), torch.randint(0, 3, (16,))


def test_the_text_names_lines_guards_kernels_and_figures():
    _, step = trained(torch.compile)
    for _ in range(4):
        step(*batch())
    text = step.explain()
    assert isinstance(text, str) and repr(text) == str(text)
    assert "arguments: float32[16, 4], int64[16]" in text
    assert re.search(
        r"guard: .*SCALE.*# test_explain.py:\d+  loss = nn.functional.cross_entropy\(model\(x\) \* SCALE, y\)", text
    )
    assert re.search(r"addmm.*\(16x4 @ 4x8\).*# test_explain.py:\d+", text)
    assert re.search(r"memory: \S+ k?B planned at the peak; an eager run holds \S+ k?B", text)
    assert re.search(r"\d+ kernels, \d calls into NumPy; \S+ kB moved, \S+ kflop", text)


def test_asking_changes_nothing():
    results = []
    for asks in (False, True):
        model, step = trained(lambda f: torch.compile(f, verify="never"))
        losses = []
        for i in range(8):
            losses.append(step(*batch()).item())
            if asks and i in (3, 5):
                assert " us " in step.explain(profile=True)
        results.append((losses, [p.detach().numpy().copy() for p in (*model.parameters(), *model.buffers())]))
    (a, one), (b, two) = results
    assert a == b
    for p, q in zip(one, two, strict=True):
        np.testing.assert_array_equal(p, q)


def test_why_it_is_recorded_anew_or_stays_eager():
    box = {"scale": 2.0}
    f = torch.compile(lambda x: x * box["scale"])
    for scale in (2.0, 2.0, 3.0):
        box["scale"] = scale
        f(torch.ones(2))
    assert re.search(
        r"recorded anew: box\['scale'\] was 2.0 and is 3.0 \(test_explain.py:\d+  f = torch.compile", f.explain()
    )
    counted = []
    g = torch.compile(lambda x: counted.append(1) or x)
    for _ in range(3):
        g(torch.ones(2))
    assert re.search(r"stays eager: it calls list.append\(\).*\(test_explain.py:\d+  g = torch.compile", g.explain())


def test_the_page_needs_nothing_else(tmp_path):
    _, step = trained(torch.compile)
    for _ in range(3):
        step(*batch())
    explained = step.explain()
    page = explained.save_html(tmp_path / "step.html").read_text(encoding="utf-8")
    assert page == explained.html() and page.startswith("<!doctype html>")
    assert not re.search(r"""(src|href)=|https?://|url\(|@import|<script""", page)
    drawn = [steps for _, steps in explained.programs]
    assert page.count("<circle") == sum(map(len, drawn)) > 5 and page.count("<path") > 5


def test_forms_are_printed_by_pass_and_do_not_depend_on_the_run():
    found = []
    for _ in range(2):
        gc.collect()  # optimizers of other tests that still live would have their numbers in the graph
        with forms.kept() as kept:
            w = torch.ones(3, 3)
            f = torch.compile(lambda x, w=w: ((x @ w).relu().sum(-1), x * 2, x + 1))
            for _ in range(2):
                f(torch.ones(2, 3))
        assert tuple(kept) == forms.PASSES
        found.append(kept)
    assert found[0] == found[1]


def test_the_environment_asks_for_forms(monkeypatch, capsys):
    monkeypatch.setattr(forms, "_asked", frozenset(("fuse",)))
    f = torch.compile(lambda x: (x * 2).tanh())
    for _ in range(2):
        f(torch.ones(2, 3))
    printed = capsys.readouterr().err
    assert printed.startswith("---- fuse\nmul+tanh [2x3]\n    %0 = load ") and printed.count("----") == 1


def test_counted_work():
    def at(operand, *strides):
        return Access(operand, strides, "float32")

    product = Inst("product", (), "float32")
    kernel = Matmul(
        (2,), 3, 4, 5, at(0, 15, 5, 1), at(1, 0, 4, 1), (product, Inst("store", (0,), "float32", at(2, 12, 4, 1)))
    )
    assert accounts.account(kernel, [1 << 20] * 3) == (2 * 2 * 3 * 4 * 5, 4 * (30 + 20), 4 * 24)
    x, rows = Inst("load", (), "float32", at(0, 10, 1)), Inst("store", (3,), "float32", at(1, 1, 0))
    body = (x, Inst("exp", (0,), "float32"), Inst("sum", (1,), "float32"), Inst("log", (2,), "float32"), rows)
    assert accounts.account(Loop((7, 10), 1, body), [280, 28]) == (70 + 70 + 7, 280, 28)


def test_the_peak_of_an_eager_run():
    f32, nodes = np.dtype(np.float32), []

    def call(nbytes, *reads, previous=None):
        value = Value(len(nodes), nbytes, None, previous)
        look = [Ref(v, 0, (v.nbytes,), (1,), f32) for v in (value, *reads)]
        value.origin = Node("f", None, tuple(look[1:]), {}, (look[0],), None)
        nodes.append(value.origin)
        return value

    a = call(100)
    b = call(10, a)
    c = call(10, b, previous=b)  # in the memory of b
    call(1000, c)
    assert eager_peak(nodes, []) == 1010
    assert eager_peak(nodes, [a]) == 1110
