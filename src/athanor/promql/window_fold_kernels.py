# mypy: ignore-errors
"""Folds of a moving window: sums, averages, extremes, regressions; series, steps and windows as in ``window_kernels``.

What a window needs beyond its ends slides: the two-stack queue keeps aggregates of every suffix of the older half and
one running aggregate of the newer half, so nothing is ever subtracted and no precision is lost. Windows of fewer than
DIRECT samples, and any whose compensated sum overflowed, take the direct loop.

Values and rules: Prometheus 3.14 promql/functions.go; arithmetic in exactly its order where it is not commutative.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import F64, I64, RF64, RI64, F64x2, U8x2, i64, void
from athanor.promql.kahan_kernels import inc

DIRECT = 8


@inline
def _direct_sum(values, lo, hi):
    s, c = 0.0, 0.0
    for k in range(lo, hi):
        s, c = inc(values[k], s, c)
    return s, c


@inline
def _direct_average(values, lo, hi):
    """avg_over_time: a compensated sum while it stays finite, then an incremental mean."""
    s, c = values[lo], 0.0
    mean, incremental = 0.0, False
    for k in range(lo + 1, hi):
        count = np.float64(k - lo + 1)
        v = values[k]
        if not incremental:
            new_s, new_c = inc(v, s, c)
            if not np.isinf(new_s):
                s, c = new_s, new_c
                continue
            incremental = True
            mean = s / (count - 1.0)
            c = c / (count - 1.0)
        q = (count - 1.0) / count
        mean, c = inc(v / count, q * mean, q * c)
    count = np.float64(hi - lo)
    return mean + c if incremental else s / count + c / count


@kernel(void(RI64, RF64, RI64, i64, i64, i64, i64, i64, F64, F64, F64x2, U8x2))
def sums(ts, values, offsets, first, step, n, range_ms, is_average, suffix_s, suffix_c, out, kind):
    """sum_over_time (0) and avg_over_time (1). suffix_s, suffix_c: scratch as long as the longest series."""
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        lo = start
        hi = start
        middle = start
        front_s, front_c = 0.0, 0.0
        added = start
        b = first
        for j in range(n):
            a = b - range_ms
            while hi < end and ts[hi] <= b:
                hi += 1
            while lo < hi and ts[lo] <= a:
                lo += 1
            count = hi - lo
            if count == 0:
                out[i, j] = 0.0
                kind[i, j] = 0
                b += step
                continue
            kind[i, j] = 1
            if count < DIRECT:
                if is_average == 1:
                    out[i, j] = _direct_average(values, lo, hi)
                else:
                    s, c = _direct_sum(values, lo, hi)
                    out[i, j] = s if np.isinf(s) else s + c
                b += step
                continue
            if lo >= middle:
                # Flip: everything inside the window becomes the older half.
                middle = hi
                added = hi
                front_s, front_c = 0.0, 0.0
                s, c = 0.0, 0.0
                for k in range(hi - 1, lo - 1, -1):
                    s, c = inc(values[k], s, c)
                    suffix_s[k - start] = s
                    suffix_c[k - start] = c
            while added < hi:
                front_s, front_c = inc(values[added], front_s, front_c)
                added += 1
            s, c = inc(front_s, suffix_s[lo - start], suffix_c[lo - start] + front_c)
            if not np.isfinite(s):
                if is_average == 1:
                    out[i, j] = _direct_average(values, lo, hi)
                else:
                    s, c = _direct_sum(values, lo, hi)
                    out[i, j] = s if np.isinf(s) else s + c
            elif is_average == 1:
                out[i, j] = s / count + c / count
            else:
                out[i, j] = s + c
            b += step


@inline
def _better(older, newer, is_max):
    """Whether the newer value replaces the older extreme: strictly better, or the older is NaN."""
    if np.isnan(older):
        return True
    return newer > older if is_max == 1 else newer < older


@kernel(void(RI64, RF64, RI64, i64, i64, i64, i64, i64, F64, F64x2, U8x2))
def extremes(ts, values, offsets, first, step, n, range_ms, is_max, suffix, out, kind):
    """max_over_time (1) and min_over_time (0); NaN only where nothing else is in the window."""
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        lo = start
        hi = start
        middle = start
        added = start
        front = np.nan
        b = first
        for j in range(n):
            a = b - range_ms
            while hi < end and ts[hi] <= b:
                hi += 1
            while lo < hi and ts[lo] <= a:
                lo += 1
            if hi == lo:
                out[i, j] = 0.0
                kind[i, j] = 0
                b += step
                continue
            kind[i, j] = 1
            if lo >= middle:
                middle = hi
                added = hi
                front = np.nan
                best = values[hi - 1]
                suffix[hi - 1 - start] = best
                for k in range(hi - 2, lo - 1, -1):
                    v = values[k]
                    if not _better(v, best, is_max):
                        best = v
                    suffix[k - start] = best
            while added < hi:
                if added == middle or _better(front, values[added], is_max):
                    front = values[added]
                added += 1
            best = suffix[lo - start]
            if hi > middle and _better(best, front, is_max):
                best = front
            out[i, j] = best
            b += step


@kernel(void(RI64, RF64, RI64, i64, i64, i64, i64, i64, F64x2, U8x2))
def extreme_times(ts, values, offsets, first, step, n, range_ms, is_max, out, kind):
    """ts_of_max_over_time (1) and ts_of_min_over_time (0): the last extreme wins."""
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        lo = start
        hi = start
        b = first
        for j in range(n):
            a = b - range_ms
            while hi < end and ts[hi] <= b:
                hi += 1
            while lo < hi and ts[lo] <= a:
                lo += 1
            out[i, j] = 0.0
            kind[i, j] = 0
            if hi > lo:
                at = lo
                for k in range(lo + 1, hi):
                    best = values[at]
                    v = values[k]
                    if np.isnan(best) or (v >= best if is_max == 1 else v <= best):
                        at = k
                out[i, j] = ts[at] / 1000.0
                kind[i, j] = 1
            b += step


@inline
def _direct_regression(ts, values, lo, hi, reference):
    """Slope and intercept at a reference time; promql/functions.go linearRegression."""
    sx, sy, sxy, sxx = 0.0, 0.0, 0.0, 0.0
    cx, cy, cxy, cxx = 0.0, 0.0, 0.0, 0.0
    constant = True
    v0 = values[lo]
    for k in range(lo, hi):
        v = values[k]
        if constant and k > lo and v != v0:
            constant = False
        x = (ts[k] - reference) / 1000.0
        sx, cx = inc(x, sx, cx)
        sy, cy = inc(v, sy, cy)
        sxy, cxy = inc(x * v, sxy, cxy)
        sxx, cxx = inc(x * x, sxx, cxx)
    if constant:
        if np.isinf(v0):
            return np.nan, np.nan
        return 0.0, v0
    sx += cx
    sy += cy
    sxy += cxy
    sxx += cxx
    count = np.float64(hi - lo)
    covariance = sxy - sx * sy / count
    variance = sxx - sx * sx / count
    slope = covariance / variance
    return slope, sy / count - slope * sx / count


@kernel(void(RI64, RF64, RI64, i64, i64, i64, i64, i64, i64, i64, RF64, I64, F64, F64, F64, F64, F64x2, U8x2))
def regressions(
    ts, values, offsets, first, step, n, range_ms, evaluation_first, evaluation_step, is_prediction,
    seconds, run_start, s_y, s_yc, s_xy, s_xyc, out, kind,
):  # fmt: skip
    """deriv (0) and predict_linear (1; seconds: float64[n], how far to look ahead of evaluation_first + j *
    evaluation_step).

    Moments slide: x is integer milliseconds from the flip point, so its sums are exact, y is taken from the flip
    point's value, and the sums of y and x*y are compensated. Scratch arrays are as long as the longest series.
    """
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        for k in range(start, end):
            run_start[k - start] = run_start[k - 1 - start] if k > start and values[k] == values[k - 1] else k
        lo = start
        hi = start
        middle = start
        added = start
        origin = np.int64(0)
        pivot = 0.0
        f_y, f_yc, f_xy, f_xyc = 0.0, 0.0, 0.0, 0.0
        f_x, f_xx = np.int64(0), np.int64(0)
        w_x, w_xx = np.int64(0), np.int64(0)
        removed = start
        b = first
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
            kind[i, j] = 1
            reference = evaluation_first + j * evaluation_step if is_prediction == 1 else ts[lo]
            # Integer squares must not overflow: twice a range of 10^9 ms (11 days) over a million samples still fits.
            direct = count < DIRECT or range_ms > 1_000_000_000 or count > 1_000_000
            if not direct:
                if lo >= middle:
                    middle = hi
                    added = hi
                    origin = ts[hi - 1]
                    pivot = values[hi - 1]
                    f_y, f_yc, f_xy, f_xyc = 0.0, 0.0, 0.0, 0.0
                    f_x, f_xx = np.int64(0), np.int64(0)
                    y, yc, xy, xyc = 0.0, 0.0, 0.0, 0.0
                    for k in range(hi - 1, lo - 1, -1):
                        dy = values[k] - pivot
                        y, yc = inc(dy, y, yc)
                        xy, xyc = inc(np.float64(ts[k] - origin) * dy, xy, xyc)
                        s_y[k - start] = y
                        s_yc[k - start] = yc
                        s_xy[k - start] = xy
                        s_xyc[k - start] = xyc
                    w_x, w_xx = np.int64(0), np.int64(0)
                    for k in range(lo, hi):
                        x = ts[k] - origin
                        w_x += x
                        w_xx += x * x
                    removed = lo
                while added < hi:
                    x = ts[added] - origin
                    dy = values[added] - pivot
                    f_y, f_yc = inc(dy, f_y, f_yc)
                    f_xy, f_xyc = inc(np.float64(x) * dy, f_xy, f_xyc)
                    f_x += x
                    f_xx += x * x
                    added += 1
                while removed < lo:
                    # Integers: what is subtracted leaves no trace.
                    x = ts[removed] - origin
                    w_x -= x
                    w_xx -= x * x
                    removed += 1
                if run_start[hi - 1 - start] <= lo:
                    slope, level = (np.nan, np.nan) if np.isinf(values[lo]) else (0.0, values[lo])
                    out[i, j] = slope * seconds[j] + level if is_prediction == 1 else slope
                    b += step
                    continue
                y, yc = inc(f_y, s_y[lo - start], s_yc[lo - start] + f_yc)
                xy, xyc = inc(f_xy, s_xy[lo - start], s_xyc[lo - start] + f_xyc)
                sum_y = y + yc
                # Around the mean of x in whole numbers: variance = (n * sum(x^2) - sum(x)^2) / n, exact but for one
                # rounding.
                sum_x = np.float64(w_x + f_x)
                count_f = np.float64(count)
                mean_x = sum_x / count_f
                variance = np.float64(w_xx + f_xx) - sum_x * mean_x
                covariance = (xy - mean_x * y) + (xyc - mean_x * yc)
                slope_per_ms = covariance / variance
                slope = slope_per_ms * 1000.0
                if not (np.isfinite(slope) and np.isfinite(sum_y)):
                    direct = True
                elif is_prediction == 1:
                    ahead = np.float64(reference - origin) - mean_x
                    level = pivot + (sum_y / count_f + slope_per_ms * ahead)
                    out[i, j] = slope * seconds[j] + level
                else:
                    out[i, j] = slope
            if direct:
                slope, level = _direct_regression(ts, values, lo, hi, reference)
                out[i, j] = slope * seconds[j] + level if is_prediction == 1 else slope
            b += step


@kernel(void(RI64, RF64, RI64, i64, i64, i64, i64, RF64, RF64, F64x2, U8x2))
def smoothings(ts, values, offsets, first, step, n, range_ms, smoothing, trend, out, kind):
    """double_exponential_smoothing with a smoothing and a trend factor for each step."""
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        lo = start
        hi = start
        b = first
        for j in range(n):
            a = b - range_ms
            while hi < end and ts[hi] <= b:
                hi += 1
            while lo < hi and ts[lo] <= a:
                lo += 1
            out[i, j] = 0.0
            kind[i, j] = 0
            if hi - lo >= 2:
                sf = smoothing[j]
                tf = trend[j]
                s0, s1 = 0.0, values[lo]
                slope = values[lo + 1] - values[lo]
                for k in range(lo + 1, hi):
                    x = sf * values[k]
                    if k > lo + 1:
                        slope = tf * (s1 - s0) + (1.0 - tf) * slope
                    y = (1.0 - sf) * (s1 + slope)
                    s0 = s1
                    s1 = x + y
                out[i, j] = s1
                kind[i, j] = 1
            b += step
