"""Corners of reductions, scans, sorting and statistics against PyTorch: empty tensors, NaN, ties, refused arguments.

Each row is an expression of the library `m` (PyTorch or lamina); results must agree in structure, shape, dtype and
value, refusals in type and in the start of the message, gradients in value.
"""

import math
import re
import warnings

import numpy as np
import pytest
import torch

import lamina

pytestmark = pytest.mark.filterwarnings("ignore")

SOURCES = {
    "E0": "m.zeros(0)", "E": "m.zeros(2, 0)", "I": "m.tensor([1, 2, 3])", "B": "m.tensor([True, False])",
    "C": "m.tensor([1 + 1j])", "F": "m.tensor([1.0, 2.0, 3.0])", "Z": "m.tensor(2.0)",
    "U": "m.tensor([1, 2, 3], dtype=m.uint8)", "H": "m.zeros(3).half()",
    "X": "m.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]])", "N": "m.tensor([1.0, nan, 3.0, nan, 1.0])",
    "K": "m.tensor([nan, nan])", "D": "m.tensor([1, 2, 3, 2, 1, 3])",
}  # fmt: skip

ROWS = """
E0.max() | E0.amin() | E.max(1) | E.amax((0, 1)) | E.argmax() | E.argmax(1) | E0.aminmax() | E.aminmax(dim=1)
E0.median() | E.median(1) | E.mode(1) | E.kthvalue(1, 1) | E0.quantile(0.5) | E0.prod() | E0.mean() | E.mean(1)
E0.var() | E0.logsumexp(0) | E0.norm() | E0.norm(inf) | E.norm(inf, 1) | E0.norm(-2) | E0.all() | E0.any()
E.softmax(1) | E.cumsum(1) | E.sort(1) | E.sum(1) | C.max() | C.max(0) | C.amax() | C.argmax() | C.aminmax()
C.median() | C.median(0) | C.mode(0) | C.sort() | C.topk(1) | C.kthvalue(1) | C.unique() | C.quantile(0.5)
C.cummax(0) | C.logcumsumexp(0) | C.logsumexp(0) | C.nansum() | C.nanmean() | C.prod() | C.var() | C.histc()
C.softmax(0) | C.all() | m.isin(C, C) | m.searchsorted(C, C) | C.bincount() | m.cov(C) | m.dist(C, C)
m.cdist(C.reshape(1, 1), C.reshape(1, 1)) | B.max() | B.max(0) | B.amax() | B.argmax() | B.aminmax() | B.median()
B.median(0) | B.mode(0) | B.sort() | B.topk(1) | B.kthvalue(1) | B.unique() | B.cummax(0) | B.logcumsumexp(0)
B.logsumexp(0) | B.nansum() | B.nanmean() | B.prod() | B.var() | B.histc() | B.softmax(0) | B.bincount() | B.cumsum(0)
B.mean() | B.norm() | B.diff() | m.trapezoid(B) | m.gradient(B) | m.cov(B) | B.sum() | B.any(0) | U.all() | U.any(0)
U.sum() | U.prod(0) | I.mean() | I.std() | I.logsumexp(0) | I.softmax(0) | I.norm() | I.norm(dtype=m.float32)
I.histc() | I.quantile(0.5) | I.median() | I.nansum() | I.nanmean() | m.cov(I) | m.corrcoef(I) | m.gradient(I)
m.trapezoid(I) | m.dist(I, I) | m.histogram(I, 2) | m.var_mean(I) | I.softmax(0, dtype=m.float32) | I.max(I.float())
F.sum(3) | F.sum((0, 0)) | F.mean(3) | F.max(3) | F.topk(4) | F.topk(-1) | F.kthvalue(4) | F.kthvalue(0) | F.sort(2)
F.quantile(1.5) | F.quantile(m.tensor([0.5]).double()) | F.diff(0) | F.diff(-1) | Z.diff()
F.quantile(0.5, interpolation="foo") | F.quantile(m.tensor([[0.5]])) | Z.max(0) | Z.argmax(0) | Z.sort() | Z.topk(1)
Z.kthvalue(1) | Z.mode() | Z.cumsum(0) | Z.cummax(0) | Z.median(0) | Z.quantile(0.5) | Z.nonzero() | Z.unique()
Z.softmax(0) | Z.log_softmax(0) | Z.logsumexp(0) | Z.var(0) | Z.std() | Z.prod(0) | Z.any(0) | Z.msort() | Z.argsort()
m.cov(Z) | m.corrcoef(Z) | m.trapezoid(Z) | m.gradient(Z) | Z.bincount() | Z.histc(3) | Z.nonzero(as_tuple=True)
Z.logcumsumexp(0) | Z.amax(0) | Z.aminmax(dim=0) | m.tensor([-1]).bincount() | m.tensor([[1]]).bincount()
I.bincount(F) | I.bincount(minlength=-1) | I.bincount(F[:2]) | I.bincount(weights=I) | I.bincount(minlength=6)
F.argmax(keepdim=True) | F.var(correction=5) | F.var(correction=0.5) | F.var(True) | F.var(0, False)
F.std(dim=0, unbiased=False, keepdim=True) | F.sum(axis=0, keepdims=True) | F.var(axis=0) | F.softmax(2)
m.sum(input=F) | m.sum(a=F) | m.sum(x=F) | m.softmax(F, -1, m.float64) | m.log_softmax([1], 0) | m.sum([1.0])
m.max([1]) | F.all(()) | F.any(dim=()) | F.sum(()) | F.mean([]) | F.amax(()) | F.var(()) | F.prod((0,))
F.cumsum(dim=0, dtype=m.int64) | F.norm("abc") | F.norm("nuc") | F.norm("fro", 0) | F.norm(2, (0, 1)) | F.norm(None)
F.norm(0) | F.norm(dim=0) | m.nonzero_static(F, size=2) | m.nonzero_static(F, size=5, fill_value=7)
m.nonzero_static(F, size=-1) | m.nonzero_static(Z, size=2) | I.unique(False, True)
F.unique(dim=0, return_counts=True) | m.unique(E, dim=0) | m.unique(E, dim=1) | m.unique(Z, dim=0)
m.unique_consecutive(D, return_inverse=True, return_counts=True)
m.unique(N, return_inverse=True, return_counts=True) | m.unique(X, dim=3) | m.bucketize(2.0, F)
m.bucketize(F, F, right=True) | m.searchsorted(F, 2.0) | m.searchsorted(F, F, side="right")
m.searchsorted(F, F, side="x") | m.searchsorted(F, F, right=True, side="left") | m.bucketize(F, F, out_int32=True)
m.bucketize(F, F.reshape(1, 3)) | m.searchsorted(X, m.tensor([[1.5]] * 3)) | m.searchsorted(X, F)
m.searchsorted(X, 2.0) | m.searchsorted(F, m.tensor([nan, 2.0]))
m.searchsorted(m.tensor([3.0, 1.0, 2.0]), F, sorter=m.tensor([1, 2, 0]))
m.searchsorted(F, F, sorter=m.tensor([1, 2])) | m.searchsorted(F, F, sorter=m.tensor([1, 2, 5])) | m.isin(F, 2.0)
m.isin(2.0, F) | m.isin(1, 2) | m.isin(K, K) | F.renorm(2, 0, 1.0) | X.renorm(-1, 0, 1.0) | X.renorm(2, 0, -1.0)
X.renorm(inf, 1, 3.0) | m.cdist(F, F) | m.cdist(X, X[:, :1]) | m.cdist(X, X, p=-1) | m.cdist(X, X.double())
m.cdist(X, X, compute_mode="foo") | m.cdist(X[:0], X) | m.cdist(X[:, :0], X[:, :0]) | m.cdist(X, X, p=0)
m.cdist(X, X, p=inf) | m.histogram(F, 3) | m.histogram(F, 0) | m.histogram(F, m.tensor([0.0, 2.0, 4.0]))
m.histogramdd(X, [2, 3]) | m.histogramdd(F, 2) | m.histogramdd(X, [2]) | m.histogram(F, 2, range=(3.0, 1.0))
m.histogram(F, 2, weight=F[:2]) | m.histogram(F, bins=I) | m.histogram(F, 2, range=(0.0, 0.0))
m.histogramdd(X, 2, range=[0.0, 8.0, 0.0, 8.0], weight=F, density=True) | m.histogram(E0, 3) | m.histc(E0, 3)
m.histc(F, bins=0) | m.histc(F, 2, 3, 1) | m.histc(F, 3, 5, 5) | m.gradient(X, spacing=[1.0])
m.gradient(X, dim=(0, 0)) | m.gradient(X, spacing=(F, m.tensor([0.0, 2.0])))
m.gradient(X, spacing=(F,), dim=0, edge_order=2) | m.gradient(F, edge_order=3) | m.gradient(F[:1])
m.trapezoid(X, m.tensor([1.0, 2.0])) | m.trapezoid(X, F) | m.trapezoid(X, F, dim=0) | m.trapezoid(X[:0], dim=0)
m.trapezoid(X, Z) | m.cumulative_trapezoid(X, dim=0) | m.cumulative_trapezoid(Z) | m.diff(X, append=F[:1])
m.diff(B, n=2) | m.diff(X, n=5) | m.count_nonzero(X, dim=(0, 1)) | m.count_nonzero(X, ())
m.norm(X, p=2, dim=None, keepdim=True) | m.norm(X, p=inf, dim=(0, 1)) | m.norm(X, 2, 0, dtype=m.complex64)
m.linalg.vector_norm(X, "fro") | m.linalg.vector_norm(X, dtype=m.float16) | m.norm(X, p="nuc", dim=0)
m.dist(X, F[:2], p=1) | m.dist(X, X[:2]) | m.dist(X, X.double())
m.sum(F, 0, dtype=m.float64, out=m.tensor(1.0, dtype=m.float64)) | m.argmax(F, out=m.tensor(1.0))
m.cumsum(I, 0, out=m.zeros(3, dtype=m.int32)) | m.return_types.max((F,)) | F.max(0).n_fields
m.tensor([-inf, -inf]).logsumexp(0) | m.tensor([inf, 1.0]).logsumexp(0) | m.tensor([-inf, -inf, 1.0]).logcumsumexp(0)
m.tensor([inf, inf, 1.0]).logcumsumexp(0) | m.tensor([-inf, -inf]).softmax(0) | m.tensor([inf, 1.0]).log_softmax(0)
N.max() | N.max(0) | N.argmin() | N.median() | N.median(0) | N.nanmedian(0) | N.nanmedian() | K.nanmedian(0)
N.sort() | N.sort(descending=True) | N.kthvalue(4) | N.cummax(0) | N.cummin(0) | N.quantile(0.5) | N.nanquantile(0.5)
K.nanquantile(0.5) | N.aminmax() | N.prod() | m.count_nonzero(N) | N.any() | N.nansum() | N.nanmean() | D.mode()
D.median(0) | D.max(0) | D.min(0) | D.argmax() | D.argmin() | D.cummax(0) | D.cummin(0) | D.sort()
D.sort(descending=True) | D.unique(sorted=False) | D.argsort(stable=True, descending=True) | F.max(F)
m.var_mean(X, 0) | m.std_mean(X, 1, keepdim=True) | m.corrcoef(X) | m.cov(X)
X.quantile(m.tensor([0.2, 0.9]), 0, True) | X.quantile(0.3, keepdim=True)
X.quantile(0.3, 1, interpolation="midpoint") | X.quantile(0.3, 0, interpolation="higher")
X.quantile(0.3, 0, interpolation="lower") | X.quantile(0.25, 0, interpolation="nearest")
"""

