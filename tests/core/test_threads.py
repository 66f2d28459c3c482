"""The number of threads never shows in a result; jobs are shared, and nothing is lost: errors, forks."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import lamina
from lamina.core import blas
from lamina.core.threads import share
from lamina.primitives.kernels import products
from lamina.primitives.primitive import Slots

PROGRAM = """
import hashlib
import numpy as np, lamina as torch
F = torch.nn.functional
torch.manual_seed(0)
def show(name, *tensors):
    bits = b"".join(np.ascontiguousarray(t.detach().numpy()).tobytes() for t in tensors)
    print(name, hashlib.md5(bits).hexdigest())
def trains(name, function, *shapes):
    leaves = [torch.randn(*shape, requires_grad=True) for shape in shapes]
    for _ in range(4):  # by NumPy first, then natively
        out = function(*leaves)
        show(name, out, *torch.autograd.grad((out * out).sum(), leaves))
for n in (64, 300, 1100):
    trains(f"mm {n}", lambda a, b: a @ b.t(), (n, n), (n, n))
trains("long", lambda a, b: a @ b, (2048, 128), (128, 1200))
trains("batch", torch.bmm, (48, 200, 190), (48, 190, 210))
trains("large batch", torch.matmul, (2, 1050, 300), (1, 300, 1100))
trains("mv", torch.mv, (600, 900), (900,))
trains("conv", lambda x, w: F.conv2d(x, w, padding=1), (8, 24, 40, 40), (48, 24, 3, 3))
trains("strided conv", lambda x, w: F.conv2d(x, w, stride=2), (8, 24, 65, 65), (48, 24, 5, 5))
trains("attention", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), *[(2, 4, 160, 64)] * 3)
for shape in ((1000,), (300, 1000), (1 << 20,)):
    trains("reductions", lambda x: torch.stack([x.sum(), x.var(), x.norm(), x.exp().mean(), x.logsumexp(0).sum()]), shape)
trains("softmax", lambda x: torch.softmax(x, 1), (256, 1000))
trains("norm", lambda x: F.layer_norm(x, (1000,)), (256, 1000))
lstm = torch.nn.LSTM(48, 160)
show("lstm", lstm(torch.randn(12, 24, 48))[0])
net = torch.nn.Sequential(torch.nn.Linear(700, 900), torch.nn.GELU(), torch.nn.Linear(900, 10))
optimizer = torch.optim.AdamW(net.parameters())
x, t = torch.randn(512, 700), torch.randint(0, 10, (512,))
for _ in range(4):
    optimizer.zero_grad()
    F.cross_entropy(net(x), t).backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()
    show("step", *net.parameters())
a = torch.randn(200, 200)
s = a @ a.t() + 200 * torch.eye(200)
show("linalg", torch.linalg.cholesky(s), torch.linalg.inv(s), torch.linalg.svdvals(a), torch.linalg.qr(a)[0])
"""


@pytest.mark.slow
@pytest.mark.parametrize("jit", ["1", "0"])
def test_eager_has_the_same_bits_for_any_number_of_threads(jit, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_NUM_THREADS", "LAMINA_NUM_THREADS")}
    printed = []
    for threads in (1, 2, 4):
        made = environment | {"OMP_NUM_THREADS": str(threads), "LAMINA_JIT": jit}
        done = subprocess.run([sys.executable, "-c", PROGRAM], env=made, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout.splitlines())
    assert len(printed[0]) > 40
    assert printed[0] == printed[1] == printed[2]


def test_blas_is_held_to_one_thread():
    assert blas.threads() in (1, None)


def test_blas_that_cannot_be_told(monkeypatch):
    assert blas.hold(sys) is False and blas.threads(sys) is None  # no file
    assert blas.hold(np.random.bit_generator) is False  # a file without BLAS


@pytest.fixture
def four_threads(monkeypatch):
    monkeypatch.setattr("lamina.core.threads._allowed", lambda: 4)
    before = lamina.get_num_threads()
    lamina.set_num_threads(4)
    yield
    lamina.set_num_threads(before)


def test_share_does_every_job_once(four_threads):
    done, meeting = [], threading.Barrier(4)

    def work(i):
        if i < 4:
            meeting.wait(20)  # four threads are at work together
        done.append(i)

    share(work, [(i,) for i in range(50)])
    assert sorted(done) == list(range(50))


@pytest.mark.parametrize("at", [0, 7])
def test_an_error_in_a_shared_job_comes_out(four_threads, at):
    def work(i):
        if i == at:
            raise MemoryError(f"job {i}")

    with pytest.raises(MemoryError, match=f"job {at}"):
        share(work, [(i,) for i in range(20)])


def test_share_inside_a_shared_job_and_in_a_forked_child(four_threads):
    seen = []
    share(lambda i: share(lambda j: seen.append((i, j)), [(j,) for j in range(3)]), [(i,) for i in range(8)])
    assert sorted(seen) == [(i, j) for i in range(8) for j in range(3)]
    child = os.fork()
    if not child:
        count = []
        share(count.append, [(i,) for i in range(9)])
        os._exit(0 if sorted(count) == list(range(9)) else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64])
@pytest.mark.parametrize(
    "change", [lambda x: x, lambda x: x.T.copy().T, lambda x: np.repeat(x, 2, 1)[:, ::2], lambda x: x[::-1]]
)
def test_products_in_blocks(monkeypatch, four_threads, dtype, change, native):
    for name, value in {"SMALL": 8, "LEAST": 1 << 12, "THREADED": 1 << 12, "SIDE": 24}.items():
        monkeypatch.setattr(products, name, value)
    if not native:
        monkeypatch.setattr(Slots, "products", None)
    draw = np.random.default_rng(0).standard_normal
    x, y = change(draw((200, 70)).astype(dtype)), change(draw((70, 150)).astype(dtype))
    np.testing.assert_allclose(products.dot(x, y), np.matmul(x, y), rtol=1e-4, atol=1e-4)
    for left, right in (
        ((6, 130, 20), (20, 90)),
        ((130, 20), (6, 20, 90)),
        ((2, 1, 9, 5), (1, 40, 5, 7)),
        ((5, 130, 9), (5, 9, 1)),
    ):
        x, y = change(draw(left).astype(dtype)), change(draw(right).astype(dtype))
        np.testing.assert_allclose(products.matmul(x, y), np.matmul(x, y), rtol=1e-4, atol=1e-4)
