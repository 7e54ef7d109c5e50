"""The index header: what a store needs of an index to find postings and symbols, in one small file.

Layout (big endian; thanos pkg/block/indexheader/binary_reader.go): magic BAAAD792, version 1, version of the index,
be64 offset of the postings offset table in the index; copy of the symbol table section; copy of the index from the
postings offset table to its end; be64 position of the symbols and be64 of the table in this file, be32 CRC-32C of both.
Sections are be32 length, content, be32 CRC-32C of the content.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from athanor.block import header_kernels as kernels
from athanor.kernel.checksum_kernels import crc32c
from athanor.model.arrays import I64, U8, U32, as_bytes
from athanor.model.errors import DataError

INDEX_MAGIC, HEADER_MAGIC = 0xBAAAD700, 0xBAAAD792
HEADER_VERSION = 1
INDEX_HEAD_BYTES = 5
HEAD_BYTES, TAIL_BYTES, TOC_BYTES = 14, 20, 52
TOC_READ_BYTES = TOC_BYTES + 4  # compat: the original reads four bytes more

ReadRange = Callable[[int, int], memoryview]
"""(at, length) -> bytes of the index file."""


@dataclass(frozen=True, slots=True)
class IndexToc:
    """Positions of the sections of an index file."""

    symbols: int
    series: int
    label_indices: int
    postings: int
    postings_table: int

    @property
    def series_end(self) -> int:
        """Where the series section is over at the latest."""
        return min(self.label_indices, self.postings)


def read_toc(tail: memoryview | bytes, where: str) -> IndexToc:
    """From the last 52 bytes of an index."""
    data = as_bytes(tail)
    if data.size != TOC_BYTES or int(crc32c(data, 0, 48)) != int.from_bytes(tail[48:52], "big"):
        raise DataError(f"{where}: table of contents: checksum mismatch; restore or delete the block")
    symbols, series, label_indices, _, postings, table = struct.unpack(">6Q", tail[:48])
    if not INDEX_HEAD_BYTES <= symbols <= series <= label_indices <= table or not series <= postings <= table < 1 << 62:
        raise DataError(
            f"{where}: table of contents out of order: symbols {symbols}, series {series}, label indices "
            f"{label_indices}, postings {postings}, postings table {table}; restore or delete the block"
        )
    return IndexToc(symbols, series, label_indices, postings, table)


def build_header(read: ReadRange, size_bytes: int, where: str) -> bytes:
    """The header file of an index of this size, by four reads: head, table of contents, symbols, postings table."""
    head = bytes(read(0, INDEX_HEAD_BYTES))
    if len(head) < INDEX_HEAD_BYTES or int.from_bytes(head[:4], "big") != INDEX_MAGIC:
        raise DataError(f"{where}: invalid magic number {head[:4].hex()}; restore or delete the block")
    if head[4] != 2:
        raise DataError(f"{where}: not supported index file version {head[4]}")
    tail = bytes(read(max(0, size_bytes - TOC_READ_BYTES), TOC_READ_BYTES))[-TOC_BYTES:]
    toc = read_toc(tail, where)
    if toc.postings_table > size_bytes - TOC_BYTES:
        raise DataError(f"{where}: postings table at {toc.postings_table} of {size_bytes} bytes; restore the block")
    symbols = read(toc.symbols, toc.series - toc.symbols)
    table = read(toc.postings_table, size_bytes - toc.postings_table)
    positions = struct.pack(">2Q", HEAD_BYTES, HEAD_BYTES + len(symbols))
    return b"".join(
        (
            struct.pack(">IBBQ", HEADER_MAGIC, HEADER_VERSION, head[4], toc.postings_table),
            symbols,
            table,
            positions,
            struct.pack(">I", int(crc32c(as_bytes(positions), 0, len(positions)))),
        )
    )


@dataclass(frozen=True, slots=True)
class IndexHeader:
    """A parsed header; symbols and label values are spans of ``arena``, the file's bytes.

    symbol_at, symbol_size: uint32[s]; value_at, value_size: int64[r] by row of the postings offset table, sorted by
    name and value, row 0 the list of all series; list_at, list_end: int64[r], the bytes of a posting list in the index
    from its count field on, ``list_end`` being an upper bound.
    """

    arena: U8
    toc: IndexToc
    symbol_at: U32
    symbol_size: U32
    value_at: I64
    value_size: I64
    list_at: I64
    list_end: I64
    names: dict[str, tuple[int, int]]

    @property
    def value_arena(self) -> U8:
        return self.arena

    @property
    def n_bytes(self) -> int:
        """Memory that the arrays hold, besides the file's bytes."""
        return 8 * self.symbol_at.size + 32 * self.value_at.size

    def rows_of(self, name: str) -> tuple[int, int]:
        """The rows [first, end) of a label name."""
        return self.names.get(name, (0, 0))

    def value(self, row: int) -> bytes:
        at = int(self.value_at[row])
        return self.arena[at : at + int(self.value_size[row])].tobytes()

    def find_symbol(self, text: bytes) -> tuple[int, bool]:
        """The number of the first symbol that is not below a text, and whether it is the text."""
        low, high = 0, self.symbol_at.size
        while low < high:
            middle = (low + high) // 2
            if self.symbol(middle) < text:
                low = middle + 1
            else:
                high = middle
        return low, low < self.symbol_at.size and self.symbol(low) == text

    def symbol(self, number: int) -> bytes:
        at = int(self.symbol_at[number])
        return self.arena[at : at + int(self.symbol_size[number])].tobytes()


