"""How often a module's attributes or anybody's hooks were changed: what was read off them holds until this number moves.

Here: the number. Module.__setattr__, its registering methods, and the handles of hooks raise it.
"""

from __future__ import annotations

changes = [0]
