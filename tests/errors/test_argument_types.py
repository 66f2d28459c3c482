"""What is no Tensor is refused by TypeError, in PyTorch's words, by every family of functions."""

from __future__ import annotations

import numpy as np
import pytest

import lamina

X, I = lamina.ones(2, 2), lamina.zeros(2, 2, dtype=lamina.int64)  # noqa: E741
CASES = {
    "unsqueeze(): argument 'input' (position 1) must be Tensor, not NoneType": lambda: lamina.unsqueeze(None, 0),
    "flatten(): argument 'input' (position 1) must be Tensor, not numpy.ndarray": lambda: lamina.flatten(np.ones(2)),
    "split(): argument 'tensor' (position 1) must be Tensor, not str": lambda: lamina.split("a", 1),
    "gather(): argument 'index' (position 3) must be Tensor, not list": lambda: lamina.gather(X, 0, [0]),
    "scatter_add(): argument 'src' (position 4) must be Tensor, not NoneType": lambda: X.scatter_add(0, I, None),
    "masked_fill(): argument 'mask' (position 2) must be Tensor, not str": lambda: X.masked_fill("a", 1),
    "multinomial(): argument 'input' (position 1) must be Tensor, not int": lambda: lamina.multinomial(3, 1),
    "real(): argument 'input' (position 1) must be Tensor, not complex": lambda: lamina.real(1j),
}


@pytest.mark.parametrize("said", CASES)
def test_what_is_no_tensor_is_refused(said):
    with pytest.raises(TypeError) as error:
        CASES[said]()
    assert str(error.value) == said


def test_an_attribute_that_is_missing_stays_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing_like_it"):
        X.nothing_like_it  # noqa: B018
