"""The dtype of a result, for all pairs of dtypes and kinds of operands, is the one recorded from PyTorch."""

from itertools import product

import pytest

import lamina
from core.promotion_rows import OPERANDS, RECORD, rows

RECORDED = dict(line.rsplit(" ", 1) for line in RECORD.read_text().splitlines())


def known(row, signs):
    """The row without the pairs that meet in complex32, which lamina has not: it computes them in complex64."""
    met = RECORDED["result_type" + row[row.index(" ") :]]
    return "".join(" " if m == "*" else s for m, s in zip(met, signs, strict=True))


@pytest.fixture(scope="module")
def found():
    return dict(line.rsplit(" ", 1) for line in rows(lamina))


def test_the_record_is_whole():
    assert len(RECORDED) > 250
    assert {row.split()[1] for row in RECORDED} == set(OPERANDS)


@pytest.mark.parametrize("name", sorted({row.split()[0] for row in RECORDED}))
def test_promotion(name, found):
    for row, wanted in RECORDED.items():
        if row.split()[0] == name:
            kinds = row.split()[1:]
            pairs = product(*(OPERANDS[kind][0] for kind in kinds))
            given = known(row, found.get(row, "missing".ljust(len(wanted))))
            wrong = [p for p, w, g in zip(pairs, known(row, wanted), given, strict=True) if w != g]
            assert not wrong, f"{row.rsplit(' ', 1)[0]}: {wrong}"
    assert {row for row in found if row.split()[0] == name} <= set(RECORDED)
