"""Found as `torch` by the Python processes that a program under `lamina run` starts: puts lamina in its place there.

This folder is on their PYTHONPATH and on the sys.path that multiprocessing hands on. It is not a part of the package.
"""

import sys

if __name__ == "torch":  # and not where a tool walks over lamina's files
    from lamina.compat import install

    del sys.modules["torch"]
    install()
