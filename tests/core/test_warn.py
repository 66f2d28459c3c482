"""A warning names the program's line, however deep in lamina it is given."""

import warnings
from collections.abc import Callable

import pytest

import lamina

GIVEN: dict[str, Callable[[], object]] = {
    "by a function": lambda: lamina.nn.functional.softmax(lamina.ones(2, 2)),
    "by a module's forward": lambda: lamina.nn.Softmax()(lamina.ones(2, 2)),
    "by modules in modules": lambda: lamina.nn.Sequential(lamina.nn.Sequential(lamina.nn.Softmax()))(lamina.ones(2, 2)),
    "by a method": lambda: lamina.ones(1).var(),
    "by a constructor": lambda: lamina.nn.LSTM(1, 1, dropout=0.5),
    "by out=": lambda: lamina.add(lamina.ones(2), 1, out=lamina.ones(3)),
}


@pytest.mark.parametrize("name", GIVEN)
def test_a_warning_is_given_in_the_programs_line(name: str) -> None:
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        GIVEN[name]()
    assert [w.filename for w in given] == [__file__]