GRADIENTS = """
x.max() | x.max(0)[0] | x.amax() | x.aminmax()[0] | x.aminmax(dim=0)[1] | x.median() | x.median(0)[0] | x.nanmedian()
x.nansum() | x.nanmedian(0)[0] | x.nanmean() | x.cummax(0)[0] | x.cummin(0)[0] | x.norm() | x.norm(1) | x.norm(3)
x.norm(1.5) | x.norm(0.5) | x.norm(inf) | x.norm(-inf) | x.norm(-1) | x.logsumexp(0) | x.std() | x.var() | x.prod()
x.cumprod(0) | x.logcumsumexp(0) | m.cdist(x.reshape(-1, 1), x.reshape(-1, 1)) | x.softmax(0) | x.log_softmax(0)
m.dist(x, x) | x.reshape(1, -1).renorm(2, 0, 1.0) | x.prod(0) | m.std_mean(x)[0] | x.diff() | m.gradient(x)[0]
x.quantile(0.3)
"""
POINTS = {
    "ties": [1.0, 3.0, 3.0, 2.0, 3.0], "zeros": [0.0, 0.0], "one zero": [0.0, 2.0, 3.0],
    "two zeros": [0.0, 0.0, 3.0], "nan": [1.0, math.nan, 2.0, math.nan], "inf": [math.inf, 1.0],
    "-inf": [-math.inf, 1.0], "all -inf": [-math.inf, -math.inf], "equal": [1.0, 1.0], "signs": [2.0, -2.0, 1.0],
}  # fmt: skip
# What std::nth_element and std::sort make of ties is not defined: there only the values are compared.
TIED = re.compile(r"(median|nanmedian|kthvalue|topk|quantile)\(")


