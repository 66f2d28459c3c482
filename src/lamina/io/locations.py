"""`map_location`: where a storage goes that was saved on some device.

Here: the rules. Not here: reading the storage (serialization.py, legacy.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lamina
from lamina.io.storage import MetaStorage

MapLocation = Callable[[Any, str], Any] | Any | str | dict[str, str] | None


def target_of(map_location: MapLocation, location: str) -> str:
    """The device name for a storage saved at `location`, as far as it is known before the storage is read."""
    if isinstance(map_location, dict):
        return str(map_location.get(location, location))
    if isinstance(map_location, (str, lamina.device)):
        return str(map_location)
    return location


def check(map_location: MapLocation) -> None:
    """Raises TypeError for what cannot be a `map_location`."""
    if not (map_location is None or callable(map_location) or isinstance(map_location, (str, dict, lamina.device))):
        raise TypeError(
            f"'{type(map_location).__name__}' object is not callable: map_location must be a device, a dict "
            "from device to device, or a function of storage and device"
        )


def restore(storage: Any, map_location: MapLocation, location: str) -> Any:
    """`storage` (on the CPU) where it belongs. Raises RuntimeError for a device that lamina has not."""
    if callable(map_location) and not isinstance(map_location, lamina.device):
        moved = map_location(storage, location)
        if moved is not None:
            return moved
    target = target_of(map_location, location)
    kind = target.split(":", 1)[0]
    if kind == "cpu":
        return storage
    if kind == "meta":
        return MetaStorage(storage.nbytes())
    if kind in ("cuda", "xpu", "hpu", "mps"):
        name = kind.upper()
        raise RuntimeError(
            f"Attempting to deserialize object on a {name} device but torch.{kind}.is_available() is False. If you are "
            "running on a CPU-only machine, please use torch.load with map_location=torch.device('cpu') to map your "
            "storages to the CPU."
        )
    raise RuntimeError(
        f"don't know how to restore data location of torch.storage.UntypedStorage (tagged with {target}); "
        "map_location='cpu' loads it into memory"
    )
