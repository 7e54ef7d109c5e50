# mypy: ignore-errors
"""Functions over counters whose samples carry the time at which counting began (0: unknown).

Series i owns ``ts[offsets[i]:offsets[i+1]]`` (ascending, ms, no stale markers) and the start times beside it; step j
ends at ``first + j * step`` and its window is ``(end - range, end]``. Arithmetic in the order of Prometheus 3.14.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import I64, RF64, RI64, F64x2, U8x2, f64, i64, void


@inline
def began_again(ts, starts, k):
    """Whether the counter began after sample k - 1 (or right at it, when that one tells when it began itself)."""
    now, before = starts[k], starts[k - 1]
    if now == 0 or now >= ts[k]:
        return False
    if now > ts[k - 1]:
        return True
    return now == ts[k - 1] and before < ts[k - 1] and before != 0


@inline
def _is_reset(ts, values, starts, k):
    return values[k] < values[k - 1] or began_again(ts, starts, k)


@kernel(void(RI64, RF64, RI64, RI64, i64, i64, i64, i64, f64, i64, I64, F64x2, U8x2))
def extrapolated(ts, values, starts, offsets, first, step, n, range_ms, range_s, is_rate, resets, out, kind):
    """rate and increase. resets: scratch for one series' reset positions."""
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        n_resets = 0
        for k in range(start + 1, end):
            if _is_reset(ts, values, starts, k):
                resets[n_resets] = k
                n_resets += 1
        lo, hi, r_lo = start, start, 0
        b = first
        for j in range(n):
            a = b - range_ms
            while hi < end and ts[hi] <= b:
                hi += 1
            while lo < hi and ts[lo] <= a:
                lo += 1
            out[i, j] = 0.0
            kind[i, j] = 0
            b += step
            count = hi - lo
            if count == 0:
                continue
            began_inside = starts[lo] != 0 and a < starts[lo] and starts[lo] < ts[lo]
            if count == 1 and not began_inside:
                continue
            v0 = values[lo]
            r = values[hi - 1] - v0
            while r_lo < n_resets and resets[r_lo] <= lo:
                r_lo += 1
            k = r_lo
            while k < n_resets and resets[k] < hi:
                r += values[resets[k] - 1]
                k += 1
            d_start = (ts[lo] - a) / 1000.0
            d_end = (b - step - ts[hi - 1]) / 1000.0
            sampled = (ts[hi - 1] - ts[lo]) / 1000.0
            average = sampled / (count - 1) if count > 1 else 0.0
            threshold = average * 1.1
            if began_inside:
                d_start = 0.0
                sampled = (ts[hi - 1] - starts[lo]) / 1000.0
                r += v0
            else:
                if d_start >= threshold:
                    d_start = average / 2.0
                d_zero = d_start
                if r > 0.0 and v0 >= 0.0:
                    d_zero = sampled * (v0 / r)
                if d_zero < d_start:
                    d_start = d_zero
            if d_end >= threshold:
                d_end = average / 2.0
            factor = 1.0
            if sampled != 0.0:
                factor = (sampled + d_start + d_end) / sampled
            if is_rate == 1:
                factor /= range_s
            out[i, j] = r * factor
            kind[i, j] = 1


@kernel(void(RI64, RF64, RI64, RI64, i64, i64, i64, i64, F64x2, U8x2))
def instant_rates(ts, values, starts, offsets, first, step, n, range_ms, out, kind):
    """irate."""
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
                r = values[hi - 1]
                if not _is_reset(ts, values, starts, hi - 1):
                    r -= values[hi - 2]
                out[i, j] = r / ((ts[hi - 1] - ts[hi - 2]) / 1000.0)
                kind[i, j] = 1
            b += step


@kernel(void(RI64, RI64, i64, i64, i64, i64, RI64, F64x2, U8x2))
def resets(ts, offsets, first, step, n, range_ms, events, out, kind):
    """resets; events[k] of them lie at or before sample k of its series."""
    for i in range(offsets.size - 1):
        lo, hi, end = offsets[i], offsets[i], offsets[i + 1]
        b = first
        for j in range(n):
            while hi < end and ts[hi] <= b:
                hi += 1
            while lo < hi and ts[lo] <= b - range_ms:
                lo += 1
            out[i, j] = events[hi - 1] - events[lo] if lo < hi else 0.0
            kind[i, j] = 1 if lo < hi else 0
            b += step


@kernel(void(RI64, RF64, RI64, RI64, I64))
def cumulate_resets(ts, values, starts, offsets, events):
    """events[k]: resets of the series up to sample k."""
    for i in range(offsets.size - 1):
        total = 0
        for k in range(offsets[i], offsets[i + 1]):
            if k > offsets[i] and _is_reset(ts, values, starts, k):
                total += 1
            events[k] = total


@kernel(void(RI64, RI64, RI64, i64, i64, i64, i64, I64))
def count_overlaps(ts, starts, offsets, first, step, n, range_ms, counts):
    """counts[i]: windows of series i in which a sample says that it began before its predecessor, which disagrees."""
    for i in range(offsets.size - 1):
        lo, hi, end = offsets[i], offsets[i], offsets[i + 1]
        newest = lo  # the newest such sample before hi, or lo: none that counts
        counts[i] = 0
        b = first
        for _ in range(n):
            while hi < end and ts[hi] <= b:
                if hi > offsets[i]:
                    now = starts[hi]
                    if now != 0 and now < ts[hi - 1] and now != starts[hi - 1]:
                        newest = hi
                hi += 1
            while lo < hi and ts[lo] <= b - range_ms:
                lo += 1
            if newest > lo:
                counts[i] += 1
            b += step


@kernel(void(RI64, RF64, RI64, RI64, i64, i64, i64, i64, F64x2, U8x2))
def latest_starts(ts, values, starts, offsets, first, step, n, lookback, out, kind):
    """Start times in seconds of the samples that an instant selector finds."""
    bits = values.view(np.uint64)
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        hi = start
        t = first
        for j in range(n):
            while hi < end and ts[hi] <= t:
                hi += 1
            out[i, j] = 0.0
            kind[i, j] = 0
            if hi > start and ts[hi - 1] > t - lookback and bits[hi - 1] != np.uint64(0x7FF0000000000002):
                out[i, j] = starts[hi - 1] / 1000.0
                kind[i, j] = 1
            t += step