def parse_header(content: memoryview | bytes, where: str) -> IndexHeader:
    """Check everything and find the spans; the arrays refer to ``content``. Raises DataError, also for a file that was
    cut while it was written: then it is to be built again."""
    data = as_bytes(content)
    size = data.size
    if size < HEAD_BYTES + TOC_BYTES + TAIL_BYTES:
        raise DataError(f"{where}: {size} bytes are no index header")
    magic, version, index_version, postings_table = struct.unpack_from(">IBBQ", content)
    if (magic, version, index_version) != (HEADER_MAGIC, HEADER_VERSION, 2):
        raise DataError(f"{where}: magic {magic:#x}, version {version} of index version {index_version} is not known")
    tail_at = size - TAIL_BYTES
    symbols_at, table_at, checksum = struct.unpack_from(">2QI", content, tail_at)
    if int(crc32c(data, tail_at, tail_at + 16)) != checksum:
        raise DataError(f"{where}: checksum mismatch at its end")
    toc_at = tail_at - TOC_BYTES
    toc = read_toc(bytes(content[toc_at:tail_at]), where)
    if symbols_at != HEAD_BYTES or not symbols_at <= table_at <= toc_at or toc.postings_table != postings_table:
        raise DataError(f"{where}: symbols at {symbols_at}, table at {table_at} of {size} bytes")
    if table_at >= 1 << 32:
        raise DataError(f"{where}: symbols of {table_at} bytes are beyond the 4 GiB of the format")
    at, end, n = _section(data, symbols_at, table_at, f"{where}: symbols")
    symbol_at, symbol_size = np.empty(n, np.uint32), np.empty(n, np.uint32)
    _check(kernels.symbol_spans(data, at, end, symbol_at, symbol_size), f"{where}: symbols")
    at, end, n = _section(data, table_at, toc_at, f"{where}: postings offset table", kernels.MIN_ENTRY_BYTES)
    value_at, value_size, list_at = (np.empty(n, np.int64) for _ in range(3))
    name_span = np.empty(2 * n, np.int64)
    status = kernels.table_rows(data, at, end, value_at, value_size, list_at, name_span)
    _check(status, f"{where}: postings offset table")
    names = _names(data, name_span)
    if n and names.get("") != (0, 1):
        raise DataError(f"{where}: postings offset table does not begin with the list of all series")
    list_at += 4  # past the list's length field
    ends = _list_ends(list_at, postings_table)
    if n and (int(list_at.min()) < toc.series or int(list_at.max()) > postings_table - 4):
        raise DataError(f"{where}: a posting list lies outside the postings section")
    return IndexHeader(data, toc, symbol_at, symbol_size, value_at, value_size, list_at, ends, names)


def _section(data: U8, at: int, end: int, where: str, least: int = 1) -> tuple[int, int, int]:
    """Begin and end of a section's entries and their number; its checksum is checked."""
    if end - at < 12:
        raise DataError(f"{where}: section of {end - at} bytes")
    length = int.from_bytes(data[at : at + 4].tobytes(), "big")
    if length < 4 or at + 8 + length > end:
        raise DataError(f"{where}: length {length} runs past {end - at} bytes")
    begin, stop = at + 4, at + 4 + length
    if int(crc32c(data, begin, stop)) != int.from_bytes(data[stop : stop + 4].tobytes(), "big"):
        raise DataError(f"{where}: checksum mismatch")
    n = int.from_bytes(data[begin : begin + 4].tobytes(), "big")
    if n * least > length:
        raise DataError(f"{where}: {n} entries in {length} bytes")
    return begin + 4, stop, n


def _check(status: int, where: str) -> None:
    if status:
        raise DataError(f"{where}: broken or out of order at byte {-status - 1}; restore or delete the block")


def _names(data: U8, name_span: I64) -> dict[str, tuple[int, int]]:
    starts = np.empty(name_span.size // 2 + 1, np.int64)
    n = kernels.name_starts(data, name_span, starts)
    rows = starts[: n + 1].tolist()
    names: dict[str, tuple[int, int]] = {}
    for first, end in pairwise(rows):
        at, size = name_span[2 * first : 2 * first + 2].tolist()
        names[data[at : at + size].tobytes().decode("utf-8", "surrogateescape")] = (first, end)
    return names


def _list_ends(list_at: I64, postings_table: int) -> I64:
    """Where the next list's length field begins, less this list's checksum: at most what the list can take."""
    order = np.argsort(list_at, kind="stable")
    ends = np.empty_like(list_at)
    following = np.append(list_at[order][1:] - 4, postings_table)
    ends[order] = following - 4
    return ends
