"""Functions of images give their results in the format of what they were given: eagerly, compiled, and without values."""

from collections.abc import Callable

import pytest

import lamina
from lamina import Tensor
from lamina.nn import functional as F

FOLLOW: dict[str, Callable[[Tensor], Tensor]] = {
    "conv2d": lambda x: F.conv2d(x, lamina.ones(2, 3, 3, 3, device=x.device)),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x, lamina.ones(3, 2, 3, 3, device=x.device)),
    "max_pool2d": lambda x: F.max_pool2d(x, 2),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 2),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, 3),
    "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x, 3),
    "nearest": lambda x: F.interpolate(x, scale_factor=2),
    "bicubic": lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"),
    "batch_norm": lambda x: F.batch_norm(x, None, None, training=True),
    "group_norm": lambda x: F.group_norm(x, 3),
    "two of them": lambda x: F.relu(F.max_pool2d(F.conv2d(x, lamina.ones(2, 3, 3, 3, device=x.device)), 2)),
}


@pytest.mark.parametrize("name", FOLLOW)
def test_the_format_is_kept(name: str) -> None:
    f, x = FOLLOW[name], lamina.randn(2, 3, 8, 8)
    last = x.to(memory_format=lamina.channels_last)
    made = f(last)
    assert made.is_contiguous(memory_format=lamina.channels_last) and not made.is_contiguous()
    assert f(x).is_contiguous() and lamina.allclose(made, f(x), atol=1e-5)
    compiled = lamina.compile(f)
    for _ in range(3):
        assert compiled(last).stride() == made.stride()
    if name not in ("batch_norm", "group_norm"):  # without rules for meta tensors of their own
        assert f(last.to("meta")).stride() == made.stride()


def test_weights_in_the_format_bring_it() -> None:
    weight = lamina.ones(2, 3, 3, 3).to(memory_format=lamina.channels_last)
    assert F.conv2d(lamina.ones(1, 3, 5, 5), weight).is_contiguous(memory_format=lamina.channels_last)
