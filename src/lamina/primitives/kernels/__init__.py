"""Array kernels: functions from ndarrays to ndarrays that are too long to stand inside a primitive's declaration.

Here: convolution, pooling and what they share. Not here: tensors, gradients' wiring, argument checks and error texts
of the public functions (the families one level up declare primitives on these kernels).
"""
