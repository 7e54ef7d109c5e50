# mypy: ignore-errors
"""Range functions over native histograms, and over series that hold floats and histograms.

`ts, rows, offsets`: the histograms of each series, rows of a table. Windows are those of `window_kernels`. Kernels fill
cells only where the window has a histogram; results go to a new table, values[i, j] is the row in it.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import B1, I64, RB1, RF64, RI64, RU8, F64x2, I64x2, RU8x2, U8x2, f64, i64, void
from athanor.promql.histogram_code_kernels import (
    ADDED,
    AGGREGATED,
    COLLIDED,
    COUNT,
    CUSTOM,
    GAUGE,
    HINT,
    MIXED,
    NOT_COUNTER,
    NOT_GAUGE,
    NOT_RESET,
    RECONCILED,
    RESET,
    SCHEMAS,
    SUBTRACTED,
)
from athanor.promql.histogram_math_kernels import add, detect_reset, equal, reduce_to
from athanor.promql.histogram_mean_kernels import average_step
from athanor.promql.histogram_work_kernels import (
    BUILT,
    TABLE,
    add_compensations,
    compact,
    copy_shape,
    divide,
    emit,
    load,
    new_built,
    new_work,
    scale,
)
from athanor.promql.start_kernels import began_again


@kernel(void(TABLE, RI64, RI64, RI64, RI64, i64, i64, B1))
def mark_resets(t, ts, starts, rows, offsets, room, n_bounds, out):
    """out[k]: a counter started again between histograms k - 1 and k of a series."""
    cur, prev = new_work(room, n_bounds), new_work(room, n_bounds)
    for i in range(offsets.size - 1):
        for k in range(offsets[i], offsets[i + 1]):
            out[k] = False
            if k > offsets[i]:
                hint = t.hint[rows[k]]
                if hint == RESET or hint == NOT_RESET:
                    out[k] = hint == RESET
                else:
                    load(t, rows[k], cur)
                    load(t, rows[k - 1], prev)
                    out[k] = detect_reset(cur, prev)
                out[k] = out[k] or began_again(ts, starts, k)


@inline
def _difference(t, rows, resets, lo, hi, is_counter, w, o):
    """The change over a window of two or more; returns (whether there is one, flags)."""
    flags = np.int64(0)
    first, last = rows[lo], rows[hi - 1]
    custom = t.schema[t.layout[last]] == CUSTOM
    emptied = is_counter and resets[lo + 1]
    if is_counter:
        for k in range(lo, hi):
            if t.hint[rows[k]] == GAUGE:
                flags |= NOT_COUNTER
    schema = t.schema[t.layout[last]]
    for k in range(lo, hi - 1):
        if k > lo and not is_counter:
            continue
        s = t.schema[t.layout[rows[k + 1 if emptied and k == lo else k]]]
        if (s == CUSTOM) != custom:
            return False, flags | SCHEMAS
        schema = min(schema, s)
    load(t, last, w)
    if not custom:
        reduce_to(w, schema, False)
    if emptied:
        load(t, rows[lo + 1], w)
        copy_shape(w, o)
        load(t, last, w)
        if not custom:
            reduce_to(w, schema, False)
    else:
        load(t, first, o)
    told = add(w, o, -1.0, False)
    if told & RECONCILED:
        flags |= SUBTRACTED
    if is_counter:
        for k in range(lo + 1, hi):
            if resets[k] and k != lo + 1:
                load(t, rows[k - 1], o)
                if add(w, o, 1.0, False) & RECONCILED:
                    flags |= ADDED
    elif t.hint[first] != GAUGE or t.hint[last] != GAUGE:
        flags |= NOT_GAUGE
    w.meta[HINT] = GAUGE
    compact(w)
    return True, flags


@kernel(BUILT(TABLE, RI64, RI64, RI64, RI64, RB1, RU8x2, i64, i64, i64, i64, f64, i64, i64, i64, F64x2, U8x2, I64))
def rates(
    t,
    ts,
    starts,
    rows,
    offsets,
    resets,
    floats,
    first,
    step,
    n,
    range_ms,
    range_s,
    mode,
    room,
    n_bounds,
    values,
    kind,
    flags,
):
    """rate (mode 2), increase (1), delta (0). floats: where the window has floats as well, which is no result."""
    w, o = new_work(room, n_bounds), new_work(room, n_bounds)
    out = new_built(64, 1024)
    for i in range(offsets.size - 1):
        lo, hi = offsets[i], offsets[i]
        end = offsets[i + 1]
        b = first - step
        for j in range(n):
            b += step
            a = b - range_ms
            while hi < end and ts[hi] <= b:
                hi += 1
            while lo < hi and ts[lo] <= a:
                lo += 1
            count = hi - lo
            if count == 0:
                continue
            kind[i, j] = 0
            if floats[i, j] != 0:
                flags[i] |= MIXED
                continue
            began_inside = mode > 0 and starts[lo] != 0 and a < starts[lo] and starts[lo] < ts[lo]
            if count < 2:
                if not began_inside:
                    continue
                load(t, rows[lo], w)
                if w.meta[HINT] == GAUGE:
                    flags[i] |= NOT_COUNTER
                w.meta[HINT] = GAUGE
                compact(w)
            else:
                there, told = _difference(t, rows, resets, lo, hi, mode > 0, w, o)
                flags[i] |= told
                if not there:
                    continue
                if began_inside:
                    load(t, rows[lo], o)
                    add(w, o, 1.0, False)
                    w.meta[HINT] = GAUGE
            d_start = (ts[lo] - a) / 1000.0
            d_end = (b - ts[hi - 1]) / 1000.0
            sampled = (ts[hi - 1] - ts[lo]) / 1000.0
            average = sampled / (count - 1) if count > 1 else 0.0
            threshold = average * 1.1
            if began_inside:
                d_start = 0.0
                sampled = (ts[hi - 1] - starts[lo]) / 1000.0
            elif d_start >= threshold:
                d_start = average / 2.0
            if mode > 0 and not began_inside:
                d_zero = d_start
                before, change = t.count[rows[lo]], w.scalars[COUNT]
                if change > 0.0 and before >= 0.0:
                    d_zero = sampled * (before / change)
                if d_zero < d_start:
                    d_start = d_zero
            if d_end >= threshold:
                d_end = average / 2.0
            factor = 1.0
            if sampled != 0.0:
                factor = (sampled + d_start + d_end) / sampled
            if mode == 2:
                factor /= range_s
            scale(w, factor)
            values[i, j] = out.n[0]
            kind[i, j] = 2
            out = emit(out, w, False)
    return out


@kernel(BUILT(TABLE, RI64, RI64, RF64, RU8, RI64, i64, i64, i64, i64, i64, i64, i64, F64x2, U8x2, I64))
def instant_changes(
    t, ts, starts, samples, kinds, offsets, first, step, n, range_ms, is_rate, room, n_bounds, values, kind, flags
):
    """irate (is_rate 1) and idelta (0) of series that mix both kinds; samples: values or rows."""
    w, o = new_work(room, n_bounds), new_work(room, n_bounds)
    out = new_built(64, 1024)
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        hi = start
        b = first - step
        for j in range(n):
            b += step
            while hi < end and ts[hi] <= b:
                hi += 1
            values[i, j] = 0.0
            kind[i, j] = 0
            if hi - start < 2 or ts[hi - 2] <= b - range_ms:
                continue
            if kinds[hi - 1] != kinds[hi - 2]:
                flags[i] |= MIXED
                continue
            if ts[hi - 1] == ts[hi - 2]:
                continue
            seconds = (ts[hi - 1] - ts[hi - 2]) / 1000.0
            if kinds[hi - 1] == 1:
                r = samples[hi - 1] - samples[hi - 2]
                if is_rate == 1:
                    if samples[hi - 1] < samples[hi - 2] or began_again(ts, starts, hi - 1):
                        r = samples[hi - 1]
                    r /= seconds
                values[i, j] = r
                kind[i, j] = 1
                continue
            last, before = np.int64(samples[hi - 1]), np.int64(samples[hi - 2])
            gauges = (t.hint[last] == GAUGE, t.hint[before] == GAUGE)
            if is_rate == 1 and (gauges[0] or gauges[1]):
                flags[i] |= NOT_COUNTER
            if is_rate == 0 and not (gauges[0] and gauges[1]):
                flags[i] |= NOT_GAUGE
            subtracts = True
            if is_rate == 1:
                load(t, last, w)
                load(t, before, o)
                subtracts = not (detect_reset(w, o) or began_again(ts, starts, hi - 1))
            load(t, last, w)
            if subtracts:
                load(t, before, o)
                told = add(w, o, -1.0, False)
                if told < 0:
                    flags[i] |= SCHEMAS
                    continue
                if told & RECONCILED:
                    flags[i] |= SUBTRACTED
            w.meta[HINT] = GAUGE
            compact(w)
            if is_rate == 1:
                divide(w, seconds)
            values[i, j] = out.n[0]
            kind[i, j] = 2
            out = emit(out, w, False)
    return out


@kernel(void(TABLE, RI64, RI64, RF64, RU8, RI64, i64, i64, i64, I64))
def cumulate_events(t, ts, starts, samples, kinds, offsets, what, room, n_bounds, out):
    """out[k]: changes (what 6) or resets (7) up to sample k of series that mix both kinds; samples: values or rows."""
    w, o = new_work(room, n_bounds), new_work(room, n_bounds)
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        total = 0
        for k in range(start, end):
            if k == start:
                out[k] = 0
                continue
            if kinds[k] != kinds[k - 1]:
                total += 1
            elif kinds[k] == 1:
                x, y = samples[k - 1], samples[k]
                if what == 7:
                    total += 1 if y < x or began_again(ts, starts, k) else 0
                else:
                    total += 1 if x != y and not (np.isnan(x) and np.isnan(y)) else 0
            elif what == 7:
                load(t, np.int64(samples[k]), w)
                load(t, np.int64(samples[k - 1]), o)
                total += 1 if detect_reset(w, o) or began_again(ts, starts, k) else 0
            elif not equal(t, np.int64(samples[k]), t, np.int64(samples[k - 1])):
                total += 1
            out[k] = total


@kernel(BUILT(TABLE, RI64, RI64, RI64, RU8x2, i64, i64, i64, i64, i64, i64, i64, F64x2, U8x2, I64))
def sums(t, ts, rows, offsets, floats, first, step, n, range_ms, is_average, room, n_bounds, values, kind, flags):
    """sum_over_time (0) and avg_over_time (1)."""
    w, o, backup = new_work(room, n_bounds), new_work(room, n_bounds), new_work(room, n_bounds)
    out = new_built(64, 1024)
    for i in range(offsets.size - 1):
        lo, hi = offsets[i], offsets[i]
        end = offsets[i + 1]
        b = first - step
        for j in range(n):
            b += step
            while hi < end and ts[hi] <= b:
                hi += 1
            while lo < hi and ts[lo] <= b - range_ms:
                lo += 1
            if hi == lo:
                continue
            kind[i, j] = 0
            if floats[i, j] != 0:
                flags[i] |= MIXED
                continue
            load(t, rows[lo], w)
            seen = np.int64(1) << np.int64(t.hint[rows[lo]])
            incremental = False
            told = np.int64(0)
            for k in range(lo + 1, hi):
                load(t, rows[k], o)
                seen |= np.int64(1) << np.int64(t.hint[rows[k]])
                if is_average == 1:
                    told, incremental = average_step(w, o, backup, k - lo + 1.0, incremental)
                else:
                    told = add(w, o, 1.0, True)
                if told < 0:
                    break
                if told & RECONCILED:
                    flags[i] |= AGGREGATED
            if told < 0:
                flags[i] |= SCHEMAS
                continue
            if seen & (1 << RESET) and seen & (1 << NOT_RESET):
                flags[i] |= COLLIDED
            if is_average == 1 and not incremental:
                divide(w, np.float64(hi - lo))
            add_compensations(w)
            values[i, j] = out.n[0]
            kind[i, j] = 2
            out = emit(out, w, False)
    return out


@kernel(void(RI64, RF64, RI64, i64, i64, i64, i64, I64x2))
def latest_index(ts, marks, offsets, first, step, n, lookback, out):
    """The newest sample in (t - lookback, t] at each step, or -1; a stale marker among the marks ends the series."""
    bits = marks.view(np.uint64)
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        hi = start
        t = first
        for j in range(n):
            while hi < end and ts[hi] <= t:
                hi += 1
            found = hi > start and ts[hi - 1] > t - lookback and bits[hi - 1] != np.uint64(0x7FF0000000000002)
            out[i, j] = hi - 1 if found else -1
            t += step