def split(rows):
    return [row.strip() for line in rows.strip().splitlines() for row in line.split(" | ")]


def outcome(m, row, **names):
    known = {
        name: eval(text, {"m": m, "nan": math.nan}) for name, text in SOURCES.items() if re.search(rf"\b{name}\b", row)
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return eval(row, {"m": m, "inf": math.inf, "nan": math.nan, **known, **names})
    except Exception as e:
        return e


def plain(value):
    if isinstance(value, (torch.Tensor, lamina.Tensor)):
        return (str(value.dtype), tuple(value.shape), value.detach().numpy())
    if isinstance(value, tuple):
        return (type(value).__name__, *(plain(v) for v in value))
    return value


def check_same(got, expected, row):
    if isinstance(expected, Exception):
        assert type(got).__name__ == type(expected).__name__, f"{row}: {got!r}, expected {expected!r}"
        if "invalid combination" not in str(expected) and "\n" not in str(expected):
            assert str(got)[:60] == str(expected)[:60], row
        return
    if isinstance(got, Exception):
        raise got
    np.testing.assert_equal(type(got), type(expected))
    if isinstance(expected, tuple):
        assert len(got) == len(expected), row
        for g, e in zip(got, expected, strict=True):
            check_same(g, e, row)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6, err_msg=row)
    else:
        assert got == expected, row


@pytest.mark.parametrize("row", split(ROWS))
def test_results_and_refusals(row):
    check_same(plain(outcome(lamina, row)), plain(outcome(torch, row)), row)


@pytest.mark.parametrize("point", sorted(POINTS))
@pytest.mark.parametrize("row", split(GRADIENTS))
def test_gradients_where_a_function_has_a_kink(row, point):
    found = []
    for m in (lamina, torch):
        x = m.tensor(POINTS[point], dtype=m.float64, requires_grad=True)
        y = outcome(m, row, x=x)
        if isinstance(y, Exception):
            found.append(y)
            continue
        found.append(plain(m.autograd.grad((y * m.arange(1.0, y.numel() + 1.0).reshape(y.shape)).sum(), x)[0]))
    if point in ("ties", "equal", "zeros") and TIED.search(row) and "0)" in row:
        return
    check_same(*found, row)
