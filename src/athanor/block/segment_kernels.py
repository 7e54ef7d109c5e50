# mypy: ignore-errors
"""Chunk records of segment files: found, written, laid out over segments, many in one call. Layout: ``segments``."""

from __future__ import annotations

import numpy as np

from athanor.kernel.bytes_kernels import be32, put_be32
from athanor.kernel.checksum_kernels import crc32c
from athanor.kernel.compile import kernel
from athanor.kernel.types import I64, RI64, RU8, U8, i64, tup
from athanor.kernel.varint_kernels import read_uvarint, uvarint_size, write_uvarint

SHORT, CHECKSUM, LENGTH = 1, 2, 3
MAX_LENGTH_BYTES = 5
SEGMENT_HEADER_BYTES = 8
MAX_EXTRA_BYTES = MAX_LENGTH_BYTES + 1 + 4  # length field, encoding, checksum


@kernel(tup(i64, i64)(RU8, RI64, I64, I64, U8))
def read_records(data, at, data_at, data_size, encoding):
    """Data and encoding of the records at ``data[at[i]:]``; checksums are verified. (-1, 0), or (i, reason)."""
    end = np.int64(data.size)
    for i in range(at.size):
        # compat: the length field is always given five bytes of room (prometheus tsdb/chunks/chunks.go)
        if at[i] < 0 or at[i] > end - MAX_LENGTH_BYTES:
            return np.int64(i), np.int64(SHORT)
        length, after = read_uvarint(data, at[i], at[i] + MAX_LENGTH_BYTES)
        if after < 0:
            return np.int64(i), np.int64(LENGTH)
        size = np.int64(length)
        if size > end - after - 5:
            return np.int64(i), np.int64(SHORT)
        if np.int64(crc32c(data, after, after + 1 + size)) != be32(data, after + 1 + size):
            return np.int64(i), np.int64(CHECKSUM)
        encoding[i] = data[np.uint64(after)]
        data_at[i] = after + 1
        data_size[i] = size
    return np.int64(-1), np.int64(0)


@kernel(tup(i64, i64)(RI64, RI64, i64, i64, i64, I64, I64))
def lay_out(series, size, limit, segment, position, out_segment, out_at):
    """The segment and position of each chunk; chunks of one series are adjacent and are one batch.

    segment, position: where the file in hand stands; position 0 where none was begun. A segment is cut as Prometheus
    cuts it: a batch that does not fit the rest of the segment, counted with five bytes of length field for each chunk.
    Returns segment and position after the last chunk.
    """
    i = np.int64(0)
    n = series.size
    while i < n:
        if position == 0:
            position = np.int64(SEGMENT_HEADER_BYTES)
        batch = np.int64(0)
        held = position  # what the segment held when the batch came
        first = True
        owner = series[i]
        while i < n and series[i] == owner:
            taken = size[i] + MAX_EXTRA_BYTES
            batch += taken
            if first and held > SEGMENT_HEADER_BYTES:
                cut = batch + held > limit
                first = not cut
            else:
                cut = batch > taken and batch + SEGMENT_HEADER_BYTES > limit
            if cut:
                batch = taken
                segment += 1
                position = np.int64(SEGMENT_HEADER_BYTES)
            out_segment[i] = segment
            out_at[i] = position
            position += uvarint_size(np.uint64(size[i])) + size[i] + 5
            i += 1
    return segment, position


@kernel(i64(RU8, RI64, RI64, RU8, U8))
def write_records(arena, at, size, encoding, out):
    """The records of chunks, one after the other; returns how many bytes. out has room for MAX_EXTRA_BYTES a chunk."""
    position = np.int64(0)
    for i in range(at.size):
        position = write_uvarint(out, position, np.uint64(size[i]))
        begin = position
        out[np.uint64(position)] = encoding[i]
        position += 1
        for k in range(size[i]):
            out[np.uint64(position + k)] = arena[np.uint64(at[i] + k)]
        position += size[i]
        position = put_be32(out, position, np.int64(crc32c(out, begin, position)))
    return position
