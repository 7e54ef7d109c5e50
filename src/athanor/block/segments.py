"""Chunk segment files: read chunks by reference, write chunks in order.

A file ``chunks/NNNNNN``: be32 0x85BD40DD, u8 1, three zero bytes; then records without padding: uvarint length of the
data, encoding byte, data, crc of encoding and data. A chunk's reference is segment << 32 | position of its record;
segment counts the files in order of their names from 0. Every encoding is accepted. (prometheus tsdb/chunks/chunks.go)
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from io import BufferedWriter
from itertools import pairwise
from pathlib import Path

import numpy as np

from athanor.block import segment_kernels as kernels
from athanor.block.index_format import REPAIR
from athanor.model.arrays import I64, U8
from athanor.model.errors import DataError

MAGIC = 0x85BD40DD
VERSION = 1
HEADER = struct.pack(">IB3x", MAGIC, VERSION)
MAX_SEGMENT_BYTES = 512 << 20
TILE_BYTES = 8 << 20  # records are assembled in memory and written in pieces of about this size
REASONS = {
    kernels.SHORT: "segment doesn't include enough bytes to read the chunk",
    kernels.CHECKSUM: "checksum mismatch",
    kernels.LENGTH: "broken length",
}


def check_segment(data: U8, where: str) -> None:
    """Whether a file is a segment, from its first bytes."""
    if data.size < len(HEADER):
        raise DataError(f"{where}: invalid segment header: {data.size} bytes; {REPAIR}")
    magic, version = struct.unpack(">IB", data[:5].tobytes())
    if magic != MAGIC:
        raise DataError(f"{where}: invalid magic number {magic:x}, expected {MAGIC:x}; {REPAIR}")
    if version != VERSION:
        raise DataError(f"{where}: invalid chunk format version {version}, expected {VERSION}")


def read_records(data: U8, at: I64, where: str) -> tuple[I64, I64, U8]:
    """Chunks whose records begin at ``data[at[i]]``: (position of the data int64[m], its size int64[m], encoding)."""
    at = np.ascontiguousarray(at, np.int64)
    data_at, size = np.empty(at.size, np.int64), np.empty(at.size, np.int64)
    encoding = np.empty(at.size, np.uint8)
    bad, reason = kernels.read_records(data, at, data_at, size, encoding)
    if bad >= 0:
        raise DataError(f"{where} at byte {int(at[bad])}: {REASONS[reason]}; {REPAIR}")
    return data_at, size, encoding


def segment_names(names: Sequence[str]) -> list[str]:
    """The names that are segments, in the order that references count them."""
    return sorted(name for name in names if name.isascii() and name.isdigit())


class SegmentWriter:
    """Writes ``chunks/000001`` and so on into a directory; a context manager, complete only after a clean exit."""

    def __init__(self, directory: Path, max_segment_bytes: int = MAX_SEGMENT_BYTES) -> None:
        self._directory = directory
        self._limit = max_segment_bytes
        self._segment = 0
        self._position = 0
        self._file: BufferedWriter | None = None

    def __enter__(self) -> SegmentWriter:
        self._directory.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._finish()

    def write(self, series: I64, arena: U8, at: I64, size: I64, encoding: U8) -> I64:
        """Append chunks (``arena[at[i]:][:size[i]]``) and return their references, int64[m].

        All chunks of one series come in one call, adjacent: segments are cut between such batches where possible.
        """
        n = at.size
        segments, positions = np.empty(n, np.int64), np.empty(n, np.int64)
        at, size = np.ascontiguousarray(at, np.int64), np.ascontiguousarray(size, np.int64)
        owners = np.ascontiguousarray(series, np.int64)
        kernels.lay_out(owners, size, self._limit, self._segment, self._position, segments, positions)
        last = int(segments[-1]) if n else self._segment - 1
        bounds = np.searchsorted(segments, np.arange(self._segment, last + 2)).tolist()
        for segment, (first, end) in enumerate(pairwise(bounds), self._segment):
            self._open(segment)
            self._append(arena, at[first:end], size[first:end], np.ascontiguousarray(encoding[first:end], np.uint8))
        return (segments << 32) | positions

    def _append(self, arena: U8, at: I64, size: I64, encoding: U8) -> None:
        assert self._file is not None
        if not at.size:
            return
        ends = np.cumsum(size + kernels.MAX_EXTRA_BYTES)
        tiles = np.searchsorted(ends, np.arange(0, int(ends[-1]), TILE_BYTES) + TILE_BYTES, side="left") + 1
        first = 0
        for end in np.minimum(tiles, at.size).tolist():
            if end <= first:
                continue
            room = int(size[first:end].sum()) + (end - first) * kernels.MAX_EXTRA_BYTES
            out = np.empty(room, np.uint8)
            used = kernels.write_records(arena, at[first:end], size[first:end], encoding[first:end], out)
            self._file.write(out[:used].data)
            self._position += used
            first = end

    def _open(self, segment: int) -> None:
        if self._file is not None and segment == self._segment:
            return
        self._finish()
        self._segment = segment
        self._file = (self._directory / f"{segment + 1:06d}").open("wb")
        self._file.write(HEADER)
        self._position = len(HEADER)

    def _finish(self) -> None:
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
