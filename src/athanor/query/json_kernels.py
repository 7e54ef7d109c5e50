# mypy: ignore-errors
"""JSON of query results: label sets, series with their points, samples; written into a buffer that the caller sized.

Every element begins with a comma; whoever joins the pieces leaves the first one out. Label sets are written as
Prometheus' streaming encoder does: only quotes, backslashes and control characters are escaped. A time is a text of
its own, made once for all series, in a field of TIME_BYTES: ``[1700000000.5,"``.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline, inlined, kernel
from athanor.kernel.float_text_kernels import write_float, write_float_here, write_seconds
from athanor.kernel.types import I64, RF64, RI64, RU8, U8, RF64x2, RU8x2, b1, i64

TIME_BYTES = 24  # [-9223372036854775.808,"
VALUE_BYTES = 25 + 3  # the longest number, the quote, the bracket, a comma
SERIES_BYTES = 32  # ,{"metric":,"values":[]}
SLACK = 64

_QUOTE, _BACKSLASH, _COMMA, _COLON = 34, 92, 44, 58
_OPEN, _CLOSE, _OPEN_LIST, _CLOSE_LIST = 123, 125, 91, 93
METRIC = np.frombuffer(b',{"metric":', np.uint8)
_VALUES = np.frombuffer(b',"values":[', np.uint8)
_VALUE = np.frombuffer(b',"value":', np.uint8)
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


@inline
def _varint(data, at):
    """(value, position behind it) of a canonical table's length."""
    value = np.int64(data[at])
    at += 1
    if value < 128:
        return value, at
    value &= 127
    shift = 7
    while True:
        byte = np.int64(data[at])
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


@inline
def _string_size(data, at, size):
    total = size + 2
    for i in range(at, at + size):
        byte = data[i]
        if byte < 32:
            total += 1 if byte == 10 or byte == 13 or byte == 9 else 5
        elif byte == _QUOTE or byte == _BACKSLASH:
            total += 1
    return total


@inline
def _write_string(data, at, size, out, to):
    out[to] = _QUOTE
    to += 1
    for i in range(at, at + size):
        byte = data[i]
        if byte >= 32 and byte != _QUOTE and byte != _BACKSLASH:
            out[to] = byte
            to += 1
            continue
        out[to] = _BACKSLASH
        if byte == _QUOTE or byte == _BACKSLASH:
            out[to + 1] = byte
            to += 2
        elif byte == 10 or byte == 13 or byte == 9:
            out[to + 1] = 110 if byte == 10 else (114 if byte == 13 else 116)
            to += 2
        else:
            out[to + 1] = 117
            out[to + 2] = 48
            out[to + 3] = 48
            out[to + 4] = _HEX[byte >> 4]
            out[to + 5] = _HEX[byte & 15]
            to += 6
    out[to] = _QUOTE
    return to + 1


@inline
def write_labels(arena, at, end, out, to):
    """One label set as an object."""
    out[to] = _OPEN
    to += 1
    first = True
    while at < end:
        if not first:
            out[to] = _COMMA
            to += 1
        first = False
        _, at = _varint(arena, at + 1)
        size, at = _varint(arena, at + 1)
        to = _write_string(arena, at, size, out, to)
        out[to] = _COLON
        to += 1
        size, at = _varint(arena, at + size + 1)
        to = _write_string(arena, at, size, out, to)
        at += size
    out[to] = _CLOSE
    return to + 1


@inline
def write_text(text, out, to):
    for i in range(text.size):
        out[to + i] = text[i]
    return to + text.size


def _write_point(times, time_at, time_size, value, out, to):
    for i in range(TIME_BYTES):
        out[to + i] = times[time_at + i]
    to = write_float_here(out, to + time_size, value)
    out[to] = _QUOTE
    out[to + 1] = _CLOSE_LIST
    return to + 2


_write_first_point = inline(_write_point)
_write_next_point = inlined(_write_point)


