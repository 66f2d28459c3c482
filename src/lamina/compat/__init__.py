"""Registers lamina as `torch`: `install()`, and nothing that the rest of lamina knows of.

Here: the import hook (finder.py), the table of torch's paths that lie elsewhere in lamina (paths.py), of names that are only
named (named.py), the names that classes show (naming.py). Not here: any behaviour; what a program finds under `torch` is lamina's own
modules, the same objects.
"""

from lamina.compat.finder import install, installed

__all__ = ["install", "installed"]
