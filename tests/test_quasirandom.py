"""Sobol' points: values recorded from PyTorch, balance, and where the engine stands."""

import pytest

import lamina
from lamina.quasirandom import SobolEngine

FIRST = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.75, 0.25, 0.25], [0.25, 0.75, 0.75]]


def test_the_first_points_and_the_place_in_the_sequence():
    engine = SobolEngine(3)
    assert engine.draw(4).tolist() == FIRST and engine.num_generated == 4
    following = engine.draw(5)
    assert (engine.reset().fast_forward(4).draw(5) == following).all()
    assert (lamina.cat([engine.reset().draw(1), engine.draw(3)]) == lamina.tensor(FIRST)).all()


def test_scrambled_points_are_those_of_the_seed_and_as_even():
    points = SobolEngine(2, scramble=True, seed=7).draw(16)
    assert (points == SobolEngine(2, scramble=True, seed=7).draw(16)).all()
    assert (points != SobolEngine(2, scramble=True, seed=8).draw(16)).any()
    for column in points.T:  # each sixteenth of the interval holds one point
        assert sorted((column * 16).long().tolist()) == list(range(16))


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"\[1, 21201\]"):
        SobolEngine(0)
    engine = SobolEngine(2)
    assert engine.draw_base2(2).shape == (4, 2) and engine.draw_base2(2, dtype=lamina.float64).dtype == lamina.float64
    with pytest.raises(ValueError, match="to be a power of 2"):
        engine.draw_base2(2)
    assert repr(SobolEngine(2, scramble=True, seed=1)) == "SobolEngine(dimension=2, scramble=True, seed=1)"
