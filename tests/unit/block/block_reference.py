"""Index and segments of a block, read with the plainest Python; and memory that ends at a forbidden page."""

from __future__ import annotations

import ctypes
import mmap
import struct
from dataclasses import dataclass

import numpy as np
import xor2_reference
import xor_reference
from numpy.typing import NDArray

MASK = 2**64 - 1


class Broken(Exception):
    """The data is not what the format says."""


CRC_TABLE = []
for _byte in range(256):
    for _ in range(8):
        _byte = (_byte >> 1) ^ (0x82F63B78 if _byte & 1 else 0)
    CRC_TABLE.append(_byte)


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


@dataclass
class Reader:
    data: bytes
    at: int = 0

    def take(self, n: int) -> bytes:
        if n < 0 or self.at < 0 or self.at + n > len(self.data):
            raise Broken(f"{n} bytes at {self.at} of {len(self.data)}")
        self.at += n
        return self.data[self.at - n : self.at]

    def be32(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def uvarint(self) -> int:
        value = 0
        for i in range(10):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << (7 * i)
            if byte < 0x80:
                if value > MASK:
                    raise Broken("beyond 64 bits")
                return value
        raise Broken("longer than ten bytes")

    def varint(self) -> int:
        raw = self.uvarint()
        return raw >> 1 if raw & 1 == 0 else ~(raw >> 1)

    def text(self) -> bytes:
        return self.take(self.uvarint())


def section(data: bytes, at: int) -> Reader:
    reader = Reader(data, at)
    content = reader.take(reader.be32())
    if crc32c(content) != reader.be32():
        raise Broken("checksum")
    return Reader(content)


Series = tuple[dict[bytes, bytes], list[tuple[int, int, int]]]
"""Labels, chunks (first_ms, last_ms, reference)."""


def signed(value: int) -> int:
    value &= MASK
    return value - (1 << 64) if value >> 63 else value


def series_entry(data: bytes, at: int, symbols: list[bytes]) -> Series:
    reader = Reader(data, at)
    content = reader.take(reader.uvarint())
    if crc32c(content) != reader.be32():
        raise Broken("checksum")
    entry = Reader(content)
    labels = {}
    for _ in range(entry.uvarint()):
        name, value = entry.uvarint(), entry.uvarint()
        if max(name, value) >= len(symbols):
            raise Broken("symbol")
        labels[symbols[name]] = symbols[value]
    chunks: list[tuple[int, int, int]] = []
    for i in range(entry.uvarint()):
        first = entry.varint() if i == 0 else signed(entry.uvarint() + chunks[-1][1])
        last = signed(first + entry.uvarint())
        chunks.append((first, last, entry.uvarint() if i == 0 else signed(chunks[-1][2] + entry.varint())))
    return {name: value for name, value in labels.items() if value}, chunks


def index(data: bytes) -> list[Series]:
    """Every series in the list of all series."""
    if (
        len(data) < 57
        or data[:5] != b"\xba\xaa\xd7\x00\x02"
        or crc32c(data[-52:-4]) != int.from_bytes(data[-4:], "big")
    ):
        raise Broken("frame")
    symbols_at, _, _, _, _, table_at = struct.unpack(">6Q", data[-52:-4])
    reader = section(data, symbols_at)
    symbols = [reader.text() for _ in range(reader.be32())]
    table = section(data, table_at)
    if table.be32() == 0:
        return []
    if table.take(1) != b"\x02" or table.text() or table.text():
        raise Broken("the first list is not that of all series")
    postings = section(data, table.uvarint())
    return [series_entry(data, postings.be32() * 16, symbols) for _ in range(postings.be32())]


def chunk(segments: list[bytes], reference: int) -> tuple[int, bytes]:
    """Encoding and data."""
    if not 0 <= reference >> 32 < len(segments):
        raise Broken("segment")
    data = segments[reference >> 32]
    if data[:5] != b"\x85\xbd\x40\xdd\x01" or len(data) < 8:
        raise Broken("segment header")
    reader = Reader(data, reference & 0xFFFFFFFF)
    content = reader.take(reader.uvarint() + 1)
    if crc32c(content) != reader.be32():
        raise Broken("checksum")
    return content[0], content[1:]


Answer = list[tuple[dict[bytes, bytes], list[tuple[int, int]]]]


def block(index_file: bytes, segments: list[bytes]) -> Answer:
    """Labels and samples (t, value bits) of every series."""
    answer = []
    for labels, chunks in index(index_file):
        samples = []
        for _, _, reference in chunks:
            encoding, data = chunk(segments, reference)
            if encoding not in (1, 4):
                raise Broken("encoding")
            try:
                found = xor_reference.decode(data) if encoding == 1 else xor2_reference.decode(data)
            except (EOFError, OverflowError, ValueError) as error:
                raise Broken("chunk") from error
            if found is None or (encoding == 4 and len(data) < 3):
                raise Broken("chunk")
            samples += found
        answer.append((labels, samples))
    return answer


class Guarded:
    """Arrays that end where memory ends: the page behind them may not be touched."""

    def __init__(self, n_bytes: int) -> None:
        page = mmap.PAGESIZE
        self._size = -(-n_bytes // page) * page
        self._memory = mmap.mmap(-1, self._size + page)
        whole = np.frombuffer(self._memory, np.uint8)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mprotect(ctypes.c_void_p(whole.ctypes.data + self._size), ctypes.c_size_t(page), 0) != 0:
            raise OSError(ctypes.get_errno(), "mprotect")
        self._room = whole[: self._size]

    def put(self, data: bytes) -> NDArray[np.uint8]:
        """The bytes, placed so that the first one after them is in the forbidden page."""
        room = self._room[self._size - len(data) :]
        room[:] = np.frombuffer(data, np.uint8)
        return room
