# mypy: ignore-errors
"""The loop that scans the bytes of ``SeriesResponse`` messages into columns.

Layout (protobuf; sheet of the StoreAPI): SeriesResponse {1 Series, 4 SeriesBatch {1 Series}*}; Series {1 Label*, 2
AggrChunk*}; Label {1 name, 2 value}; AggrChunk {1 min_time, 2 max_time, 3 raw, 4 count, 5 sum, 6 min, 7 max, 8
counter: Chunk}; Chunk {1 type, 2 data, 3 hash}. Responses that were received one by one are scanned together when
they are joined end to end.

The scanner trusts nothing: every length is checked against the message that holds it, before anything is read or
written.
"""

from __future__ import annotations

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros

from athanor.kernel.bytes_kernels import le64
from athanor.kernel.compile import inline, short_kernel
from athanor.kernel.types import I32, I64, RU8, U8, U64, i64, tup
from athanor.kernel.varint_kernels import read_uvarint, uvarint_size, write_uvarint

# Status codes of scan_frame; the wrapper gives them words.
OK = 0
BAD_VARINT = 1
BAD_LENGTH = 2
BAD_WIRE_TYPE = 3
BAD_TAG = 4
BAD_ORDER = 5
BAD_ENCODING = 6
NOT_SERIES = 7
REWRITE = 8  # a label set is not canonical: scan again with rewriting
GROW = 9  # the output arrays are too small: scan again with bigger ones
TWO_RESULTS = 10


@inline
def _uvarint(data, at, end):
    """Value and the position after it, or position -1. Up to eight bytes are read as one word, without a loop."""
    if at >= end:
        return np.uint64(0), np.int64(-1)
    byte = data[np.uint64(at)]
    if byte < 0x80:
        return np.uint64(byte), np.int64(at + 1)
    if end - at >= 8:
        word = le64(data, at)
        stops = ~word & np.uint64(0x8080808080808080)
        if stops != np.uint64(0):
            word &= stops ^ (stops - np.uint64(1))
            word &= np.uint64(0x7F7F7F7F7F7F7F7F)
            word = (word & np.uint64(0x007F007F007F007F)) | ((word & np.uint64(0x7F007F007F007F00)) >> np.uint64(1))
            word = (word & np.uint64(0x00003FFF00003FFF)) | ((word & np.uint64(0x3FFF00003FFF0000)) >> np.uint64(2))
            word = (word & np.uint64(0x000000000FFFFFFF)) | ((word & np.uint64(0x0FFFFFFF00000000)) >> np.uint64(4))
            return word, np.int64(at + 1 + np.int64(np.uint64(trailing_zeros(stops)) >> np.uint64(3)))
    return read_uvarint(data, at, end)


@inline
def _field(data, at, end):
    """Field number, wire type, position after the tag; position -1 where the tag is broken."""
    if at < end and data[at] < 0x80:
        tag = np.int64(data[at])
        after = np.int64(at + 1)
    else:
        raw, after = read_uvarint(data, at, end)
        if after < 0 or raw > np.uint64(0xFFFFFFFF):
            return np.int64(0), np.int64(0), np.int64(-1)
        tag = np.int64(raw)
    if tag < 8:
        return np.int64(0), np.int64(0), np.int64(-1)
    return tag >> 3, tag & 7, after


@inline
def _span(data, at, end):
    """Start and end of a length-delimited value; end -1 where it does not fit into its message."""
    size, start = _uvarint(data, at, end)
    if start < 0 or size > np.uint64(end - start):
        return np.int64(at), np.int64(-1)
    return start, np.int64(start + np.int64(size))


@inline
def _skip(data, at, end, wire):
    """The position after an unknown field's value, or -1."""
    if wire == 0:
        return _uvarint(data, at, end)[1]
    if wire == 1:
        return np.int64(at + 8) if at + 8 <= end else np.int64(-1)
    if wire == 2:
        return _span(data, at, end)[1]
    if wire == 5:
        return np.int64(at + 4) if at + 4 <= end else np.int64(-1)
    return np.int64(-1)


@inline
def _compare(data, a_at, a_size, b_at, b_size):
    for i in range(min(a_size, b_size)):
        x = data[a_at + i]
        y = data[b_at + i]
        if x != y:
            return -1 if x < y else 1
    if a_size == b_size:
        return 0
    return -1 if a_size < b_size else 1


