"""For tests of programs: `assert_close` and `make_tensor`."""

from lamina.testing import _utils as _utils
from lamina.testing._comparison import assert_allclose, assert_close
from lamina.testing._creation import make_tensor

__all__ = ["assert_allclose", "assert_close", "make_tensor"]
