"""`torch.jit.annotations`: types that scripted programs write in their signatures; here they are read by nobody.

Not here: anything that looks at them.
"""

from typing import Any, Dict, List, Optional, Tuple, Union  # noqa: UP035 - the names that programs import

__all__ = ["BroadcastingList1", "BroadcastingList2", "BroadcastingList3", "Dict", "List", "Optional", "Tuple", "Union"]


class _BroadcastingList:
    """`BroadcastingList2[int]`: one number, or a list of as many."""

    def __getitem__(self, types: Any) -> None:
        """No type: an annotation that says nothing."""


BroadcastingList1, BroadcastingList2, BroadcastingList3 = _BroadcastingList(), _BroadcastingList(), _BroadcastingList()
