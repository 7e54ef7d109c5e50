# mypy: ignore-errors
"""What single native histograms tell: statistics, quantiles, fractions, trimmed copies, their buckets in order."""

from __future__ import annotations

import math

import numpy as np

from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import F64, I64, RF64, RI64, U8, i64, tup, void
from athanor.promql.histogram_code_kernels import (
    ALL_NAN,
    COUNT,
    CUSTOM,
    EXCLUDED,
    N_BOUNDS,
    N_NEG,
    N_POS,
    NO_NOTE,
    SCHEMA,
    SKEWED,
    STAT_AVG,
    STAT_COUNT,
    STAT_STDDEV,
    STAT_SUM,
    SUM,
    THRESHOLD,
    ZERO,
)
from athanor.promql.histogram_work_kernels import BUILT, TABLE, bound, compact, emit, load, new_built, new_work
from athanor.promql.kahan_kernels import inc


@inline
def log2(x):
    """Go's math.Log2: exact for powers of two."""
    fraction, exponent = math.frexp(x)
    if fraction == 0.5:
        return float(exponent - 1)
    return float(exponent) + math.log(fraction) * (1.0 / 0.693147180559945309417232121458176568)


@inline
def spread(w, low, high, count):
    """Bounds and counts of all buckets in ascending order, clipped by the zero bucket; how many there are."""
    n = np.int64(0)
    schema, threshold = w.meta[SCHEMA], w.scalars[THRESHOLD]
    if schema == CUSTOM:
        n_bounds = w.meta[N_BOUNDS]
        for k in range(w.meta[N_POS]):
            i = w.pos[k]
            low[n] = w.bounds[i - 1] if 0 < i <= n_bounds else -np.inf
            high[n] = w.bounds[i] if i < n_bounds else np.inf
            count[n] = w.pos_v[k]
            n += 1
        return n
    for e in range(w.meta[N_NEG]):
        k = w.meta[N_NEG] - 1 - e
        low[n] = -bound(w.neg[k], schema)
        high[n] = min(-bound(w.neg[k] - 1, schema), -threshold)
        count[n] = w.neg_v[k]
        n += 1
    if w.scalars[ZERO] > 0.0:
        low[n] = -threshold
        high[n] = threshold
        count[n] = w.scalars[ZERO]
        n += 1
    for k in range(w.meta[N_POS]):
        low[n] = max(bound(w.pos[k] - 1, schema), threshold)
        high[n] = bound(w.pos[k], schema)
        count[n] = w.pos_v[k]
        n += 1
    return n


@inline
def _scratch(room):
    return np.empty(2 * room + 1), np.empty(2 * room + 1), np.empty(2 * room + 1)


@inline
def _variance(w, n, low, high, count):
    mean = w.scalars[SUM] / w.scalars[COUNT]
    s, c = 0.0, 0.0
    for k in range(n):
        if count[k] == 0.0:
            continue
        if w.meta[SCHEMA] == CUSTOM:
            value = (high[k] + low[k]) / 2.0
        elif low[k] <= 0.0 and high[k] >= 0.0:
            value = 0.0
        else:
            value = math.sqrt(high[k] * low[k])
            if high[k] < 0.0:
                value = -value
        d = value - mean
        s, c = inc(count[k] * d * d, s, c)
    return (s + c) / w.scalars[COUNT]


@kernel(void(TABLE, RI64, i64, i64, i64, F64))
def statistics(t, rows, what, room, n_bounds, out):
    """One number (STAT_*) of each row."""
    w = new_work(room, n_bounds)
    low, high, count = _scratch(room)
    for p in range(rows.size):
        row = rows[p]
        if what == STAT_COUNT:
            out[p] = t.count[row]
        elif what == STAT_SUM:
            out[p] = t.sum[row]
        elif what == STAT_AVG:
            out[p] = t.sum[row] / t.count[row]
        else:
            load(t, row, w)
            variance = _variance(w, spread(w, low, high, count), low, high, count)
            out[p] = math.sqrt(variance) if what == STAT_STDDEV else variance


