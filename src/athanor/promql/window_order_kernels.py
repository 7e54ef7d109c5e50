# mypy: ignore-errors
"""Order statistics of a moving window, which is kept sorted; series, steps and windows as in ``window_kernels``.

Values and rules: Prometheus 3.14 promql/quantile.go and functions.go.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline, inlined, kernel
from athanor.kernel.types import F64, RF64, RI64, F64x2, U8x2, i64, void


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


@inlined
def _slid(ts, values, a, b, lo, hi, end, ordered, size):
    """The window a < t <= b in order, from one that is not later: its ends and its size."""
    while lo < hi and ts[lo] <= a:
        size = _remove(ordered, size, values[lo])
        lo += 1
    while hi < end and ts[hi] <= b:
        if ts[hi] > a:
            size = _insert(ordered, size, values[hi])
        else:
            lo = hi + 1
        hi += 1
    return lo, hi, size


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
            lo, hi, size = _slid(ts, values, b - range_ms, b, lo, hi, end, ordered, size)
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
            lo, hi, size = _slid(ts, values, b - range_ms, b, lo, hi, end, ordered, size)
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
