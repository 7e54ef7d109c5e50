# mypy: ignore-errors
"""JSON of series that hold native histograms, as Prometheus' encoder writes them (util/jsonutil, web/api/v1).

``"histograms":[[SECONDS,{"count":"4","sum":"5","buckets":[[0,"1","2","4"]]}]]``: buckets only where there are any.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline, kernel
from athanor.kernel.float_text_kernels import write_float, write_seconds
from athanor.kernel.types import RF64, RI64, RU8, U8, b1, i64
from athanor.query.json_kernels import METRIC, write_labels, write_text

HISTOGRAM_BYTES = 24 + 64 + 2 * 28  # time, keys, count and sum
BUCKET_BYTES = 12 + 3 * 28

_VALUE = np.frombuffer(b',"value":', np.uint8)
_VALUES = np.frombuffer(b',"values":[', np.uint8)
_HISTOGRAM = np.frombuffer(b',"histogram":', np.uint8)
_HISTOGRAMS = np.frombuffer(b',"histograms":[', np.uint8)
_COUNT = np.frombuffer(b'{"count":"', np.uint8)
_SUM = np.frombuffer(b'","sum":"', np.uint8)
_BUCKETS = np.frombuffer(b',"buckets":[', np.uint8)
_QUOTE, _COMMA = 34, 44
_CLOSE, _OPEN_LIST, _CLOSE_LIST = 125, 91, 93


@inline
def _write_quoted(out, to, value):
    out[to] = _QUOTE
    to = write_float(out, to + 1, value)
    out[to] = _QUOTE
    return to + 1


@inline
def _write_time(out, to, ts_ms):
    out[to] = _OPEN_LIST
    to = write_seconds(out, to + 1, ts_ms)
    out[to] = _COMMA
    return to + 1


@inline
def _write_histogram(count, total, first, end, lower, upper, counts, codes, out, to):
    to = write_float(out, write_text(_COUNT, out, to), count)
    to = write_float(out, write_text(_SUM, out, to), total)
    out[to] = _QUOTE
    to += 1
    if first < end:
        to = write_text(_BUCKETS, out, to)
        for k in range(first, end):
            if k > first:
                out[to] = _COMMA
                to += 1
            out[to] = _OPEN_LIST
            out[to + 1] = 48 + codes[k]
            out[to + 2] = _COMMA
            to = _write_quoted(out, to + 3, lower[k])
            out[to] = _COMMA
            to = _write_quoted(out, to + 1, upper[k])
            out[to] = _COMMA
            to = _write_quoted(out, to + 1, counts[k])
            out[to] = _CLOSE_LIST
            to += 1
        out[to] = _CLOSE_LIST
        to += 1
    out[to] = _CLOSE
    return to + 1


@kernel(
    i64(
        RU8, RI64, RI64, RF64, RI64, RI64, RF64, RF64, RI64, RI64, RF64, RF64, RF64, RI64, b1, i64, i64, U8
    )
)  # fmt: skip
def write_series(
    arena, label_offsets, float_ts, float_values, float_at, native_ts, native_count, native_sum, native_at,
    bucket_at, lower, upper, counts, codes, single, first, end, out,
):  # fmt: skip
    """The series first..end-1, floats before histograms; series without either are left out. Returns the size.

    float_at, native_at: where each series' points begin; bucket_at: where each histogram's buckets begin.
    """
    to = np.int64(0)
    for row in range(first, end):
        f, f_end, h, h_end = float_at[row], float_at[row + 1], native_at[row], native_at[row + 1]
        if f == f_end and h == h_end:
            continue
        to = write_text(METRIC, out, to)
        to = write_labels(arena, label_offsets[row], label_offsets[row + 1], out, to)
        if f < f_end:
            to = write_text(_VALUE if single else _VALUES, out, to)
            for i in range(f, f_end):
                if i > f:
                    out[to] = _COMMA
                    to += 1
                to = _write_time(out, to, float_ts[i])
                to = _write_quoted(out, to, float_values[i])
                out[to] = _CLOSE_LIST
                to += 1
            if not single:
                out[to] = _CLOSE_LIST
                to += 1
        if h < h_end:
            to = write_text(_HISTOGRAM if single else _HISTOGRAMS, out, to)
            for i in range(h, h_end):
                if i > h:
                    out[to] = _COMMA
                    to += 1
                to = _write_time(out, to, native_ts[i])
                to = _write_histogram(
                    native_count[i], native_sum[i], bucket_at[i], bucket_at[i + 1], lower, upper, counts, codes, out, to
                )
                out[to] = _CLOSE_LIST
                to += 1
            if not single:
                out[to] = _CLOSE_LIST
                to += 1
        out[to] = _CLOSE
        to += 1
    return to
