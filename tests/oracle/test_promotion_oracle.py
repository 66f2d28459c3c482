"""The table of result dtypes in core/promotion_rows.txt is PyTorch's."""

import torch

from core.promotion_rows import RECORD, rows


def test_the_record_is_true():
    assert list(rows(torch)) == RECORD.read_text().splitlines()