@inline
def short_span(data, at, end):
    """Like _span, but end -1 also where the length is not a shortest varint."""
    if at < end and data[at] < 0x80:
        stop = np.int64(at + 1 + data[at])
        return np.int64(at + 1), (stop if stop <= end else np.int64(-1))
    start, stop = _span(data, at, end)
    if stop >= 0 and start - at != uvarint_size(np.uint64(stop - start)):
        return np.int64(at), np.int64(-1)
    return start, stop


@inline
def canonical_label(data, at, end, last_name_at, last_name_size):
    """Whether ``[at, end)`` is 0x0A len name 0x12 len value, value not empty, name after the last one; and its name's
    span."""
    if at >= end or data[at] != 0x0A:
        return False, np.int64(0), np.int64(0)
    name_at, name_end = short_span(data, at + 1, end)
    if name_end < 0 or name_end >= end or data[name_end] != 0x12:
        return False, np.int64(0), np.int64(0)
    value_at, value_end = short_span(data, name_end + 1, end)
    if value_end != end or value_at == value_end:
        return False, np.int64(0), np.int64(0)
    size = name_end - name_at
    if last_name_at >= 0 and _compare(data, last_name_at, last_name_size, name_at, size) >= 0:
        return False, np.int64(0), np.int64(0)
    return True, np.int64(name_at), np.int64(size)


@inline
def _loose_label(data, at, end):
    """Status, position, name at, name end, value at, value end of a label in any order and with unknown fields."""
    name_at = name_end = value_at = value_end = np.int64(at)
    while at < end:
        number, wire, after = _field(data, at, end)
        if after < 0:
            return BAD_TAG, at, name_at, name_end, value_at, value_end
        if number == 1 or number == 2:
            if wire != 2:
                return BAD_WIRE_TYPE, at, name_at, name_end, value_at, value_end
            start, stop = _span(data, after, end)
            if stop < 0:
                return BAD_LENGTH, at, name_at, name_end, value_at, value_end
            if number == 1:
                name_at, name_end = start, stop
            else:
                value_at, value_end = start, stop
            at = stop
        else:
            stop = _skip(data, after, end, wire)
            if stop < 0:
                return BAD_LENGTH, at, name_at, name_end, value_at, value_end
            at = stop
    return OK, at, name_at, name_end, value_at, value_end


@inline
def _sort_labels(data, spans, order, scratch, n):
    """Stable merge sort of label numbers by name. spans: int64[4 n] name at, name end, value at, value end."""
    for i in range(n):
        order[i] = i
    width = 1
    while width < n:
        start = 0
        while start < n:
            middle = min(start + width, n)
            stop = min(start + 2 * width, n)
            i, j = start, middle
            for k in range(start, stop):
                left = i < middle
                if left and j < stop:
                    a, b = order[i] * 4, order[j] * 4
                    left = _compare(data, spans[a], spans[a + 1] - spans[a], spans[b], spans[b + 1] - spans[b]) <= 0
                if left:
                    scratch[k] = order[i]
                    i += 1
                else:
                    scratch[k] = order[j]
                    j += 1
            start = stop
        for k in range(n):
            order[k] = scratch[k]
        width *= 2


@inline
def _write_labels(data, spans, order, n, out, used):
    """Canonical bytes of n sorted labels: the last of equal names, no empty values. Returns the new end."""
    for k in range(n):
        s = order[k] * 4
        name_at, name_size = spans[s], spans[s + 1] - spans[s]
        value_at, value_size = spans[s + 2], spans[s + 3] - spans[s + 2]
        if value_size == 0:
            continue
        if k + 1 < n:
            t = order[k + 1] * 4
            if _compare(data, name_at, name_size, spans[t], spans[t + 1] - spans[t]) == 0:
                continue
        inner = 2 + uvarint_size(np.uint64(name_size)) + name_size + uvarint_size(np.uint64(value_size)) + value_size
        out[used] = 0x0A
        used = write_uvarint(out, used + 1, np.uint64(inner))
        out[used] = 0x0A
        used = write_uvarint(out, used + 1, np.uint64(name_size))
        for i in range(name_size):
            out[used + i] = data[name_at + i]
        used += name_size
        out[used] = 0x12
        used = write_uvarint(out, used + 1, np.uint64(value_size))
        for i in range(value_size):
            out[used + i] = data[value_at + i]
        used += value_size
    return used


