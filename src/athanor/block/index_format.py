"""The frame of an index file, version 2: header, sections with checksums, table of contents.

    be32 0xBAAAD700, u8 version
    symbols            be32 length, be32 count, count x (uvarint size, text), crc
    series             each 16-aligned: uvarint length, content, crc; reference = position / 16
    label indices      (written by Prometheus before 3.7 only, never read)
    postings lists     each 4-aligned: be32 length, be32 count, count x be32 reference, crc
    label offset table (as label indices)
    postings offsets   be32 length, be32 count, count x (u8 2, name, value, uvarint position), crc
    table of contents  six be64 positions, crc; the last 52 bytes

A checksum is the CRC-32C of a section's content, be32. (prometheus tsdb/index/index.go)
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from athanor.kernel.checksum_kernels import crc32c
from athanor.model.arrays import U8, as_bytes
from athanor.model.errors import DataError

MAGIC = 0xBAAAD700
VERSION = 2
HEADER_BYTES = 5
TOC_BYTES = 52
SERIES_ALIGNMENT = 16
POSTINGS_ALIGNMENT = 4
MAX_INDEX_BYTES = 64 << 30  # so that a series position / 16 fits 32 bits
REPAIR = "restore or delete the block"


@dataclass(frozen=True, slots=True)
class Toc:
    """Positions of the sections in an index to be written. postings_at: before its padding."""

    symbols_at: int
    series_at: int
    label_indices_at: int
    label_table_at: int
    postings_at: int
    postings_table_at: int

    def encode(self) -> bytes:
        content = struct.pack(
            ">6Q",
            self.symbols_at,
            self.series_at,
            self.label_indices_at,
            self.label_table_at,
            self.postings_at,
            self.postings_table_at,
        )
        return content + struct.pack(">I", checksum(content))


def checksum(content: bytes | memoryview) -> int:
    data = as_bytes(content)
    return int(crc32c(data, 0, data.size))


def encode_section(content: bytes) -> bytes:
    """A length-framed section."""
    return struct.pack(">I", len(content)) + content + struct.pack(">I", checksum(content))


def section_end(data: U8, at: int, limit: int, what: str, where: str) -> int:
    """The end of the content of a length-framed section that begins at ``data[at]``, its checksum verified.

    limit: the section with its checksum may not pass it.
    """
    if not 0 <= at <= min(limit, data.size) - 8:
        raise DataError(f"{where} at byte {at}: no room for the {what}; {REPAIR}")
    length = int.from_bytes(data[at : at + 4].tobytes(), "big")
    end = at + 4 + length
    if end + 4 > min(limit, data.size):
        raise DataError(f"{where} at byte {at}: {what} of {length} bytes passes its end; {REPAIR}")
    found, said = int(crc32c(data, at + 4, end)), int.from_bytes(data[end : end + 4].tobytes(), "big")
    if found != said:
        raise DataError(f"{where} at byte {at}: {what} has checksum {found:#010x}, not {said:#010x}; {REPAIR}")
    return end
