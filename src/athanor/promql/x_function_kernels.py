# mypy: ignore-errors
"""xrate, xincrease and xdelta of Thanos' engine: windows with the sample before them, never extrapolated past data.

Series i owns ``ts[offsets[i]:offsets[i+1]]`` (ascending, ms, no stale markers); step j ends at b = first + j * step and
its window is (b - range, b]. compat: which samples a window has follows how the original reads ahead: it holds one
sample back between steps and loses it where the next window begins after it.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import I64, RF64, RI64, F64x2, U8x2, i64, void

OLDEST_MS = 3_599_999  # before the window, that the sample before it may be


@inline
def _value(ts, values, kept, lo, hi, a, b, range_ms, appeared, is_counter, is_rate):
    """One window: the samples kept[lo:hi], at least one."""
    first, last = kept[lo], kept[hi - 1]
    count = hi - lo
    if is_counter == 1 and is_rate == 0 and b <= range_ms + appeared:
        same = True
        for k in range(lo + 1, hi):
            if values[kept[k]] != values[kept[k - 1]]:
                same = False
                break
        if same:
            return values[first]  # the counter was born with this value
    sampled = np.float64(ts[last] - ts[first])
    average = sampled / np.float64(count - 1)
    p = lo
    by_time = is_rate == 1 or is_counter == 0
    if by_time and np.float64(a - ts[first]) > average:
        if count < 3:
            return 0.0
        p = lo + 1
        sampled = np.float64(ts[last] - ts[kept[p]])
        average = sampled / np.float64(count - 2)
    correction = 0.0
    if is_counter == 1:
        before = 0.0
        for k in range(p, hi):
            now = values[kept[k]]
            if now < before:
                correction += before
            before = now
    result = values[last] - values[kept[p]] + correction
    seconds = np.float64(range_ms // 1000)
    if by_time and ts[kept[p]] <= a and np.float64(b - ts[last]) < average:
        result *= seconds / (sampled / 1000.0)
    if is_rate == 1:
        result /= seconds
    return result


@kernel(void(RI64, RF64, RI64, i64, i64, i64, i64, i64, i64, I64, F64x2, U8x2))
def differences(ts, values, offsets, first, step, n, range_ms, is_counter, is_rate, kept, out, kind):
    """kept: scratch for one series' positions."""
    for i in range(offsets.size - 1):
        at, end = offsets[i], offsets[i + 1]
        appeared = ts[at] if at < end else 0
        lo, hi = 0, 0  # the window is kept[lo:hi]
        held = -1
        b = first
        for j in range(n):
            a = b - range_ms
            begin = lo
            while lo < hi and ts[kept[lo]] <= a:
                lo += 1
            if lo > begin and ts[kept[lo - 1]] >= a - OLDEST_MS:
                lo -= 1
            if held < 0 or ts[held] <= b:
                m = a
                if lo < hi:
                    m = max(m, ts[kept[hi - 1]] + 1)
                if held >= 0:
                    if ts[held] > m:
                        kept[hi] = held
                        hi += 1
                        m = max(m, ts[held] + 1)
                    held = -1
                while at < end:
                    t = ts[at]
                    if t > b:
                        held = at
                        at += 1
                        break
                    if t > m or lo == hi:
                        kept[hi] = at
                        hi += 1
                    else:
                        kept[hi - 1] = at
                    at += 1
            if lo == hi:
                out[i, j] = 0.0
                kind[i, j] = 0
            else:
                out[i, j] = _value(ts, values, kept, lo, hi, a, b, range_ms, appeared, is_counter, is_rate)
                kind[i, j] = 1
            b += step
