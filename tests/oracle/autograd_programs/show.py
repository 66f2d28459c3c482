"""How the programs beside this file print: results, warnings, and errors up to the end of PyTorch's first sentence."""

import re
import sys
import warnings


def show(*functions):
    """Print what each of them returns, or the type and the beginning of the error that it raises."""
    for function in functions:
        try:
            print(function())
        except Exception as error:
            print(type(error).__name__, "|", re.split(r"(?<=[.!;:])\s", str(error), maxsplit=1)[0][:160])


def _warned(message, category, *rest):
    if "torch.jit" not in str(message):
        print(f"[{category.__name__}] {str(message)[:90]}", file=sys.stdout)


warnings.simplefilter("always")
warnings.filterwarnings("ignore", category=RuntimeWarning)  # NumPy's, of overflows that PyTorch says nothing of
warnings.showwarning = _warned