@inline
def _quantile(w, q, n, low, high, count):
    """The value and a note."""
    total, nan_sum = w.scalars[COUNT], math.isnan(w.scalars[SUM])
    if q < 0.0:
        return -math.inf, NO_NOTE
    if q > 1.0:
        return math.inf, NO_NOTE
    if total == 0.0 or math.isnan(q):
        return math.nan, NO_NOTE
    ascending = nan_sum or q < 0.5
    rank = q * total if ascending else (1.0 - q) * total
    found = 0.0
    at = np.int64(-1)
    last = np.int64(-1)
    for e in range(n):
        at = e if ascending else n - 1 - e
        last = np.int64(e)
        if count[at] == 0.0:
            continue
        found += count[at]
        if found >= rank:
            break
    lower, upper, here = 0.0, 0.0, 0.0
    if at >= 0:
        lower, upper, here = low[at], high[at], count[at]
    custom = w.meta[SCHEMA] == CUSTOM
    if custom:
        if lower == -math.inf:
            if upper <= 0.0:
                return upper, NO_NOTE
            lower = 0.0
        elif upper == math.inf:
            return lower, NO_NOTE
    elif lower < 0.0 < upper:
        if w.meta[N_NEG] == 0 and w.meta[N_POS] > 0:
            lower = 0.0
        elif w.meta[N_POS] == 0 and w.meta[N_NEG] > 0:
            upper = 0.0
    found = min(found, total)
    if found < rank:
        if nan_sum:
            return math.nan, ALL_NAN
        return upper, NO_NOTE
    rank = rank - (found - here) if ascending else found - rank
    note = NO_NOTE
    if nan_sum:
        for e in range(last + 1, n):
            at = e if ascending else n - 1 - e
            lower, upper, here = low[at], high[at], count[at]
            found += here
        if found < total:
            note = SKEWED
    share = rank / here
    if custom or (lower <= 0.0 and upper >= 0.0):
        return lower + (upper - lower) * share, note
    log_lower, log_upper = log2(abs(lower)), log2(abs(upper))
    if lower > 0.0:
        return 2.0 ** (log_lower + (log_upper - log_lower) * share), note
    return -(2.0 ** (log_upper + (log_lower - log_upper) * (1.0 - share))), note


@kernel(void(TABLE, RI64, RF64, i64, i64, F64, U8))
def quantiles(t, rows, q, room, n_bounds, out, notes):
    """The q[p]-quantile of row p."""
    w = new_work(room, n_bounds)
    low, high, count = _scratch(room)
    for p in range(rows.size):
        load(t, rows[p], w)
        value, note = _quantile(w, q[p], spread(w, low, high, count), low, high, count)
        out[p] = value
        notes[p] = note


@inline
def _below(x, lower, upper, linear):
    """The part of a bucket's observations below x."""
    if linear:
        return (x - lower) / (upper - lower)
    if lower > 0.0:
        return (log2(x) - log2(lower)) / (log2(upper) - log2(lower))
    return 1.0 - (log2(-x) - log2(-upper)) / (log2(-lower) - log2(-upper))


@inline
def _fraction(w, limits, n, low, high, count):
    total = w.scalars[COUNT]
    if total == 0.0 or math.isnan(limits[0]) or math.isnan(limits[1]):
        return math.nan, NO_NOTE
    if limits[0] >= limits[1]:
        return 0.0, NO_NOTE
    custom = w.meta[SCHEMA] == CUSTOM
    rank = 0.0
    ranks = np.zeros(2, np.float64)
    done = np.zeros(2, np.uint8)
    for e in range(n):
        lower, upper = low[e], high[e]
        zero = lower <= 0.0 and upper >= 0.0
        if zero:
            if w.meta[N_NEG] == 0 and w.meta[N_POS] > 0:
                lower = 0.0
            elif w.meta[N_POS] == 0 and w.meta[N_NEG] > 0:
                upper = 0.0
        for k in range(2):
            x = limits[k]
            if done[k] == 0 and lower >= x:
                ranks[k] = rank
                done[k] = 1
            elif done[k] == 0 and lower < x < upper:
                linear = custom or zero
                share = 1.0 if linear and lower == -math.inf else _below(x, lower, upper, linear)
                ranks[k] = rank + count[e] * share
                done[k] = 1
        if done[0] == 1 and done[1] == 1:
            break
        rank += count[e]
    note = NO_NOTE
    inside = total
    if math.isnan(w.scalars[SUM]):
        inside = 0.0
        for e in range(n):
            inside += count[e]
        if inside < total:
            note = EXCLUDED
        else:
            inside = total
    for k in range(2):
        if done[k] == 0 or ranks[k] > inside:
            ranks[k] = inside
    return (ranks[1] - ranks[0]) / total, note


@kernel(void(TABLE, RI64, RF64, RF64, i64, i64, F64, U8))
def fractions(t, rows, lower, upper, room, n_bounds, out, notes):
    """The part of row p's observations between lower[p] and upper[p]."""
    w = new_work(room, n_bounds)
    low, high, count = _scratch(room)
    limits = np.empty(2, np.float64)
    for p in range(rows.size):
        load(t, rows[p], w)
        limits[0] = lower[p]
        limits[1] = upper[p]
        value, note = _fraction(w, limits, spread(w, low, high, count), low, high, count)
        out[p] = value
        notes[p] = note


@inline
def _midpoint(lower, upper, linear):
    if lower == -math.inf:
        if upper == math.inf:
            return 0.0
        return upper / 2.0 if upper > 0.0 else upper
    if upper == math.inf:
        return lower
    if linear:
        return (lower + upper) / 2.0
    middle = math.sqrt(abs(lower * upper))
    return -middle if upper <= 0.0 and lower < 0.0 else middle


