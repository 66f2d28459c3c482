"""A Loop with everything decided about how it is walked: what schedule.py fills in and the writers of text read."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from lamina.compiler.kernels import REDUCTIONS, Access, Loop


@dataclass(slots=True)
class Nest:
    """A Loop with everything decided."""

    loop: Loop
    weights: tuple[int, ...]  # what a step along each dimension adds to the row-major position in the row
    # For each instruction: bits of the dimensions its value varies along; how many reductions, one after the other, it needs.
    depends: list[int] = field(default_factory=list)
    stage: list[int] = field(default_factory=list)
    live: list[bool] = field(default_factory=list)
    carried: frozenset[int] = frozenset()  # kept dimensions that are gone along in order: kernels.carried
    vec: int = -1  # the dimension that becomes vectors; -1: none
    lanes: int = 1
    passes: list[Pass] = field(default_factory=list)
    scratch: int = 0  # bytes of it
    rows: dict[int, int] = field(
        default_factory=dict
    )  # values kept along a row from pass to pass: where in scratch memory
    # Rows that lie side by side, reduced in blocks: how many at a time (0: as many as there are lanes); where in scratch memory
    # is what is kept for each, by instruction, and its accumulators, by reduction and register.
    columns: int = 0
    saved: dict[int, int] = field(default_factory=dict)
    states: dict[tuple[int, int], int] = field(default_factory=dict)
    # Loads that are contiguous along the kept dimension tile_dim, turned in squares; where in scratch memory these are.
    turned: tuple[Access, ...] = ()
    tile_dim: int = -1
    tiles: int = 0
    # Loads of the first pass over a row, for which the last pass asks so many rows before.
    ahead: list[int] = field(default_factory=list)
    distance: int = 1
    streams: bool = False  # the output is so large that its stores had better go past the caches
    unit_dim: int = -1
    block: int = 1  # indices along unit_dim of one unit
    units: int = 1
    cost_ns: float = 0.0

    @property
    def reduced_mask(self) -> int:
        """Bits of the reduced dimensions."""
        return (1 << len(self.loop.dims)) - (1 << self.loop.keep)

    @property
    def row(self) -> int:
        """Elements of a row."""
        return prod(self.loop.dims[self.loop.keep :])

    @property
    def alive(self) -> list[int]:
        """Instructions that matter to a store, but constants."""
        return [i for i, live in enumerate(self.live) if live and self.loop.body[i].op != "const"]

    def after(self, s: int) -> list[int]:
        """What is computed once for a row from the results of its pass s, but stores."""
        return [
            i for i in self.alive
            if not self.depends[i] & self.reduced_mask and self.stage[i] == s + 1
            and self.loop.body[i].op not in REDUCTIONS and self.loop.body[i].op != "store"
        ]  # fmt: skip

    @property
    def row_stores(self) -> list[int]:
        """Stores made once for a row."""
        return [i for i in self.alive if self.loop.body[i].op == "store" and not self.depends[i] & self.reduced_mask]

    def along_vec(self, i: int) -> bool:
        """Whether instruction i has a value for each lane."""
        return self.vec >= 0 and bool(self.depends[i] >> self.vec & 1)


@dataclass(slots=True)
class Pass:
    """One walk over a row: what it computes, reduces and stores."""

    reductions: list[int]
    stores: list[int]
    needed: list[int] = field(default_factory=list)  # in order; what varies along the row
    kept: set[int] = field(default_factory=set)  # of these: taken from scratch memory
    keeps: set[int] = field(default_factory=set)  # of these: put there
    lanes: int = 1  # where vectors are along the row: of this pass
