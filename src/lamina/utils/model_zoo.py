"""Downloads of weights, under their old name."""

from lamina.hub import load_state_dict_from_url as load_url

__all__ = ["load_url"]
