"""The private paths below which PyTorch keeps torch.func, and the older `functorch` that came before it.

Here: what they have and torch.func has not: modules as functions of their parameters, questions about wrapped tensors. Not here:
the transforms (func/), which path leads to what (compat/paths.py).
"""
