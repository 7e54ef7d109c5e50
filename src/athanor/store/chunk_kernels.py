# mypy: ignore-errors
"""Chunks of a segment file, many in one call, from ranges that may end too early; sub-chunks of aggregate chunks.

Chunk record: ``uvarint length``, encoding byte, ``length`` bytes, be32 CRC-32C of encoding and data (Prometheus
tsdb/docs/format/chunks.md). Data of encoding 0xFF: for count, sum, min, max, counter in this order ``uvarint length``
and, unless it is 0, a sub-encoding byte and ``length`` bytes (Thanos pkg/compact/downsample/aggr.go).
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.checksum_kernels import crc32c
from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import I32, I64, RI32, RI64, RU8, U8, i64, tup
from athanor.kernel.varint_kernels import read_uvarint

MAX_LENGTH_BYTES = 5
CRC_BYTES = 4
AGGREGATE_ENCODING = 0xFF
N_AGGREGATES = 5
BAD_LENGTH, BAD_CHECKSUM = 1, 2
BAD_AGGREGATE, MISSING_AGGREGATE = 1, 2


@inline
def _be32(data, at):
    return (
        (np.uint32(data[at]) << np.uint32(24))
        | (np.uint32(data[at + 1]) << np.uint32(16))
        | (np.uint32(data[at + 2]) << np.uint32(8))
        | np.uint32(data[at + 3])
    )


@kernel(tup(i64, i64)(RU8, RI64, RI64, I64, I64, U8, I64))
def locate_chunks(data, at, end, data_at, data_size, encoding, needed):
    """Data, size and encoding of the records at ``at[i]``; needed[i]: bytes from ``at[i]`` on that the record takes, 0
    where ``end[i]`` leaves room for them. Returns a status and the record that it is about."""
    for i in range(at.size):
        needed[i] = 0
        if at[i] < 0 or end[i] > data.size or at[i] > end[i]:
            return np.int64(BAD_LENGTH), np.int64(i)
        length, after = read_uvarint(data, at[i], end[i])
        if after < 0 or after - at[i] > MAX_LENGTH_BYTES:
            if end[i] - at[i] >= MAX_LENGTH_BYTES:
                return np.int64(BAD_LENGTH), np.int64(i)
            needed[i] = MAX_LENGTH_BYTES + 1 + CRC_BYTES
            continue
        size = np.int64(length)
        if size + 1 + CRC_BYTES > end[i] - after:
            needed[i] = after - at[i] + size + 1 + CRC_BYTES
            continue
        if crc32c(data, after, after + 1 + size) != _be32(data, after + 1 + size):
            return np.int64(BAD_CHECKSUM), np.int64(i)
        encoding[i] = data[after]
        data_at[i] = after + 1
        data_size[i] = size
    return np.int64(0), np.int64(0)


@kernel(tup(i64, i64, i64)(RU8, RI32, RI64, RI64, RI64, RI64, RU8, i64, I64, I32, I64, I64, U8, U8, I64, I64))
def expand_aggregates(
    data, series, first_ms, last_ms, data_at, data_size, encoding, wanted,
    source, out_series, out_first_ms, out_last_ms, out_encoding, out_aggregate, out_at, out_size,
):  # fmt: skip
    """Chunk rows to sub-chunk rows: raw chunks as they are, aggregate chunks as the wanted sub-chunks.

    wanted: bit k set for aggregate k (1 count .. 5 counter); with none an aggregate chunk becomes one row of encoding
    0, without data. source: the chunk row of each row written. Outputs have room for five rows a chunk. Returns the
    rows written, a status and, with it, 8 * chunk row + aggregate.
    """
    n = np.int64(0)
    for c in range(series.size):
        if encoding[c] != AGGREGATE_ENCODING or wanted == 0:
            source[n] = c
            out_series[n] = series[c]
            out_first_ms[n] = first_ms[c]
            out_last_ms[n] = last_ms[c]
            out_aggregate[n] = 0
            if encoding[c] == AGGREGATE_ENCODING:
                out_encoding[n] = 0
                out_at[n] = data_at[c]
                out_size[n] = 0
            else:
                out_encoding[n] = encoding[c]
                out_at[n] = data_at[c]
                out_size[n] = data_size[c]
            n += 1
            continue
        at = data_at[c]
        end = at + data_size[c]
        for k in range(1, N_AGGREGATES + 1):
            if (wanted >> k) == 0:
                break
            length, at = read_uvarint(data, at, end)
            if at < 0:
                return n, np.int64(BAD_AGGREGATE), np.int64(8 * c + k)
            if length == np.uint64(0):
                if (wanted >> k) & 1:
                    return n, np.int64(MISSING_AGGREGATE), np.int64(8 * c + k)
                continue
            if length >= np.uint64(end - at):
                return n, np.int64(BAD_AGGREGATE), np.int64(8 * c + k)
            if (wanted >> k) & 1:
                source[n] = c
                out_series[n] = series[c]
                out_first_ms[n] = first_ms[c]
                out_last_ms[n] = last_ms[c]
                out_encoding[n] = data[at]
                out_aggregate[n] = k
                out_at[n] = at + 1
                out_size[n] = np.int64(length)
                n += 1
            at += 1 + np.int64(length)
    return n, np.int64(0), np.int64(0)