@kernel(i64(RU8, RI64, I64))
def label_set_sizes(arena, offsets, sizes):
    """sizes[i]: bytes of set i as JSON. Returns their sum."""
    total = np.int64(0)
    for row in range(sizes.size):
        at, end = offsets[row], offsets[row + 1]
        size = np.int64(2)
        while at < end:
            _, at = _varint(arena, at + 1)
            length, at = _varint(arena, at + 1)
            size += _string_size(arena, at, length)
            length, at = _varint(arena, at + length + 1)
            size += _string_size(arena, at, length) + 2
            at += length
        sizes[row] = size
        total += size
    return total


@kernel(i64(RU8, RI64, i64, i64, U8))
def write_label_sets(arena, offsets, first, end, out):
    """The sets first..end-1, each after a comma. Returns the size."""
    to = np.int64(0)
    for row in range(first, end):
        out[to] = _COMMA
        to = write_labels(arena, offsets[row], offsets[row + 1], out, to + 1)
    return to


@kernel(i64(RI64, U8, I64))
def write_times(ts_ms, out, sizes):
    """``[SECONDS,"`` of each time in its field of TIME_BYTES; out has SLACK behind the last. Returns the longest."""
    longest = np.int64(0)
    for i in range(ts_ms.size):
        at = i * TIME_BYTES
        out[at] = _OPEN_LIST
        to = write_seconds(out, at + 1, ts_ms[i])
        out[to] = _COMMA
        out[to + 1] = _QUOTE
        sizes[i] = to + 2 - at
        longest = max(longest, sizes[i])
    return longest


@kernel(i64(RF64x2, RU8x2, RU8, RI64, RU8, RI64, b1, i64, i64, U8))
def write_rows(values, kind, arena, offsets, times, time_sizes, single, first, end, out):
    """The series first..end-1 with the points that are present; a series without any is left out.

    single: the one point of a vector instead of a list. Returns the size.
    """
    to = np.int64(0)
    n = values.shape[1]
    for row in range(first, end):
        step = 0
        while step < n and kind[row, step] == 0:
            step += 1
        if step == n:
            continue
        to = write_text(METRIC, out, to)
        to = write_labels(arena, offsets[row], offsets[row + 1], out, to)
        if single:
            to = write_text(_VALUE, out, to)
            to = _write_first_point(times, 0, time_sizes[0], values[row, step], out, to)
        else:
            to = write_text(_VALUES, out, to)
            to = _write_first_point(times, step * TIME_BYTES, time_sizes[step], values[row, step], out, to)
            for j in range(step + 1, n):
                if kind[row, j] != 0:
                    out[to] = _COMMA
                    to = _write_next_point(times, j * TIME_BYTES, time_sizes[j], values[row, j], out, to + 1)
            out[to] = _CLOSE_LIST
            to += 1
        out[to] = _CLOSE
        to += 1
    return to


@kernel(i64(RI64, RF64, RI64, RU8, RI64, i64, i64, i64, U8))
def write_samples(ts_ms, values, offsets, arena, label_offsets, row, first, end, out):
    """The samples first..end-1 of series that may begin before and end behind them; row: that of the first sample.

    offsets[i] is the first sample of series i. Series without samples are left out. Returns the size.
    """
    to = np.int64(0)
    for i in range(first, end):
        while offsets[row + 1] <= i:
            row += 1
        if i == offsets[row]:
            to = write_text(METRIC, out, to)
            to = write_labels(arena, label_offsets[row], label_offsets[row + 1], out, to)
            to = write_text(_VALUES, out, to)
        else:
            out[to] = _COMMA
            to += 1
        out[to] = _OPEN_LIST
        to = write_seconds(out, to + 1, ts_ms[i])
        out[to] = _COMMA
        out[to + 1] = _QUOTE
        to = write_float(out, to + 2, values[i])
        out[to] = _QUOTE
        out[to + 1] = _CLOSE_LIST
        to += 2
        if i + 1 == offsets[row + 1]:
            out[to] = _CLOSE_LIST
            out[to + 1] = _CLOSE
            to += 2
    return to