@inline
def _scan_chunk(data, at, end, row, encoding, hashes, chunk_at, chunk_size):
    """One Chunk message into row ``row`` (nowhere when the columns are full). Status and position."""
    kind = np.uint64(0)
    value_at = np.int64(at)
    value_end = np.int64(at)
    digest = np.uint64(0)
    while at < end:
        number, wire, after = _field(data, at, end)
        if after < 0:
            return BAD_TAG, at
        if number == 2:
            if wire != 2:
                return BAD_WIRE_TYPE, at
            value_at, value_end = _span(data, after, end)
            if value_end < 0:
                return BAD_LENGTH, at
            at = value_end
        elif number == 1 or number == 3:
            if wire != 0:
                return BAD_WIRE_TYPE, at
            value, after = _uvarint(data, after, end)
            if after < 0:
                return BAD_VARINT, at
            if number == 1:
                kind = value
            else:
                digest = value
            at = after
        else:
            after = _skip(data, after, end, wire)
            if after < 0:
                return BAD_LENGTH, at
            at = after
    if kind > np.uint64(254):
        return BAD_ENCODING, at
    if row < chunk_at.size:
        encoding[row] = np.uint8(kind + np.uint64(1))
        hashes[row] = digest
        chunk_at[row] = value_at
        chunk_size[row] = value_end - value_at
    return OK, at


@inline
def _scan_aggregate(
    data, at, end, owner, row, keep_empty, series, first_ms, last_ms, encoding, aggregate, hashes, chunk_at, chunk_size
):
    """One AggrChunk into rows from ``row`` on. Status, position, the row after."""
    first = np.int64(0)
    last = np.int64(0)
    start_row = row
    previous = np.int64(2)
    while at < end:
        number, wire, after = _field(data, at, end)
        if after < 0:
            return BAD_TAG, at, row
        if number == 1 or number == 2:
            if wire != 0:
                return BAD_WIRE_TYPE, at, row
            value, after = _uvarint(data, after, end)
            if after < 0:
                return BAD_VARINT, at, row
            if number == 1:
                first = np.int64(value)
            else:
                last = np.int64(value)
            at = after
        elif number <= 8:
            if wire != 2:
                return BAD_WIRE_TYPE, at, row
            if number <= previous:
                return BAD_ORDER, at, row
            previous = number
            start, stop = _span(data, after, end)
            if stop < 0:
                return BAD_LENGTH, at, row
            status, at = _scan_chunk(data, start, stop, row, encoding, hashes, chunk_at, chunk_size)
            if status != OK:
                return status, at, row
            if row < chunk_at.size:
                aggregate[row] = np.uint8(number - 3)
            row += 1
        else:
            after = _skip(data, after, end, wire)
            if after < 0:
                return BAD_LENGTH, at, row
            at = after
    if row == start_row and keep_empty == 1:
        if row < chunk_at.size:
            encoding[row] = np.uint8(0)
            hashes[row] = np.uint64(0)
            chunk_at[row] = end
            chunk_size[row] = 0
            aggregate[row] = np.uint8(0)
        row += 1
    for i in range(start_row, min(row, chunk_at.size)):
        series[i] = owner
        first_ms[i] = first
        last_ms[i] = last
    return OK, at, row


@inline
def _scan_series(
    data, at, end, owner, row, used, rewrite, keep_empty, spans, order, scratch, labels,
    series, first_ms, last_ms, encoding, aggregate, hashes, chunk_at, chunk_size,
):  # fmt: skip
    """One Series message. Status, position, the chunk row after, the end of the label bytes."""
    name_at = np.int64(-1)
    name_size = np.int64(0)
    n_labels = 0
    while at < end:
        number, wire, after = _field(data, at, end)
        if after < 0:
            return BAD_TAG, at, row, used
        if number == 1 or number == 2:
            if wire != 2:
                return BAD_WIRE_TYPE, at, row, used
            start, stop = _span(data, after, end)
            if stop < 0:
                return BAD_LENGTH, at, row, used
            if number == 2:
                status, where, row = _scan_aggregate(
                    data, start, stop, owner, row, keep_empty,
                    series, first_ms, last_ms, encoding, aggregate, hashes, chunk_at, chunk_size,
                )  # fmt: skip
                if status != OK:
                    return status, where, row, used
            elif rewrite == 1:
                status, where, a, b, c, d = _loose_label(data, start, stop)
                if status != OK:
                    return status, where, row, used
                spans[4 * n_labels] = a
                spans[4 * n_labels + 1] = b
                spans[4 * n_labels + 2] = c
                spans[4 * n_labels + 3] = d
                n_labels += 1
            else:
                fine, name_at, name_size = canonical_label(data, start, stop, name_at, name_size)
                if not fine or after != at + 1 or start - after != uvarint_size(np.uint64(stop - start)):
                    return REWRITE, at, row, used
                for k in range(at, stop):
                    labels[used + k - at] = data[k]
                used += stop - at
            at = stop
        else:
            after = _skip(data, after, end, wire)
            if after < 0:
                return BAD_LENGTH, at, row, used
            at = after
    if rewrite == 1:
        _sort_labels(data, spans, order, scratch, n_labels)
        used = _write_labels(data, spans, order, n_labels, labels, used)
    return OK, at, row, used


