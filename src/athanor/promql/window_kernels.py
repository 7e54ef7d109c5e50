# mypy: ignore-errors
"""Instant selectors, counters, and what needs no more than a window's ends: every step of every series in one call.

Series i owns ``ts[offsets[i]:offsets[i+1]]`` (ascending, ms, no stale markers). Step j ends at ``first + j * step``
and its window is left-open: ``(end - range, end]``. Windows only move forward, so two positions per series are
enough to find them. Counters add up the resets inside from a list of reset positions, in order, as Prometheus does.

Values and rules: Prometheus 3.14 promql/functions.go; arithmetic in exactly its order where it is not commutative.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline, kernel, short_kernel
from athanor.kernel.types import B1, F64, I64, RF64, RI64, F64x2, U8x2, f64, i64, void

SURE_FROM = 1e-280  # far from where products lose digits


@kernel(void(RI64, RF64, RI64, i64, i64, i64, i64, i64, F64x2, U8x2))
def latest(ts, values, offsets, first, step, n, lookback, as_time, out, kind):
    """Instant selector: the newest sample in (t - lookback, t]; a stale marker ends the series.

    as_time = 1 writes the sample's time in seconds instead of its value.
    """
    bits = values.view(np.uint64)
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        hi = start
        t = first
        for j in range(n):
            while hi < end and ts[hi] <= t:
                hi += 1
            if hi > start and ts[hi - 1] > t - lookback and bits[hi - 1] != np.uint64(0x7FF0000000000002):
                out[i, j] = ts[hi - 1] / 1000.0 if as_time == 1 else values[hi - 1]
                kind[i, j] = 1
            else:
                out[i, j] = 0.0
                kind[i, j] = 0
            t += step


@short_kernel(i64(RF64))
def count_stale(values):
    bits = values.view(np.uint64)
    n = np.int64(0)
    for i in range(bits.size):
        if bits[i] == np.uint64(0x7FF0000000000002):
            n += 1
    return n


@kernel(i64(RI64, RF64, RI64, I64, F64, I64))
def drop_stale(ts, values, offsets, out_ts, out_values, out_offsets):
    bits = values.view(np.uint64)
    n = np.int64(0)
    out_offsets[0] = 0
    for i in range(offsets.size - 1):
        for k in range(offsets[i], offsets[i + 1]):
            if bits[k] != np.uint64(0x7FF0000000000002):
                out_ts[n] = ts[k]
                out_values[n] = values[k]
                n += 1
        out_offsets[i + 1] = n
    return n


@inline
def _falls(values):
    """Whether a sample is not at least the one before it. Slices without a branch become vector code."""
    after = values[1:]
    before = values[: after.size]
    rises = True
    for k in range(after.size):
        rises &= after[k] >= before[k]
    return not rises


@inline
def _factor(sampled, d_start, d_end, mode, range_s):
    factor = 1.0
    if sampled != 0.0:
        factor = (sampled + d_start + d_end) / sampled
    if mode == 2:
        factor /= range_s
    return factor


@inline
def _is_after_zero(v0, r, sampled, d_start):
    """Whether sampled * (v0 / r) >= d_start beyond any doubt that rounding leaves; without the division."""
    reached = v0 * sampled
    return reached > SURE_FROM and reached > (d_start * r) * (1.0 + 1e-9)


@kernel(void(RI64, RF64, RI64, i64, i64, i64, i64, f64, i64, I64, F64x2, U8x2))
def extrapolated(ts, values, offsets, first, step, n, range_ms, range_s, mode, resets, out, kind):
    """rate (mode 2), increase (1), delta (0). resets: scratch for one series' reset positions.

    Divisions would take most of the time. Where samples come regularly, one window after the other has the same
    distances between its ends and its samples, and so the same factor; it is worked out once.
    """
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        n_resets = 0
        if mode > 0 and _falls(values[start:end]):
            for k in range(start + 1, end):
                if values[k] < values[k - 1]:
                    resets[n_resets] = k
                    n_resets += 1
        lo = start
        hi = start
        r_lo = 0
        b = first
        head, tail, counted = np.int64(-1), np.int64(-1), np.int64(-1)
        span = np.int64(-1)
        sampled, d_start, d_end, factor = 0.0, 0.0, 0.0, 0.0
        for j in range(n):
            a = b - range_ms
            while hi < end and ts[hi] <= b:
                hi += 1
            while lo < hi and ts[lo] <= a:
                lo += 1
            count = hi - lo
            if count < 2:
                out[i, j] = 0.0
                kind[i, j] = 0
                b += step
                continue
            v0 = values[lo]
            r = values[hi - 1] - v0
            while r_lo < n_resets and resets[r_lo] <= lo:
                r_lo += 1
            k = r_lo
            while k < n_resets and resets[k] < hi:
                r += values[resets[k] - 1]
                k += 1
            t_lo, t_hi = ts[lo], ts[hi - 1]
            if t_lo - a != head or b - t_hi != tail or t_hi - t_lo != span or count != counted:
                head, tail, span, counted = t_lo - a, b - t_hi, t_hi - t_lo, count
                d_start = head / 1000.0
                d_end = tail / 1000.0
                sampled = span / 1000.0
                average = sampled / (count - 1)
                threshold = average * 1.1
                if d_start >= threshold:
                    d_start = average / 2.0
                if d_end >= threshold:
                    d_end = average / 2.0
                factor = _factor(sampled, d_start, d_end, mode, range_s)
            own = factor
            if mode > 0 and r > 0.0 and v0 >= 0.0 and not _is_after_zero(v0, r, sampled, d_start):
                d_zero = sampled * (v0 / r)
                if d_zero < d_start:  # a NaN must not win
                    own = _factor(sampled, d_zero, d_end, mode, range_s)
            out[i, j] = r * own
            kind[i, j] = 1
            b += step


@kernel(void(RI64, RF64, RI64, i64, i64, i64, i64, i64, F64x2, U8x2))
def instant_change(ts, values, offsets, first, step, n, range_ms, is_rate, out, kind):
    """irate (is_rate 1) and idelta (0): the last two samples of the window."""
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        hi = start
        b = first
        for j in range(n):
            while hi < end and ts[hi] <= b:
                hi += 1
            out[i, j] = 0.0
            kind[i, j] = 0
            if hi - start >= 2 and ts[hi - 2] > b - range_ms and ts[hi - 1] != ts[hi - 2]:
                r = values[hi - 1] - values[hi - 2]
                if is_rate == 1:
                    if values[hi - 1] < values[hi - 2]:
                        r = values[hi - 1]
                    r /= (ts[hi - 1] - ts[hi - 2]) / 1000.0
                out[i, j] = r
                kind[i, j] = 1
            b += step


# What `pick` answers for a window that is not empty.
PICK_COUNT, PICK_PRESENT, PICK_FIRST, PICK_LAST, PICK_FIRST_TIME, PICK_LAST_TIME, PICK_CHANGES, PICK_RESETS = range(8)


@inline
def _is_event(before, after, what):
    if what == 7:
        return 1 if after < before else 0
    return 1 if after != before and not (np.isnan(after) and np.isnan(before)) else 0


@kernel(void(RI64, RF64, RI64, i64, i64, i64, i64, i64, F64x2, U8x2))
def pick(ts, values, offsets, first, step, n, range_ms, what, out, kind):
    """Functions that only need the window's ends, or a count of events between neighbours."""
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        lo = start
        hi = start
        events = np.int64(0)  # events at k are those between k - 1 and k, for lo < k < hi
        b = first
        for j in range(n):
            a = b - range_ms
            while hi < end and ts[hi] <= b:
                if what >= 6 and hi > lo:
                    events += _is_event(values[hi - 1], values[hi], what)
                hi += 1
            while lo < hi and ts[lo] <= a:
                if what >= 6 and lo + 1 < hi:
                    events -= _is_event(values[lo], values[lo + 1], what)
                lo += 1
            if hi == lo:
                out[i, j] = 0.0
                kind[i, j] = 0
            else:
                kind[i, j] = 1
                if what == 0:
                    out[i, j] = hi - lo
                elif what == 1:
                    out[i, j] = 1.0
                elif what == 2:
                    out[i, j] = values[lo]
                elif what == 3:
                    out[i, j] = values[hi - 1]
                elif what == 4:
                    out[i, j] = ts[lo] / 1000.0
                elif what == 5:
                    out[i, j] = max(ts[hi - 1], 0) / 1000.0
                else:
                    out[i, j] = events
            b += step


@kernel(void(RI64, RI64, i64, i64, i64, i64, B1))
def any_in_window(ts, offsets, first, step, n, range_ms, present):
    """Marks the steps in whose window any series has a sample (absent_over_time); ORs into ``present``."""
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        hi = start
        b = first
        for j in range(n):
            while hi < end and ts[hi] <= b:
                hi += 1
            if hi > start and ts[hi - 1] > b - range_ms:
                present[j] = True
            b += step
