# mypy: ignore-errors
"""Loops that write columns of series as ``SeriesResponse`` messages or gather chunk data; layout: ``wire_kernels``.

Every size is computed before a byte is written: nested messages carry their length in front.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import I64, RI32, RI64, RU8, RU64, U8, i64
from athanor.kernel.varint_kernels import uvarint_size, write_uvarint


@inline
def _chunk_body(encoding, digest, size):
    """Bytes of a Chunk message."""
    body = np.int64(0)
    if encoding > 1:
        body += 1 + uvarint_size(np.uint64(encoding - 1))
    if size > 0:
        body += 1 + uvarint_size(np.uint64(size)) + size
    if digest != np.uint64(0):
        body += 1 + uvarint_size(digest)
    return body


@inline
def _aggregate_end(row, stop, first_ms, last_ms, aggregate):
    """The row after the sub-chunks of the aggregate chunk that begins at ``row``."""
    after = row + 1
    while (
        after < stop
        and aggregate[after] > aggregate[after - 1]
        and first_ms[after] == first_ms[row]
        and last_ms[after] == last_ms[row]
    ):
        after += 1
    return after


@inline
def _aggregate_body(row, after, first, last, encoding, hashes, chunk_size):
    """Bytes of an AggrChunk message."""
    body = np.int64(0)
    if first != 0:
        body += 1 + uvarint_size(np.uint64(first))
    if last != 0:
        body += 1 + uvarint_size(np.uint64(last))
    for i in range(row, after):
        if encoding[i] != 0:
            chunk = _chunk_body(np.int64(encoding[i]), hashes[i], chunk_size[i])
            body += 1 + uvarint_size(np.uint64(chunk)) + chunk
    return body


@kernel(i64(RI64, RI32, RI64, RI64, RU8, RU8, RU64, RI64, I64, I64, I64))
def size_series(
    offsets, series, first_ms, last_ms, encoding, aggregate, hashes, chunk_size, starts, body, data_bytes
):  # fmt: skip
    """For each series: its first chunk row (starts: int64[n+1]), the bytes of its Series message, of its chunks' data.

    Returns -1, or the chunk row that is out of order or owned by no series.
    """
    n = offsets.size - 1
    row = np.int64(0)
    for i in range(n):
        starts[i] = row
        size = offsets[i + 1] - offsets[i]
        data = np.int64(0)
        stop = row
        while stop < series.size and series[stop] == i:
            data += chunk_size[stop]
            stop += 1
        while row < stop:
            after = _aggregate_end(row, stop, first_ms, last_ms, aggregate)
            chunk = _aggregate_body(row, after, first_ms[row], last_ms[row], encoding, hashes, chunk_size)
            size += 1 + uvarint_size(np.uint64(chunk)) + chunk
            row = after
        body[i] = size
        data_bytes[i] = data
    starts[n] = row
    return np.int64(-1) if row == series.size else row


@kernel(i64(RI64, RI64, i64, i64, I64, I64))
def cut_frames(body, data_bytes, batch_size, limit_bytes, frame_end, frame_bytes):
    """Where frames end (row after) and how many bytes each takes: at batch_size series or limit_bytes of chunk data.

    batch_size 1 means one ``series`` message for each response. Returns the number of frames; both arrays have room
    for n.
    """
    frames = 0
    i = 0
    n = body.size
    while i < n:
        data = np.int64(0)
        inner = np.int64(0)
        start = i
        while i < n and i - start < batch_size and (i == start or data + data_bytes[i] <= limit_bytes):
            data += data_bytes[i]
            inner += body[i] if batch_size == 1 else 1 + uvarint_size(np.uint64(body[i])) + body[i]
            i += 1
        frame_end[frames] = i
        frame_bytes[frames] = 1 + uvarint_size(np.uint64(inner)) + inner
        frames += 1
    return frames


@inline
def _put_bytes(out, at, data, start, size):
    # An unsigned loop becomes memcpy (16 GB/s); a slice assignment looks for overlap first and moves 3 GB/s.
    to, source = np.uint64(at), np.uint64(start)
    for k in range(np.uint64(size)):
        out[to + k] = data[source + k]
    return at + size


@kernel(
    i64(
        i64, i64, i64, RU8, RI64, RI64, RI64, RI64, RI64, RU8, RU8, RU64, RI64, RI64, RU8, U8
    )
)  # fmt: skip
def write_frame(
    first_row, last_row, batched, labels, offsets, starts, body, first_ms, last_ms, encoding, aggregate, hashes,
    chunk_at, chunk_size, arena, out,
):  # fmt: skip
    """One SeriesResponse with the series [first_row, last_row); out has exactly the bytes that cut_frames said."""
    at = np.int64(0)
    if batched == 1:
        inner = np.int64(0)
        for i in range(first_row, last_row):
            inner += 1 + uvarint_size(np.uint64(body[i])) + body[i]
        out[at] = 0x22
        at = write_uvarint(out, at + 1, np.uint64(inner))
    for i in range(first_row, last_row):
        out[at] = 0x0A
        at = write_uvarint(out, at + 1, np.uint64(body[i]))
        at = _put_bytes(out, at, labels, offsets[i], offsets[i + 1] - offsets[i])
        row = starts[i]
        while row < starts[i + 1]:
            after = _aggregate_end(row, starts[i + 1], first_ms, last_ms, aggregate)
            first, last = first_ms[row], last_ms[row]
            out[at] = 0x12
            chunk = _aggregate_body(row, after, first, last, encoding, hashes, chunk_size)
            at = write_uvarint(out, at + 1, np.uint64(chunk))
            if first != 0:
                out[at] = 0x08
                at = write_uvarint(out, at + 1, np.uint64(first))
            if last != 0:
                out[at] = 0x10
                at = write_uvarint(out, at + 1, np.uint64(last))
            for k in range(row, after):
                if encoding[k] == 0:
                    continue
                out[at] = np.uint8(0x1A + 8 * np.int64(aggregate[k]))
                size = chunk_size[k]
                at = write_uvarint(out, at + 1, np.uint64(_chunk_body(np.int64(encoding[k]), hashes[k], size)))
                if encoding[k] > 1:
                    out[at] = 0x08
                    at = write_uvarint(out, at + 1, np.uint64(encoding[k] - 1))
                if size > 0:
                    out[at] = 0x12
                    at = write_uvarint(out, at + 1, np.uint64(size))
                    at = _put_bytes(out, at, arena, chunk_at[k], size)
                if hashes[k] != np.uint64(0):
                    out[at] = 0x18
                    at = write_uvarint(out, at + 1, hashes[k])
            row = after
    return at


@kernel(i64(RI64, RI64, i64))
def first_outside(at, size, n_bytes):
    """The first span that does not lie inside an arena of n_bytes, or -1."""
    for i in range(at.size):
        if at[i] < 0 or size[i] < 0 or at[i] > n_bytes or size[i] > n_bytes - at[i]:
            return i
    return np.int64(-1)


@kernel(i64(RU8, i64, RI32, RI64, RI64, RI64, U8))
def gather_spans(arena, which, source, at, size, target, out):
    """Copy the spans whose source is ``which`` from its arena to their targets. Returns a row that does not fit, or
    -1."""
    for i in range(at.size):
        if source[i] != which:
            continue
        if at[i] < 0 or size[i] < 0 or at[i] > arena.size or size[i] > arena.size - at[i]:
            return i
        if target[i] < 0 or target[i] + size[i] > out.size:
            return i
        to, start = np.uint64(target[i]), np.uint64(at[i])
        for k in range(np.uint64(size[i])):
            out[to + k] = arena[start + k]
    return np.int64(-1)
