# mypy: ignore-errors
"""Loops over the frames of a remote-read stream: checked, and rewritten as messages of the StoreAPI.

Frame: uvarint N, CRC-32C of the payload (big-endian), N bytes of ChunkedReadResponse {1 ChunkedSeries, 2 query_index}.
ChunkedSeries {1 Label, 2 Chunk}; Chunk {1 min, 2 max, 3 type, 4 data}. Each series becomes a SeriesResponse {1 Series}
with the label bytes as they are and each chunk as AggrChunk {1 min, 2 max, 3 raw {1 type - 1, 2 data}}; the scanner of
the StoreAPI reads the result.

Every length is checked against what holds it before anything is read; the output is written only where it fits.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.checksum_kernels import crc32c
from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import RU8, U8, i64, tup
from athanor.kernel.varint_kernels import read_uvarint, uvarint_size, write_uvarint
from athanor.storeapi.wire_kernels import _field, _skip, _span, _uvarint

OK = 0
BAD_FIELD = 1
BAD_CHECKSUM = 2
TOO_LONG = 3
BAD_ENCODING = 4
NO_ROOM = 5
BAD_FRAME_LENGTH = 6

MAX_FRAME_BYTES = 50_000_000  # the reader's limit in Prometheus' client


@inline
def _chunk(data, at, end):
    """Status, position, first and last time as uint64, type, start and end of the data of one Chunk."""
    first = np.uint64(0)
    last = np.uint64(0)
    kind = np.uint64(0)
    data_at = np.int64(at)
    data_end = np.int64(at)
    while at < end:
        number, wire, after = _field(data, at, end)
        if after < 0:
            return BAD_FIELD, at, first, last, kind, data_at, data_end
        if number == 4 and wire == 2:
            data_at, data_end = _span(data, after, end)
            if data_end < 0:
                return BAD_FIELD, at, first, last, kind, data_at, data_end
            at = data_end
        elif 1 <= number <= 3 and wire == 0:
            value, after = _uvarint(data, after, end)
            if after < 0:
                return BAD_FIELD, at, first, last, kind, data_at, data_end
            if number == 1:
                first = value
            elif number == 2:
                last = value
            else:
                kind = value
            at = after
        else:
            after = _skip(data, after, end, wire) if number > 4 else np.int64(-1)
            if after < 0:
                return BAD_FIELD, at, first, last, kind, data_at, data_end
            at = after
    if kind < np.uint64(1) or kind > np.uint64(254):
        return BAD_ENCODING, at, first, last, kind, data_at, data_end
    return OK, at, first, last, kind, data_at, data_end


@inline
def _spanned(size):
    """Bytes of a length-delimited field of this size, tag included."""
    return np.int64(1 + uvarint_size(np.uint64(size)) + size)


@inline
def _raw_size(kind, size):
    body = np.int64(0)
    if kind > np.uint64(1):
        body += 1 + uvarint_size(kind - np.uint64(1))
    if size > 0:
        body += _spanned(size)
    return body


@inline
def _aggregate_size(first, last, raw):
    body = _spanned(raw)
    if first != np.uint64(0):
        body += 1 + uvarint_size(first)
    if last != np.uint64(0):
        body += 1 + uvarint_size(last)
    return body


@inline
def _copy(data, at, end, out, to):
    for i in range(end - at):
        out[to + i] = data[at + i]
    return to + (end - at)


@inline
def _write_chunk(out, to, data, first, last, kind, data_at, data_end):
    size = data_end - data_at
    raw = _raw_size(kind, size)
    out[to] = 0x12
    to = write_uvarint(out, to + 1, np.uint64(_aggregate_size(first, last, raw)))
    if first != np.uint64(0):
        out[to] = 0x08
        to = write_uvarint(out, to + 1, first)
    if last != np.uint64(0):
        out[to] = 0x10
        to = write_uvarint(out, to + 1, last)
    out[to] = 0x1A
    to = write_uvarint(out, to + 1, np.uint64(raw))
    if kind > np.uint64(1):
        out[to] = 0x08
        to = write_uvarint(out, to + 1, kind - np.uint64(1))
    if size > 0:
        out[to] = 0x12
        to = write_uvarint(out, to + 1, np.uint64(size))
        to = _copy(data, data_at, data_end, out, to)
    return to


@inline
def _series_size(data, at, end):
    """Status, position, bytes of the rewritten Series."""
    size = np.int64(0)
    while at < end:
        number, wire, after = _field(data, at, end)
        if after < 0:
            return BAD_FIELD, at, size
        if number == 1 or number == 2:
            if wire != 2:
                return BAD_FIELD, at, size
            start, stop = _span(data, after, end)
            if stop < 0:
                return BAD_FIELD, at, size
            if number == 1:
                size += _spanned(stop - start)
            else:
                status, where, first, last, kind, data_at, data_end = _chunk(data, start, stop)
                if status != OK:
                    return status, where, size
                size += _spanned(_aggregate_size(first, last, _raw_size(kind, data_end - data_at)))
            at = stop
        else:
            after = _skip(data, after, end, wire)
            if after < 0:
                return BAD_FIELD, at, size
            at = after
    return OK, at, size


@inline
def _write_series(data, at, end, out, to, labels):
    """The labels (labels = 1) or the chunks of a Series that _series_size has checked; the position after."""
    while at < end:
        number, wire, after = _field(data, at, end)
        if number == 1 or number == 2:
            start, stop = _span(data, after, end)
            if number == 1 and labels == 1:
                out[to] = 0x0A
                to = write_uvarint(out, to + 1, np.uint64(stop - start))
                to = _copy(data, start, stop, out, to)
            elif number == 2 and labels == 0:
                _, _, first, last, kind, data_at, data_end = _chunk(data, start, stop)
                to = _write_chunk(out, to, data, first, last, kind, data_at, data_end)
            at = stop
        else:
            at = _skip(data, after, end, wire)
    return to


@inline
def _frame(data, at, end, out, to):
    """All series of one payload. Status, position, end of the output, series written."""
    n_series = np.int64(0)
    while at < end:
        number, wire, after = _field(data, at, end)
        if after < 0:
            return BAD_FIELD, at, to, n_series
        if number == 1:
            if wire != 2:
                return BAD_FIELD, at, to, n_series
            start, stop = _span(data, after, end)
            if stop < 0:
                return BAD_FIELD, at, to, n_series
            status, where, size = _series_size(data, start, stop)
            if status != OK:
                return status, where, to, n_series
            if to + size + 11 > out.size:
                return NO_ROOM, at, to, n_series
            out[to] = 0x0A
            to = write_uvarint(out, to + 1, np.uint64(size))
            to = _write_series(data, start, stop, out, to, 1)
            to = _write_series(data, start, stop, out, to, 0)
            n_series += 1
            at = stop
        else:
            after = _skip(data, after, end, wire)
            if after < 0:
                return BAD_FIELD, at, to, n_series
            at = after
    return OK, at, to, n_series


@kernel(tup(i64, i64, i64, i64, i64)(RU8, U8))
def rewrite_frames(data, out):
    """All complete frames of ``data``. Status, position (of the mistake, or after the last frame), bytes written,
    frames, series. NO_ROOM stops before the frame that does not fit."""
    at = np.int64(0)
    to = np.int64(0)
    n_frames = np.int64(0)
    n_series = np.int64(0)
    end = np.int64(data.size)
    while at < end:
        length, body = read_uvarint(data, at, end)
        if body < 0:
            if end - at >= 10:
                return BAD_FRAME_LENGTH, at, to, n_frames, n_series
            break
        if length > np.uint64(MAX_FRAME_BYTES):
            return TOO_LONG, at, to, n_frames, n_series
        stop = body + 4 + np.int64(length)
        if stop > end:
            break
        expected = (
            (np.uint32(data[body]) << np.uint32(24))
            | (np.uint32(data[body + 1]) << np.uint32(16))
            | (np.uint32(data[body + 2]) << np.uint32(8))
            | np.uint32(data[body + 3])
        )
        if crc32c(data, body + 4, stop) != np.uint32(expected):
            return BAD_CHECKSUM, at, to, n_frames, n_series
        status, where, after, found = _frame(data, body + 4, stop, out, to)
        if status == NO_ROOM:
            return NO_ROOM, at, to, n_frames, n_series
        if status != OK:
            return status, where, to, n_frames, n_series
        to = after
        n_frames += 1
        n_series += found
        at = stop
    return OK, at, to, n_frames, n_series
