"""torch.utils.deterministic: settings of deterministic mode, remembered; lamina is deterministic anyway."""

fill_uninitialized_memory = True
"""Whether deterministic mode fills new memory. Read by programs; without effect."""