@inline
def _trimmed(lower, upper, count, x, keeps_below, linear):
    """What is left of a bucket: its count and the midpoint of the part."""
    if upper <= x if keeps_below else lower >= x:
        return count, _midpoint(lower, upper, linear)
    if not (lower < x if keeps_below else upper > x):
        return 0.0, 0.0
    if lower == -math.inf:
        if keeps_below:
            if upper <= 0.0:
                return count, x
            if x > 0.0 and upper < math.inf:
                return count * x / upper, x / 2.0
            return 0.0, 0.0
        if x >= 0.0 and x < upper < math.inf:
            return count * (1.0 - x / upper), (x + upper) / 2.0
        return 0.0, 0.0
    if upper == math.inf:
        if not keeps_below and x >= lower:
            return count, x
        return 0.0, 0.0
    if not lower < x < upper:
        return 0.0, 0.0
    share = _below(x, lower, upper, linear)
    if keeps_below:
        return count * share, _midpoint(lower, x, linear)
    return count * (1.0 - share), _midpoint(x, upper, linear)


@inline
def _trim(w, x, keeps_below):
    schema, custom = w.meta[SCHEMA], w.meta[SCHEMA] == CUSTOM
    total, weighted = 0.0, 0.0
    changed = False
    for side in range(2):
        values = w.pos_v if side == 0 else w.neg_v
        index = w.pos if side == 0 else w.neg
        for k in range(w.meta[N_POS] if side == 0 else w.meta[N_NEG]):
            before = values[k]
            if before == 0.0:
                continue
            i = index[k]
            if custom:
                lower = w.bounds[i - 1] if 0 < i <= w.meta[N_BOUNDS] else -np.inf
                upper = w.bounds[i] if i < w.meta[N_BOUNDS] else np.inf
            elif side == 0:
                lower, upper = bound(i - 1, schema), bound(i, schema)
            else:
                lower, upper = -bound(i, schema), -bound(i - 1, schema)
            kept, middle = _trimmed(lower, upper, before, x, keeps_below, custom)
            values[k] = kept
            total += kept
            if kept != 0.0:
                weighted += middle * kept
            changed = changed or kept != before
    before = w.scalars[ZERO]
    if before != 0.0:
        upper = w.scalars[THRESHOLD]
        lower = -upper
        if w.meta[N_NEG] == 0 and w.meta[N_POS] > 0:
            lower = 0.0
        elif w.meta[N_POS] == 0 and w.meta[N_NEG] > 0:
            upper = 0.0
        kept, middle = before, (lower + upper) / 2.0
        if not (upper <= x if keeps_below else lower >= x):
            if lower >= x if keeps_below else upper <= x:
                kept, middle = 0.0, 0.0
            elif keeps_below:
                kept, middle = before * ((x - lower) / (upper - lower)), (lower + x) / 2.0
            else:
                kept, middle = before * (1.0 - (x - lower) / (upper - lower)), (x + upper) / 2.0
        w.scalars[ZERO] = kept
        total += kept
        if kept != 0.0:
            weighted += middle * kept
        changed = changed or kept != before
    if changed:
        w.scalars[COUNT] = total
        w.scalars[SUM] = weighted
        compact(w)


@kernel(BUILT(TABLE, RI64, RF64, i64, i64, i64))
def trims(t, rows, limits, keeps_below, room, n_bounds):
    """Row p without the observations above (keeps_below 1) or below limits[p]."""
    w = new_work(room, n_bounds)
    b = new_built(rows.size, rows.size * 8)
    for p in range(rows.size):
        load(t, rows[p], w)
        _trim(w, limits[p], keeps_below == 1)
        b = emit(b, w, False)
    return b


@kernel(tup(I64, F64, F64, F64, I64)(TABLE, RI64, i64, i64))
def bucket_lists(t, rows, room, n_bounds):
    """(at int64[n+1], lower, upper, count, inclusion) of the populated buckets of each row, ascending.

    inclusion: 0 (a, b], 1 [a, b), 2 (a, b), 3 [a, b].
    """
    w = new_work(room, n_bounds)
    low, high, count = _scratch(room)
    at = np.zeros(rows.size + 1, np.int64)
    total = np.int64(0)
    for p in range(rows.size):
        layout = t.layout[rows[p]]
        total += t.pos_at[layout + 1] - t.pos_at[layout] + 1
    lows, highs, counts = np.empty(total), np.empty(total), np.empty(total)
    codes = np.empty(total, np.int64)
    m = np.int64(0)
    for p in range(rows.size):
        load(t, rows[p], w)
        n = spread(w, low, high, count)
        for k in range(n):
            if count[k] == 0.0:
                continue
            lows[m] = low[k]
            highs[m] = high[k]
            counts[m] = count[k]
            if w.meta[SCHEMA] == CUSTOM:
                codes[m] = 3 if low[k] == -np.inf else 0
            elif k < w.meta[N_NEG]:
                codes[m] = 1
            elif k == w.meta[N_NEG] and w.scalars[ZERO] > 0.0:
                codes[m] = 3
            else:
                codes[m] = 0
            m += 1
        at[p + 1] = m
    return at, lows[:m].copy(), highs[:m].copy(), counts[:m].copy(), codes[:m].copy()
