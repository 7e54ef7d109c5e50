# mypy: ignore-errors
"""Functions of a moving window over float samples: every step of every series in one call.

Series i owns ``ts[offsets[i]:offsets[i+1]]`` (ascending, ms, no stale markers). Step j ends at ``first + j * step``
and its window is left-open: ``(end - range, end]``. Windows only move forward, so two positions per series are
enough to find them; what a window needs beyond its ends slides as well:

- counters add up the resets inside from a list of reset positions, in order, as Prometheus does;
- sums, moments and extremes use the two-stack queue: aggregates of every suffix of the older half, one running
  aggregate of the newer half; nothing is ever subtracted, so no precision is lost;
- windows of fewer than DIRECT samples, and any whose compensated sum overflowed, take the direct loop.

Values and rules: Prometheus 3.14 promql/functions.go; arithmetic in exactly its order where it is not commutative.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline, kernel, short_kernel
from athanor.kernel.types import B1, F64, I64, RF64, RI64, F64x2, U8x2, f64, i64, void

DIRECT = 8
SURE_FROM = 1e-280  # far from where products lose digits
NS_PER_MS = 1_000_000


@inline
def _inc(x, s, c):
    """Neumaier's compensated addition, as Prometheus' kahansum.Inc."""
    t = s + x
    if np.isinf(t):
        c = 0.0
    elif abs(s) >= abs(x):
        c += (s - t) + x
    else:
        c += (x - t) + s
    return t, c


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


@inline
def _direct_sum(values, lo, hi):
    s, c = 0.0, 0.0
    for k in range(lo, hi):
        s, c = _inc(values[k], s, c)
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
            new_s, new_c = _inc(v, s, c)
            if not np.isinf(new_s):
                s, c = new_s, new_c
                continue
            incremental = True
            mean = s / (count - 1.0)
            c = c / (count - 1.0)
        q = (count - 1.0) / count
        mean, c = _inc(v / count, q * mean, q * c)
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
                    s, c = _inc(values[k], s, c)
                    suffix_s[k - start] = s
                    suffix_c[k - start] = c
            while added < hi:
                front_s, front_c = _inc(values[added], front_s, front_c)
                added += 1
            s, c = _inc(front_s, suffix_s[lo - start], suffix_c[lo - start] + front_c)
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
        sx, cx = _inc(x, sx, cx)
        sy, cy = _inc(v, sy, cy)
        sxy, cxy = _inc(x * v, sxy, cxy)
        sxx, cxx = _inc(x * x, sxx, cxx)
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
                        y, yc = _inc(dy, y, yc)
                        xy, xyc = _inc(np.float64(ts[k] - origin) * dy, xy, xyc)
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
                    f_y, f_yc = _inc(dy, f_y, f_yc)
                    f_xy, f_xyc = _inc(np.float64(x) * dy, f_xy, f_xyc)
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
                y, yc = _inc(f_y, s_y[lo - start], s_yc[lo - start] + f_yc)
                xy, xyc = _inc(f_xy, s_xy[lo - start], s_xyc[lo - start] + f_xyc)
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


@inline
def _less(a, b):
    """Order of a quantile's values: NaN first."""
    return a < b or (np.isnan(a) and not np.isnan(b))


@inline
def _quantile_of_sorted(q, ordered, size):
    if size == 0 or np.isnan(q):
        return np.nan
    if q < 0.0:
        return -np.inf
    if q > 1.0:
        return np.inf
    rank = q * (size - 1)
    low = max(np.int64(0), np.int64(np.floor(rank)))
    high = min(np.int64(size - 1), low + 1)
    weight = rank - np.floor(rank)
    return ordered[low] * (1.0 - weight) + ordered[high] * weight


@inline
def _insert(ordered, size, v):
    low, high = 0, size
    while low < high:
        middle = (low + high) >> 1
        if _less(v, ordered[middle]):
            high = middle
        else:
            low = middle + 1
    for k in range(size, low, -1):
        ordered[k] = ordered[k - 1]
    ordered[low] = v
    return size + 1


@inline
def _remove(ordered, size, v):
    low, high = 0, size
    while low < high:
        middle = (low + high) >> 1
        if _less(ordered[middle], v):
            low = middle + 1
        else:
            high = middle
    for k in range(low, size - 1):
        ordered[k] = ordered[k + 1]
    return size - 1


@kernel(void(RI64, RF64, RI64, i64, i64, i64, i64, RF64, F64, F64x2, U8x2))
def quantiles(ts, values, offsets, first, step, n, range_ms, q, ordered, out, kind):
    """quantile_over_time over a window kept sorted. ordered: scratch as long as the longest series."""
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        lo = start
        hi = start
        size = 0
        b = first
        for j in range(n):
            a = b - range_ms
            while lo < hi and ts[lo] <= a:
                size = _remove(ordered, size, values[lo])
                lo += 1
            while hi < end and ts[hi] <= b:
                if ts[hi] > a:
                    size = _insert(ordered, size, values[hi])
                else:
                    lo = hi + 1
                hi += 1
            if size == 0:
                out[i, j] = 0.0
                kind[i, j] = 0
            else:
                out[i, j] = _quantile_of_sorted(q[j], ordered, size)
                kind[i, j] = 1
            b += step


@kernel(void(RI64, RF64, RI64, i64, i64, i64, i64, F64, F64, F64x2, U8x2))
def absolute_deviations(ts, values, offsets, first, step, n, range_ms, ordered, distances, out, kind):
    """mad_over_time: the median of distances from the median; NaN if any value is NaN."""
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        lo = start
        hi = start
        size = 0
        b = first
        for j in range(n):
            a = b - range_ms
            while lo < hi and ts[lo] <= a:
                size = _remove(ordered, size, values[lo])
                lo += 1
            while hi < end and ts[hi] <= b:
                if ts[hi] > a:
                    size = _insert(ordered, size, values[hi])
                else:
                    lo = hi + 1
                hi += 1
            out[i, j] = 0.0
            kind[i, j] = 0
            if size > 0:
                kind[i, j] = 1
                if np.isnan(ordered[0]):
                    out[i, j] = np.nan
                else:
                    median = _quantile_of_sorted(0.5, ordered, size)
                    # Distances fall towards the median and rise behind it: merge the two sides.
                    left = 0
                    while left < size and ordered[left] < median:
                        left += 1
                    right = left
                    left -= 1
                    for k in range(size):
                        if right >= size or (left >= 0 and median - ordered[left] <= ordered[right] - median):
                            distances[k] = abs(ordered[left] - median)
                            left -= 1
                        else:
                            distances[k] = abs(ordered[right] - median)
                            right += 1
                    out[i, j] = _quantile_of_sorted(0.5, distances, size)
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