@short_kernel(
    tup(i64, i64, i64, i64, i64)(
        RU8, i64, i64, i64, I64, I64, I64, U8, I64, I32, I64, I64, U8, U8, U64, I64, I64
    )
)  # fmt: skip
def scan_frame(
    data, joined, rewrite, keep_empty, spans, order, scratch, labels, offsets,
    series, first_ms, last_ms, encoding, aggregate, hashes, chunk_at, chunk_size,
):  # fmt: skip
    """Columns of all series in one response, or in several that were joined.

    joined = 0: the bytes are one response, which holds one result. rewrite = 0: label sets must be canonical, else
    the status is REWRITE. rewrite = 1: any label sets; spans: int64[4 n], order, scratch: int64[n] with room for the
    labels of one series (n = data.size // 2 suffices), labels: room for data.size * 3 bytes. keep_empty = 1: an
    AggrChunk without sub-chunks becomes a row of encoding 0. labels: uint8[*], at least data.size; offsets: int64[*];
    chunk columns as in ChunkTable. Returns status, position, number of series, of chunk rows, of label bytes; nothing
    is written beyond the arrays, and where they do not suffice the status is GROW and the numbers say what is needed.
    """
    end = data.size
    at = np.int64(0)
    n = np.int64(0)
    row = np.int64(0)
    used = np.int64(0)
    results = 0
    offsets[0] = 0
    while at < end:
        number, wire, after = _field(data, at, end)
        if after < 0:
            return BAD_TAG, at, n, row, used
        if number != 1 and number != 4:
            if number == 2 or number == 3:
                return NOT_SERIES, at, n, row, used
            after = _skip(data, after, end, wire)
            if after < 0:
                return BAD_LENGTH, at, n, row, used
            at = after
            continue
        if wire != 2:
            return BAD_WIRE_TYPE, at, n, row, used
        start, stop = _span(data, after, end)
        if stop < 0:
            return BAD_LENGTH, at, n, row, used
        results += 1
        if results > 1 and joined == 0:
            return TWO_RESULTS, at, n, row, used
        inner = start
        while inner < stop or number == 1:
            series_at, series_end = inner, stop
            if number == 4:
                inner_number, inner_wire, inner_after = _field(data, inner, stop)
                if inner_after < 0:
                    return BAD_TAG, inner, n, row, used
                if inner_number != 1:
                    inner = _skip(data, inner_after, stop, inner_wire)
                    if inner < 0:
                        return BAD_LENGTH, inner_after, n, row, used
                    continue
                if inner_wire != 2:
                    return BAD_WIRE_TYPE, inner, n, row, used
                series_at, series_end = _span(data, inner_after, stop)
                if series_end < 0:
                    return BAD_LENGTH, inner, n, row, used
            status, where, row, used = _scan_series(
                data, series_at, series_end, n, row, used, rewrite, keep_empty, spans, order, scratch, labels,
                series, first_ms, last_ms, encoding, aggregate, hashes, chunk_at, chunk_size,
            )  # fmt: skip
            if status != OK:
                return status, where, n, row, used
            n += 1
            if n < offsets.size:
                offsets[n] = used
            inner = series_end
            if number == 1:
                break
        at = stop
    if n >= offsets.size or row > chunk_at.size:
        return GROW, at, n, row, used
    return OK, at, n, row, used
