"""The tombstones file: which spans of which series are deleted.

be32 0x0130BA30, u8 1; entries: uvarint series reference, varint first_ms, varint last_ms (both included); crc of the
entries alone. (prometheus tsdb/tombstones/tombstones.go)
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from athanor.block.index_format import REPAIR, checksum
from athanor.kernel.varint_kernels import read_uvarint, read_varint
from athanor.model.arrays import as_bytes
from athanor.model.errors import DataError

MAGIC = 0x0130BA30
VERSION = 1
HEAD = struct.pack(">IB", MAGIC, VERSION)
TOMBSTONES_FILE = "tombstones"

Intervals = tuple[tuple[int, int], ...]
"""(first_ms, last_ms), both included, ascending, neither overlapping nor adjacent."""


def add_interval(intervals: Intervals, first_ms: int, last_ms: int) -> Intervals:
    """One more deleted span; spans that overlap or touch become one."""
    apart = [(a, b) for a, b in intervals if b + 1 < first_ms or last_ms + 1 < a]
    joined = [(a, b) for a, b in intervals if not (b + 1 < first_ms or last_ms + 1 < a)]
    whole = min([first_ms, *(a for a, _ in joined)]), max([last_ms, *(b for _, b in joined)])
    return tuple(sorted([*apart, whole]))


def encode_tombstones(deleted: Mapping[int, Intervals]) -> bytes:
    """The file for series reference -> deleted spans."""
    entries = bytearray()
    for reference in sorted(deleted):
        for first_ms, last_ms in deleted[reference]:
            entries += _uvarint(reference) + _varint(first_ms) + _varint(last_ms)
    return HEAD + bytes(entries) + struct.pack(">I", checksum(bytes(entries)))


def decode_tombstones(content: bytes | memoryview, where: str) -> dict[int, Intervals]:
    """Series reference -> deleted spans."""
    if len(content) < len(HEAD) + 4:
        raise DataError(f"{where}: tombstones header: invalid size {len(content)}; {REPAIR}")
    magic, version = struct.unpack(">IB", content[:5])
    if magic != MAGIC:
        raise DataError(f"{where}: invalid magic number {magic:x}, expected {MAGIC:x}; {REPAIR}")
    if version != VERSION:
        raise DataError(f"{where}: invalid tombstone format {version:x}, expected {VERSION}")
    entries = content[len(HEAD) : -4]
    if checksum(entries) != int.from_bytes(content[-4:], "big"):
        raise DataError(f"{where}: checksum did not match; {REPAIR}")
    data, at = as_bytes(entries), 0
    deleted: dict[int, Intervals] = {}
    while at < data.size:
        begin = at
        reference, at = read_uvarint(data, at, data.size)
        first_ms, at = read_varint(data, at, data.size) if at >= 0 else (0, at)
        last_ms, at = read_varint(data, at, data.size) if at >= 0 else (0, at)
        if at < 0:
            raise DataError(f"{where} at byte {len(HEAD) + begin}: entry is cut; {REPAIR}")
        if last_ms < first_ms:
            raise DataError(f"{where} at byte {len(HEAD) + begin}: span {first_ms} to {last_ms} is reversed; {REPAIR}")
        deleted[int(reference)] = add_interval(deleted.get(int(reference), ()), int(first_ms), int(last_ms))
    return deleted


def _uvarint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint(value: int) -> bytes:
    return _uvarint(((value << 1) ^ (value >> 63)) & (2**64 - 1))
