# mypy: ignore-errors
"""`anchored` and `smoothed` selectors: windows that know the samples around their ends.

Series i owns ``ts[offsets[i]:offsets[i+1]]`` (ascending, ms, no stale markers). Step j ends at b = first + j * step,
its window begins at a = b - range; samples are looked for in (a - before, b + after]. Windows only move forward.
"""

from __future__ import annotations

from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import F64, I64, RF64, RI64, F64x2, U8x2, f64, i64, void


@inline
def _between(t1, y1, t2, y2, t, is_counter):
    """The straight line between two samples at t; a counter that fell began again at zero."""
    if is_counter and y2 < y1:
        y1 = 0.0
    return y1 + (y2 - y1) * (t - t1) / (t2 - t1)


@kernel(void(RI64, RF64, RI64, i64, i64, i64, i64, i64, i64, f64, i64, i64, I64, F64x2, U8x2))
def differences(
    ts, values, offsets, first, step, n, range_ms, before, after, range_s, mode, smoothed, resets, out, kind
):
    """rate (mode 2), increase (1), delta (0) without extrapolation. resets: scratch for one series' positions."""
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        n_resets = 0
        if mode > 0:
            for k in range(start + 1, end):
                if values[k] < values[k - 1]:
                    resets[n_resets] = k
                    n_resets += 1
        lo, hi, inner, closing, r_lo = start, start, start, start, 0
        b = first
        for j in range(n):
            a = b - range_ms
            out[i, j] = 0.0
            kind[i, j] = 0
            while hi < end and ts[hi] <= b + after:
                hi += 1
            while lo < hi and ts[lo] <= a - before:
                lo += 1
            while inner < end and ts[inner] <= a:  # the first sample inside
                inner += 1
            while closing < end and ts[closing] < b:  # the first sample at the end or after it
                closing += 1
            b += step
            if lo == hi:
                continue
            left_at = max(lo, min(inner, hi - 1) - 1)
            right_at = min(closing, hi - 1) if smoothed == 1 else hi - 1
            right_at = max(right_at, lo)
            end_ms = b - step
            if ts[right_at] <= a or (smoothed == 1 and ts[left_at] > end_ms):
                continue
            left, right = values[left_at], values[right_at]
            if smoothed == 1:
                if ts[left_at] < a:
                    left = _between(ts[left_at], left, ts[left_at + 1], values[left_at + 1], a, mode > 0)
                if right_at > lo and ts[right_at] > end_ms:
                    right = _between(
                        ts[right_at - 1], values[right_at - 1], ts[right_at], values[right_at], end_ms, mode > 0
                    )
            result = right - left
            if mode > 0:
                # Samples strictly between the two ends, which took resets beside them into account.
                p = left_at + 1 if ts[left_at] <= a else left_at
                q = right_at if ts[right_at] >= end_ms else right_at + 1
                previous = left
                correction = 0.0
                if p < q:
                    if values[p] < left:
                        correction += left
                    while r_lo < n_resets and resets[r_lo] <= p:
                        r_lo += 1
                    k = r_lo
                    while k < n_resets and resets[k] < q:
                        correction += values[resets[k] - 1]
                        k += 1
                    previous = values[q - 1]
                if right < previous:
                    correction += previous
                result += correction
            if mode == 2:
                result /= range_s
            out[i, j] = result
            kind[i, j] = 1


@kernel(void(RI64, RF64, RI64, i64, i64, i64, i64, i64, RI64, F64x2, U8x2))
def counted_events(ts, values, offsets, first, step, n, range_ms, before, events, out, kind):
    """changes, resets: events[k] of them lie at or before sample k of its series; the newest sample at or before the
    window's begin belongs to it."""
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        inner, hi = start, start
        b = first
        for j in range(n):
            a = b - range_ms
            while hi < end and ts[hi] <= b:
                hi += 1
            while inner < end and ts[inner] <= a:
                inner += 1
            b += step
            if inner >= hi:
                out[i, j] = 0.0
                kind[i, j] = 0
                continue
            lo = inner - 1 if inner > start and ts[inner - 1] > a - before else inner
            out[i, j] = events[hi - 1] - events[lo]
            kind[i, j] = 1


@kernel(void(RF64, RI64, I64))
def cumulate_changes(values, offsets, events):
    for i in range(offsets.size - 1):
        total = 0
        for k in range(offsets[i], offsets[i + 1]):
            if k > offsets[i]:
                now, then = values[k], values[k - 1]
                if now != then and not (now != now and then != then):
                    total += 1
            events[k] = total


@kernel(void(RF64, RI64, I64))
def cumulate_resets(values, offsets, events):
    for i in range(offsets.size - 1):
        total = 0
        for k in range(offsets[i], offsets[i + 1]):
            if k > offsets[i] and values[k] < values[k - 1]:
                total += 1
            events[k] = total


@kernel(void(RI64, RF64, RI64, i64, i64, i64, i64, F64x2, U8x2))
def smoothed_values(ts, values, offsets, first, step, n, lookback, out, kind):
    """The value at each step: of the sample there, else on the line between its neighbours, else of the one before."""
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        hi = start
        t = first
        for j in range(n):
            while hi < end and ts[hi] <= t:
                hi += 1
            out[i, j] = 0.0
            kind[i, j] = 0
            if hi > start and ts[hi - 1] > t - lookback:
                out[i, j] = values[hi - 1]
                kind[i, j] = 1
                if ts[hi - 1] < t and hi < end and ts[hi] <= t + lookback:
                    out[i, j] = _between(ts[hi - 1], values[hi - 1], ts[hi], values[hi], t, False)
            t += step


@kernel(void(RI64, RF64, RI64, i64, i64, i64, i64, i64, I64, F64, I64))
def bounded_samples(ts, values, offsets, a, b, before, after, smoothed, out_ts, out_values, out_offsets):
    """One window of each series as samples: one at a, those inside (a, b), one at b; room for all samples and two
    more for each series."""
    m = 0
    out_offsets[0] = 0
    for i in range(offsets.size - 1):
        lo, end = offsets[i], offsets[i + 1]
        while lo < end and ts[lo] <= a - before:
            lo += 1
        hi = lo
        while hi < end and ts[hi] <= b + after:
            hi += 1
        inner, closing = lo, lo
        while inner < hi and ts[inner] <= a:
            inner += 1
        while closing < hi and ts[closing] < b:
            closing += 1
        if lo < hi:
            left_at = max(lo, min(inner, hi - 1) - 1)
            right_at = min(closing, hi - 1) if smoothed == 1 else hi - 1
            if ts[right_at] > a:
                left, right = values[left_at], values[right_at]
                if smoothed == 1:
                    if ts[left_at] < a:
                        left = _between(ts[left_at], left, ts[left_at + 1], values[left_at + 1], a, False)
                    if right_at > lo and ts[right_at] > b:
                        right = _between(
                            ts[right_at - 1], values[right_at - 1], ts[right_at], values[right_at], b, False
                        )
                out_ts[m] = a
                out_values[m] = left
                m += 1
                for k in range(inner, closing):
                    out_ts[m] = ts[k]
                    out_values[m] = values[k]
                    m += 1
                out_ts[m] = b
                out_values[m] = right
                m += 1
        out_offsets[i + 1] = m
