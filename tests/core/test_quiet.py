"""NumPy's RuntimeWarnings: none about lamina's arithmetic under any filter, all about the program's own."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import lamina

NOT_FINITE = {
    "division": lambda x: x / 0.0, "logarithm": lambda x: (x * 0).log(), "overflow": lambda x: (x * 1e30) ** 2,
    "narrow": lambda x: (x * 1e30).half(), "transform": lambda x: lamina.fft.fft(x * lamina.inf).abs(),
    "determinant": lambda x: lamina.linalg.det((x * lamina.inf).expand(3, 3)), "to integers": lambda x: (x * lamina.nan).to(lamina.int32),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_FINITE)
def test_no_filter_shows_numpys_warnings(name):
    x = lamina.ones(3, requires_grad=True)
    with warnings.catch_warnings(record=True) as seen:
        for filters in (
            lambda: warnings.simplefilter("always"),
            warnings.resetwarnings,
            lambda: warnings.filterwarnings("error"),
        ):
            filters()
            y = NOT_FINITE[name](x)
            if y.requires_grad:
                y.sum().backward()
    assert not seen


def test_the_programs_own_warnings_stay():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        np.ones(2) / np.zeros(2)
        assert [w.category for w in seen] == [RuntimeWarning]
    before = list(warnings.filters)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning):
            np.ones(2) / np.zeros(2)
    assert list(warnings.filters) == before


def test_a_filter_equal_to_laminas_own_does_not_move_it():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"lamina\.")
        lamina.ones(3) / 0.0
    assert not seen
