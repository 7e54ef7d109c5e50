"""Series entries of an index, many in one call, from ranges that may end too early.

Entry: ``uvarint length``, ``length`` bytes, be32 CRC-32C of them. Inside: ``uvarint n``, n times (uvarint name symbol,
uvarint value symbol); ``uvarint m``; the first chunk ``varint min, uvarint max-min, uvarint ref``, each other one
``uvarint min - previous max, uvarint max-min, varint ref - previous ref`` (Prometheus tsdb/docs/format/index.md).
Chunk reference: segment number << 32 | offset.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.checksum_kernels import crc32c
from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import I64, RI64, RU8, U32, U64, i64, tup
from athanor.kernel.varint_kernels import read_uvarint, read_varint

MAX_LENGTH_BYTES = 5
MAX_SYMBOL = 0xFFFFFFFF


@kernel(tup(i64, i64)(RU8, RI64, RI64, I64, I64, I64))
def measure_entries(data, at, end, body_at, body_end, needed):
    """Where the bodies of entries at ``at[i]`` lie; needed[i]: bytes from ``at[i]`` on that the entry takes, 0 where
    ``end[i]`` leaves room for them. Returns the bytes of all bodies that are there, and 0 or -(i+1) for a broken length."""
    total = np.int64(0)
    for i in range(at.size):
        body_at[i] = body_end[i] = at[i]
        if at[i] < 0 or end[i] > data.size or at[i] > end[i]:
            return total, np.int64(-(i + 1))
        length, after = read_uvarint(data, at[i], end[i])
        if after < 0 or after - at[i] > MAX_LENGTH_BYTES:
            if end[i] - at[i] >= MAX_LENGTH_BYTES:
                return total, np.int64(-(i + 1))
            needed[i] = MAX_LENGTH_BYTES
            continue
        size = np.int64(length) + 4
        if size > end[i] - after:
            needed[i] = after - at[i] + size
            continue
        needed[i] = 0
        body_at[i] = after
        body_end[i] = after + size - 4
        total += size - 4
        if total > data.size:  # entries of a sound index do not overlap
            return total, np.int64(-(i + 1))
    return total, np.int64(0)


@inline
def _be32(data, at):
    return (
        (np.uint32(data[at]) << np.uint32(24))
        | (np.uint32(data[at + 1]) << np.uint32(16))
        | (np.uint32(data[at + 2]) << np.uint32(8))
        | np.uint32(data[at + 3])
    )


@kernel(tup(i64, i64, i64)(RU8, RI64, RI64, U32, I64, I64, I64, U64, I64))
def decode_entries(data, body_at, body_end, labels, label_at, first_ms, last_ms, refs, chunk_at):
    """Bodies that ``measure_entries`` found, to columns: label pairs and chunks used, and 0, or -(i+1) for a broken entry.

    labels: uint32[2*], name and value symbols; label_at, chunk_at: int64[n+1]. labels has room for as many numbers as all
    bodies have bytes, the chunk columns for a third of that. The four bytes of the checksum follow each body.
    """
    n_labels = np.int64(0)
    n_chunks = np.int64(0)
    label_at[0] = 0
    chunk_at[0] = 0
    for i in range(body_at.size):
        at = body_at[i]
        end = body_end[i]
        if crc32c(data, at, end) != _be32(data, end):
            return n_labels, n_chunks, np.int64(-(i + 1))
        count, at = read_uvarint(data, at, end)
        if at < 0 or count > np.uint64(end - at):
            return n_labels, n_chunks, np.int64(-(i + 1))
        for _ in range(2 * np.int64(count)):
            symbol, at = read_uvarint(data, at, end)
            if at < 0 or symbol > np.uint64(MAX_SYMBOL):
                return n_labels, n_chunks, np.int64(-(i + 1))
            labels[n_labels] = np.uint32(symbol)
            n_labels += 1
        count, at = read_uvarint(data, at, end)
        if at < 0 or count > np.uint64(end - at):
            return n_labels, n_chunks, np.int64(-(i + 1))
        previous_ms = np.int64(0)
        previous_ref = np.int64(0)
        for c in range(np.int64(count)):
            if c == 0:
                low, at = read_varint(data, at, end)
            else:
                gap, at = read_uvarint(data, at, end)
                low = previous_ms + np.int64(gap)
            if at < 0:
                return n_labels, n_chunks, np.int64(-(i + 1))
            span, at = read_uvarint(data, at, end)
            if at < 0:
                return n_labels, n_chunks, np.int64(-(i + 1))
            high = low + np.int64(span)
            if c == 0:
                raw, at = read_uvarint(data, at, end)
                ref = np.int64(raw)
            else:
                delta, at = read_varint(data, at, end)
                ref = previous_ref + delta
            if at < 0 or ref < 0 or high < low:
                return n_labels, n_chunks, np.int64(-(i + 1))
            first_ms[n_chunks] = low
            last_ms[n_chunks] = high
            refs[n_chunks] = np.uint64(ref)
            n_chunks += 1
            previous_ms = high
            previous_ref = ref
        label_at[i + 1] = n_labels >> 1
        chunk_at[i + 1] = n_chunks
    return n_labels, n_chunks, np.int64(0)
