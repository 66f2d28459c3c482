"""`torch._dynamo.eval_frame`: where packages look for the class of a compiled module.

Not here: anything that evaluates a frame.
"""

from lamina.compiler.module import OptimizedModule

__all__ = ["OptimizedModule", "is_dynamo_supported"]


def is_dynamo_supported() -> bool:
    """True: `torch.compile` works."""
    return True
