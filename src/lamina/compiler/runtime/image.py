"""A linker for one object file: from relocatable ELF (x86-64) to a flat image that runs wherever it is put.

Code and constants lie in one block and reach each other relative to the program counter. What is outside (libm, memcpy, Python's C API)
is reached through a word for each name at the end of the block, which the loader fills. So loading takes no LLVM: copy, fill the
words, make executable (memory.py), a few microseconds for a kernel. There is no writable data: a kernel that needs any is refused.
"""

from __future__ import annotations

import json
import struct
from typing import NamedTuple

_WRITE, _ALLOC = 0x1, 0x2
_PC32, _PLT32, _ABS64, _PC64 = 2, 4, 1, 24
_GOT = (9, 41, 42)
_STUB = 8  # jmp *word(%rip), padded


class Image(NamedTuple):
    """Machine code at no address yet."""

    code: bytes
    symbols: dict[str, int]  # functions: offset in the code
    imports: list[tuple[int, str, int]]  # at this offset belongs the address of this name, plus so much
    relatives: list[tuple[int, int]]  # at this offset belongs the image's own address, plus so much

    def packed(self) -> bytes:
        """As bytes, for the cache."""
        head = json.dumps([self.symbols, self.imports, self.relatives], separators=(",", ":")).encode()
        return struct.pack("<I", len(head)) + head + self.code

    @staticmethod
    def unpacked(data: bytes) -> Image:
        """The reverse of `packed`; raises ValueError (or a subclass) for anything else."""
        if len(data) < 4:
            raise ValueError("not an image")
        (size,) = struct.unpack_from("<I", data)
        symbols, imports, relatives = json.loads(data[4 : 4 + size])
        return Image(data[4 + size :], symbols, [(*i,) for i in imports], [(*r,) for r in relatives])


def link(elf: bytes) -> Image:
    """Lay out the sections of an object file and resolve what they say of each other. Raises ValueError for what it cannot link."""
    if elf[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<HH", elf, 16) != (1, 62):
        raise ValueError("not a relocatable object file for x86-64")
    table, count = struct.unpack_from("<Q", elf, 40)[0], struct.unpack_from("<H", elf, 60)[0]
    sections = [_Section(*struct.unpack_from("<IIQQQQIIQQ", elf, table + 64 * i)) for i in range(count)]
    names = sections[struct.unpack_from("<H", elf, 62)[0]]
    code, places = bytearray(), {}
    for index, section in enumerate(sections):
        name = _string(elf, names.offset + section.name)
        if not section.flags & _ALLOC or not section.size or name == ".eh_frame":
            continue
        if section.kind not in (1, 8) or (section.flags & _WRITE and not name.startswith(".data.rel.ro")):
            raise ValueError(f"an image has no section {name}: kernels have no writable data")
        code += bytes(-len(code) % max(section.align, 1))
        places[index] = len(code)
        code += bytes(section.size) if section.kind == 8 else elf[section.offset : section.offset + section.size]
    return _Linker(elf, sections, code, places).image()


class _Section(NamedTuple):
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entry: int


class _Linker:
    def __init__(self, elf: bytes, sections: list[_Section], code: bytearray, places: dict[int, int]) -> None:
        self.elf, self.sections, self.code, self.places = elf, sections, code, places
        self.words: dict[str | int, int] = {}  # of an outside name, or of an offset inside: where its address stands
        self.stubs: dict[str, int] = {}
        self.symbols: dict[str, int] = {}
        self.imports: list[tuple[int, str, int]] = []
        self.relatives: list[tuple[int, int]] = []

    def image(self) -> Image:
        symbols = self._symbols(next(section for section in self.sections if section.kind == 2))
        for section in self.sections:
            if section.kind == 4 and section.info in self.places:  # RELA
                for at in range(section.offset, section.offset + section.size, 24):
                    place, info, addend = struct.unpack_from("<QQq", self.elf, at)
                    self._relocate(self.places[section.info] + place, info & 0xFFFFFFFF, symbols[info >> 32], addend)
        return Image(bytes(self.code), self.symbols, self.imports, self.relatives)

    def _symbols(self, table: _Section) -> list[int | str]:
        """Of each symbol: its offset in the code, or its name if it is outside."""
        found: list[int | str] = []
        for at in range(table.offset, table.offset + table.size, 24):
            name, info, _, index, value, _ = struct.unpack_from("<IBBHQQ", self.elf, at)
            text = _string(self.elf, self.sections[table.link].offset + name)
            if index in self.places:
                found.append(self.places[index] + value)
                if info >> 4 != 0 and info & 15 == 2:  # a function that is not local
                    self.symbols[text] = self.places[index] + value
            else:
                found.append(text)
        return found

    def _relocate(self, place: int, kind: int, symbol: int | str, addend: int) -> None:
        if kind == _ABS64:
            if isinstance(symbol, str):
                self.imports.append((place, symbol, addend))
            else:
                self.relatives.append((place, symbol + addend))
            return
        if kind in _GOT:
            target = self._word(symbol)
        elif kind in (_PC32, _PLT32, _PC64):
            target = self._stub(symbol) if isinstance(symbol, str) else symbol
        else:
            raise ValueError(f"an image has no relocation of type {kind}")
        struct.pack_into("<q" if kind == _PC64 else "<i", self.code, place, target + addend - place)

    def _word(self, symbol: int | str) -> int:
        if symbol not in self.words:
            self.code += bytes(-len(self.code) % 8)
            self.words[symbol] = len(self.code)
            if isinstance(symbol, str):
                self.imports.append((len(self.code), symbol, 0))
            else:
                self.relatives.append((len(self.code), symbol))
            self.code += bytes(8)
        return self.words[symbol]

    def _stub(self, name: str) -> int:
        """A jump to an outside function: calls reach 2 GB only."""
        if name not in self.stubs:
            word = self._word(name)
            self.stubs[name] = len(self.code)
            self.code += b"\xff\x25" + struct.pack("<i", word - len(self.code) - 6) + b"\xcc\xcc"
        return self.stubs[name]


def _string(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode()
