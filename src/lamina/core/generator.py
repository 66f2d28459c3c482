"""The random engine: PyTorch's CPU generator, its seeds, its words and its saved state.

Here: `Generator`, the default generator, the byte layout of a saved state. Not here: distributions (draws*.py),
the functions of the public namespace that seed and save (`manual_seed`, `fork_rng`, ...).
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any
from weakref import WeakSet

import numpy as np

from lamina.core.device import as_device
from lamina.core.strokes import attributes

DEFAULT_SEED = 67280421310721
STATE_SIZE = 5056
_KEY = 624

# PyTorch's saved state is the C struct of its oldest generator, followed by the cached float sample.
_STATE = np.dtype(
    {
        "names": [
            "seed", "left", "seeded", "next", "key", "normal_x", "normal_y", "normal_rho", "normal_valid",
            "float_sample", "float_valid",
        ],
        "formats": ["<u8", "<i4", "<i4", "<u8", ("<u8", (_KEY,)), "<f8", "<f8", "<f8", "<i4", "<f4", "?"],
        "offsets": [0, 8, 12, 16, 24, 5016, 5024, 5032, 5040, 5048, 5052],
        "itemsize": STATE_SIZE,
    }
)  # fmt: skip


_STARTED: WeakSet[Generator] = WeakSet()
"""Generators that were drawn from."""


class Generator:
    """A stream of random 32-bit words: MT19937, word for word PyTorch's.

    `lock` (reentrant) is held by every draw, so that threads may share a generator.
    """

    __slots__ = ("__weakref__", "_bits", "_device", "_seed", "_untouched", "lock", "next_double", "next_float")

    touched: Callable[[str], None] | None = None  # while a run is recorded: the stream is set, or its state read

    def __init__(self, device: Any = "cpu") -> None:
        self._device = as_device(device)
        self.lock = threading.RLock()
        # NumPy's engine is made at the first draw: numpy.random costs more to import than all of this file's users.
        self._bits: Any = None
        # Second halves of Box-Muller pairs, kept for the next normal sample. No CPU draw makes the float one.
        self.next_double: float | None = None
        self.next_float: float | None = None
        self._reseed(DEFAULT_SEED)

    @property
    def device(self) -> Any:
        """Where the stream lives."""
        return self._device

    def manual_seed(self, seed: int) -> Generator:
        """Restart the stream from `seed`, an integer in [-2**63, 2**64); a negative one counts from 2**64."""
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
        seed = int(seed)
        if not -(2**63) <= seed < 2**64:
            raise ValueError("Overflow when unpacking long long")
        self._touch("manual_seed()")
        with self.lock:
            self._reseed(seed % 2**64)
        return self

    def _touch(self, what: str) -> None:
        if Generator.touched is not None:
            Generator.touched(what)

    def used_by_name(self) -> None:
        """The program draws from this very generator: a recording follows the default one only."""
        self._touch("draws from a generator of the program's own")

    def seed(self) -> int:
        """Restart the stream from a seed of the operating system's, and return that seed."""
        seed = int.from_bytes(os.urandom(8), "little")
        self.manual_seed(seed)
        return seed

    def initial_seed(self) -> int:
        """The seed that the stream was last started from."""
        return self._seed

    def words(self, count: int) -> np.ndarray:
        """The next `count` words of the stream, each below 2**32, as uint64."""
        engine = self._bits or self._start()
        if count:
            self._untouched = False
        words: np.ndarray = engine.random_raw(count)
        return words

    def words64(self, count: int) -> np.ndarray:
        """The next `count` 64-bit words (two of the stream's each, high half first)."""
        pairs = self.words(2 * count)
        pairs[::2] <<= np.uint64(32)
        pairs[::2] |= pairs[1::2]
        return pairs[::2]

    def get_state_array(self) -> np.ndarray:
        """The whole state in PyTorch's layout: uint8, shape (5056,)."""
        self._touch("the state of random numbers")
        with self.lock:
            engine = (self._bits or self._start()).state["state"]
            record = np.zeros((), _STATE)
            record["seed"], record["seeded"], record["key"] = self._seed, 1, engine["key"]
            # A key that was never drawn from stands at 0 in PyTorch, at its end in NumPy; both renew it first.
            record["next"] = 0 if self._untouched else engine["pos"]
            record["left"] = 1 + _KEY - engine["pos"]
            if self.next_double is not None:
                record["normal_y"], record["normal_valid"] = self.next_double, 1
            if self.next_float is not None:
                record["float_sample"], record["float_valid"] = self.next_float, True
            return np.frombuffer(record.tobytes(), np.uint8).copy()

    def set_state_array(self, state: np.ndarray) -> None:
        """Continue from a state that `get_state_array`, or PyTorch, saved.

        Raises TypeError for other than uint8, RuntimeError for a wrong size or impossible contents.
        """
        self._touch("the state of random numbers")
        if state.dtype != np.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        if state.size != STATE_SIZE:
            raise RuntimeError(
                f"Expected a CPUGeneratorImplState of size {STATE_SIZE} but found the input RNG state size to be "
                f"{state.size}"
            )
        record = np.frombuffer(np.ascontiguousarray(state).tobytes(), _STATE)[0]
        left, position = int(record["left"]), int(record["next"])
        untouched = left == 1 and position == 0
        if not (record["seeded"] == 1 and 1 <= left <= _KEY and (untouched or left + position == 1 + _KEY)):
            raise RuntimeError("Invalid mt19937 state")
        with self.lock:
            engine = self._bits or self._start()
            key = record["key"].astype(np.uint32)
            engine.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": 1 + _KEY - left}}
            self._seed = int(record["seed"])
            self._untouched = untouched
            self.next_double = float(record["normal_y"]) if record["normal_valid"] else None
            self.next_float = float(record["float_sample"]) if record["float_valid"] else None

    def clone_state(self) -> Generator:
        """A new generator that will draw what this one would."""
        clone = type(self)(self._device)
        clone.set_state_array(self.get_state_array())
        return clone

    def mark(self) -> tuple[dict[str, Any], bool]:
        """Where the stream stands, for `rewind`."""
        return (self._bits or self._start()).state, self._untouched

    def rewind(self, mark: tuple[dict[str, Any], bool], used: int) -> None:
        """Stand `used` words after `mark`: for draws that cannot know beforehand how many they need."""
        self._bits.state, untouched = mark
        self._bits.random_raw(used, False)
        self._untouched = untouched and not used

    def memory(self) -> np.ndarray | None:
        """The engine's own memory, to save and to write back: 624 words of key, then the position. None: this NumPy has it otherwise."""
        engine = self._bits or self._start()
        block: Any = (ctypes.c_uint32 * (_KEY + 1)).from_address(engine.ctypes.state_address)
        words: np.ndarray = np.frombuffer(block, np.uint32)
        state = engine.state["state"]
        return words if words[_KEY] == state["pos"] and np.array_equal(words[:_KEY], state["key"]) else None

    def undoing(self) -> Iterator[Any]:
        """What puts the stream back to where it stands now, for `strokes.carry_out`."""
        engine = self._bits or self._start()
        parts = ("_untouched", "next_double", "next_float")
        return chain(
            attributes((engine,), "state", (engine.state,)),
            *(attributes((self,), name, (getattr(self, name),)) for name in parts),
        )

    def get_offset(self) -> int:
        """Refused: only GPU generators count an offset."""
        raise RuntimeError("CPU Generator does not use offset")

    def set_offset(self, offset: int) -> None:
        """Refused: only GPU generators count an offset."""
        raise RuntimeError("CPU Generator does not use offset")

    def graphsafe_get_state(self) -> Generator:
        """Refused: there are no GPU graphs."""
        raise NotImplementedError("graphsafe_get_state is not supported in this Generator")

    def graphsafe_set_state(self, state: Generator) -> None:
        """Refused: there are no GPU graphs."""
        raise NotImplementedError("graphsafe_set_state is not supported in this Generator")

    def __reduce__(self) -> tuple[Callable[..., Generator], tuple[Any], tuple[int, None, np.ndarray]]:
        return type(self), (self._device,), (self._seed, None, self.get_state_array())

    def __setstate__(self, saved: tuple[int, None, Any]) -> None:
        seed, _, state = saved
        self.manual_seed(seed)
        self.set_state_array(np.asarray(state))

    def _reseed(self, seed: int) -> None:
        self._seed = seed
        self._untouched = True
        self.next_double = self.next_float = None
        if self._bits is not None:
            self._bits._legacy_seeding(seed & 0xFFFFFFFF)

    def _start(self) -> Any:
        with self.lock:
            if self._bits is None:
                bits = np.random.MT19937(0)
                bits._legacy_seeding(self._seed & 0xFFFFFFFF)
                self._bits = bits
                _STARTED.add(self)
            return self._bits


default_generator = Generator()


def _forked() -> None:
    """A thread of the parent's that was drawing is not there in a child, where what it held would never be free."""
    for generator in tuple(_STARTED):
        locks: tuple[Any, ...] = generator.lock, generator._bits.lock
        for lock in locks:
            lock._at_fork_reinit()


os.register_at_fork(after_in_child=_forked)
