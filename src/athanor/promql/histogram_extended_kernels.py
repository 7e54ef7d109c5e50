# mypy: ignore-errors
"""`anchored` and `smoothed` selectors of native histograms: windows that know the samples around their ends.

Windows are those of `extended_kernels`, histograms those of `histogram_window_kernels`: `ts, rows, offsets` of each
series, results in a new table. Rules: Prometheus 3.14 promql/functions.go (extendedHistogramRate), engine.go
(smoothSeries).
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import I64, RI64, F64x2, RU8x2, U8x2, f64, i64
from athanor.promql.histogram_code_kernels import (
    ADDED,
    CUSTOM,
    GAUGE,
    HINT,
    MIXED,
    NOT_COUNTER,
    NOT_GAUGE,
    RECONCILED,
    SCHEMAS,
    SUBTRACTED,
    UNKNOWN,
)
from athanor.promql.histogram_math_kernels import add, detect_reset
from athanor.promql.histogram_mean_kernels import copy_work
from athanor.promql.histogram_work_kernels import BUILT, TABLE, compact, divide, emit, load, new_built, new_work, scale


@inline
def _between(t, before, t1, after, t2, at, is_counter, w, o):
    """w: on the line between two rows; returns flags, negative where they cannot be combined. o: scratch."""
    if at == t2:
        load(t, after, w)
        return np.int64(0)
    fraction = (at - t1) / (t2 - t1)
    if is_counter:
        load(t, after, w)
        load(t, before, o)
        if detect_reset(w, o):
            scale(w, fraction)
            return np.int64(0)
    flags = np.int64(0)
    load(t, after, w)
    load(t, before, o)
    told = add(w, o, -1.0, False)
    if told < 0:
        return told
    if told & RECONCILED:
        flags |= SUBTRACTED
    scale(w, fraction)
    load(t, before, o)
    told = add(w, o, 1.0, False)
    if told < 0:
        return told
    if told & RECONCILED:
        flags |= ADDED
    return flags


@inline
def _load_previous(t, row, left, w):
    """The row, or the left end where there is none yet."""
    if row < 0:
        copy_work(left, w)
    else:
        load(t, row, w)


@inline
def _correct(t, rows, left_at, right_at, skips, left, right, correction, o, p):
    """What resets between two ends took away: (whether there is any, flags). skips: the left end lies in a reset."""
    previous = np.int64(-1)
    first = left_at + 1
    if skips:
        previous = rows[left_at + 1]
        first += 1
    flags = np.int64(0)
    there = False
    if first > right_at:
        return there, flags
    for k in range(first, right_at + 1):
        _load_previous(t, previous, left, p)
        if k < right_at:
            load(t, rows[k], o)
        else:
            copy_work(right, o)
        if detect_reset(o, p):
            _load_previous(t, previous, left, p)
            if there:
                told = add(correction, p, 1.0, False)
                if told < 0:
                    return there, told
                if told & RECONCILED:
                    flags |= ADDED
            else:
                copy_work(p, correction)
                there = True
        previous = rows[min(k, right_at)]
    return there, flags


@kernel(BUILT(TABLE, RI64, RI64, RI64, RU8x2, i64, i64, i64, i64, i64, i64, f64, i64, i64, i64, i64, F64x2, U8x2, I64))
def differences(
    t, ts, rows, offsets, floats, first, step, n, range_ms, before, after, range_s, mode, smoothed, room, n_bounds,
    values, kind, flags,
):  # fmt: skip
    """rate (mode 2), increase (1), delta (0). floats: where the wider window has floats as well, which is no result."""
    left, right, result = new_work(room, n_bounds), new_work(room, n_bounds), new_work(room, n_bounds)
    o, p, correction = new_work(room, n_bounds), new_work(room, n_bounds), new_work(room, n_bounds)
    out = new_built(64, 1024)
    is_counter = mode > 0
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        lo, hi, inner, closing = start, start, start, start
        b = first - step
        for j in range(n):
            b += step
            a = b - range_ms
            while hi < end and ts[hi] <= b + after:
                hi += 1
            while lo < hi and ts[lo] <= a - before:
                lo += 1
            while inner < end and ts[inner] <= a:
                inner += 1
            while closing < end and ts[closing] < b:
                closing += 1
            if lo == hi:
                continue
            kind[i, j] = 0
            if floats[i, j] != 0:
                flags[i] |= MIXED
                continue
            left_at = max(lo, min(inner, hi - 1) - 1)
            right_at = max(min(closing, hi - 1), lo) if smoothed == 1 else hi - 1
            if ts[right_at] <= a or (smoothed == 1 and ts[left_at] > b):
                continue
            custom = t.schema[t.layout[rows[left_at]]] == CUSTOM
            there = True
            for k in range(left_at, right_at + 1):
                if (t.schema[t.layout[rows[k]]] == CUSTOM) != custom:
                    flags[i] |= SCHEMAS
                    there = False
                    break
                if is_counter and t.hint[rows[k]] == GAUGE:
                    flags[i] |= NOT_COUNTER
            if not there:
                continue
            skips = False
            load(t, rows[left_at], left)
            if smoothed == 1 and ts[left_at] < a:
                following = rows[left_at + 1]
                flags[i] |= _between(t, rows[left_at], ts[left_at], following, ts[left_at + 1], a, is_counter, left, o)
                load(t, following, o)
                load(t, rows[left_at], p)
                skips = is_counter and detect_reset(o, p)
            load(t, rows[right_at], right)
            if smoothed == 1 and right_at > lo and ts[right_at] > b:
                previous = rows[right_at - 1]
                told = _between(t, previous, ts[right_at - 1], rows[right_at], ts[right_at], b, is_counter, right, o)
                if told < 0:
                    flags[i] |= SCHEMAS
                    continue
                flags[i] |= told
            if not is_counter and (left.meta[HINT] != GAUGE or right.meta[HINT] != GAUGE):
                flags[i] |= NOT_GAUGE
            copy_work(right, result)
            copy_work(left, o)
            if add(result, o, -1.0, False) & RECONCILED:
                flags[i] |= SUBTRACTED
            if is_counter:
                has_correction, told = _correct(t, rows, left_at, right_at, skips, left, right, correction, o, p)
                if told < 0:
                    flags[i] |= SCHEMAS
                    continue
                flags[i] |= told
                if has_correction and add(result, correction, 1.0, False) & RECONCILED:
                    flags[i] |= ADDED
            if mode == 2:
                divide(result, range_s)
            result.meta[HINT] = GAUGE
            compact(result)
            values[i, j] = out.n[0]
            kind[i, j] = 2
            out = emit(out, result, False)
    return out


@kernel(BUILT(TABLE, RI64, RI64, RI64, RU8x2, i64, i64, i64, i64, i64, i64, F64x2, U8x2, I64))
def smoothed_values(
    t, ts, rows, offsets, floats, first, step, n, lookback, room, n_bounds, values, kind, flags
):  # fmt: skip
    """The histogram at each step, on the line between its neighbours, or the one before; floats: as above."""
    w, o = new_work(room, n_bounds), new_work(room, n_bounds)
    out = new_built(64, 1024)
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        lo, hi, closing = start, start, start
        at = first - step
        for j in range(n):
            at += step
            while hi < end and ts[hi] <= at + lookback:
                hi += 1
            while lo < hi and ts[lo] <= at - lookback:
                lo += 1
            while closing < end and ts[closing] < at:
                closing += 1
            if lo == hi:
                continue
            kind[i, j] = 0
            if floats[i, j] != 0:
                flags[i] |= MIXED
                continue
            k = max(closing, lo)
            if k < hi and ts[k] == at:
                load(t, rows[k], w)
            elif k == lo:
                continue
            elif k == hi:
                load(t, rows[k - 1], w)
                w.meta[HINT] = UNKNOWN
            else:
                is_counter = t.hint[rows[k - 1]] != GAUGE or t.hint[rows[k]] != GAUGE
                customs = t.schema[t.layout[rows[k - 1]]] == CUSTOM, t.schema[t.layout[rows[k]]] == CUSTOM
                if customs[0] != customs[1]:
                    flags[i] |= SCHEMAS
                    continue
                flags[i] |= _between(t, rows[k - 1], ts[k - 1], rows[k], ts[k], at, is_counter, w, o)
            values[i, j] = out.n[0]
            kind[i, j] = 2
            out = emit(out, w, False)
    return out
