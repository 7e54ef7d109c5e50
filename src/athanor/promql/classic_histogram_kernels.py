# mypy: ignore-errors
"""Quantiles and fractions of classic histograms: rows of cumulative counts, one row for each upper bound.

Rows of group g are ``rows[group_at[g]:group_at[g + 1]]``, ascending by bound. Steps are walked in order, so a group
reads each of its rows once from left to right.
"""

from __future__ import annotations

import math

import numpy as np

from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import F64, RF64, RI64, F64x2, RF64x2, RU8x2, U8x2, i64, void

SMALLEST_NORMAL = 2.2250738585072014e-308
LARGEST = 1.7976931348623157e308
SMALL_DELTA = 1e-12  # relative differences below this come from rounding (prometheus promql/quantile.go)
PIECE_STEPS = 256  # steps of a group whose rows stay in the nearest cache


@inline
def _gather(rows, first, last, bounds, values, kind, j, bound, count):
    """Buckets present at step j, equal bounds added up; returns how many."""
    m = np.int64(0)
    for k in range(first, last):
        row = rows[k]
        if kind[row, j] == 1:
            b = bounds[k]
            if m > 0 and bound[m - 1] == b:
                count[m - 1] += values[row, j]
            else:
                bound[m] = b
                count[m] = values[row, j]
                m += np.int64(1)
    return m


@inline
def almost_equal(a, b):
    if a == b or (math.isnan(a) and math.isnan(b)):
        return True
    size = abs(a) + abs(b)
    distance = abs(a - b)
    if a == 0.0 or b == 0.0 or size < SMALLEST_NORMAL:
        return distance < SMALL_DELTA * SMALLEST_NORMAL
    return distance / min(size, LARGEST) < SMALL_DELTA


@inline
def _quantile(q, m, bound, count):
    """Of m buckets whose counts never fall and whose last bound is +Inf."""
    if m < 2 or count[m - 1] == 0.0:
        return math.nan
    rank = q * count[m - 1]
    low, high = np.int64(0), m - 1
    while low < high:
        middle = (low + high) // 2
        if count[middle] >= rank:
            high = middle
        else:
            low = middle + 1
    if low == m - 1:
        return bound[m - 2]
    if low == 0:
        if bound[0] <= 0.0:
            return bound[0]
        return bound[0] * (rank / count[0])
    start = bound[low - 1]
    before = count[low - 1]
    return start + (bound[low] - start) * ((rank - before) / (count[low] - before))


@inline
def _raise_falls(g, m, bound, count, lowest, highest, largest):
    """Counts that fall become those before them; returns whether any fell by more than rounding does."""
    forced = np.uint8(0)
    previous = count[0]
    for i in range(1, m):
        current = count[i]
        if almost_equal(previous, current):
            count[i] = previous
        elif current < previous:
            count[i] = previous
            forced = np.uint8(1)
            lowest[g] = min(lowest[g], bound[i])
            highest[g] = max(highest[g], bound[i])
            largest[g] = max(largest[g], previous - current)
        else:
            previous = current
    return forced


@inline
def _all_present(rows, first, last, kind, at, end):
    for k in range(first, last):
        cells = kind[rows[k], at:end]
        there = np.uint8(1)
        for j in range(cells.size):
            there &= np.uint8(cells[j] == 1)
        if there == 0:
            return False
    return True


@inline
def _regular(first, last, bounds):
    """At least two bounds, all different, the last infinite."""
    if last - first < 2 or bounds[last - 1] != math.inf:
        return False
    different = True
    for k in range(first + 1, last):
        different = different and bounds[k] != bounds[k - 1]
    return different


@inline
def _find_buckets(rows, first, last, values, q, at, end, rank, below, odd):
    """For steps at..end-1: the rank, how many counts are below it, and whether counts do anything but plainly rise.

    Row by row over slices that start at 0, so that the loops over steps become vectors.
    """
    total = values[rows[last - 1], at:end]
    quantile = q[at:end]
    for j in range(total.size):
        odd[j] = 0.0 if total[j] > 0.0 else 1.0
        rank[j] = quantile[j] * total[j]
        below[j] = 0.0
    for k in range(first, last - 1):
        counts = values[rows[k], at:end]
        following = values[rows[k + 1], at:end]
        for j in range(total.size):
            count = counts[j]
            more = following[j]
            below[j] += 1.0 if count < rank[j] else 0.0
            rises = (count >= 0.0) & (more > count * 1.000001) & (more > 1e-290)
            odd[j] += 0.0 if rises | (more == count) else 1.0


@kernel(void(RI64, RI64, RF64, RF64x2, RU8x2, RF64, i64, i64, F64x2, U8x2, U8x2, F64, F64, F64, F64, F64))
def quantiles(
    rows, group_at, bounds, values, kind, q, first, last, out, out_kind, forced, lowest, highest, largest, bound, count
):
    """Groups first..last-1 at every step.

    forced: 1 where counts fell and were raised; lowest, highest: bounds of raised buckets of each group, largest: the
    largest fall, all started by the caller (+Inf, -Inf, 0). bound, count: scratch for the largest group.
    """
    n = values.shape[1]
    rank = np.empty(PIECE_STEPS, np.float64)
    below = np.empty(PIECE_STEPS, np.float64)
    odd = np.empty(PIECE_STEPS, np.float64)
    for g in range(first, last):
        start = group_at[g]
        end = group_at[g + 1]
        regular = _regular(start, end, bounds)
        for at in range(0, n, PIECE_STEPS):
            until = min(n, at + PIECE_STEPS)
            easy = regular and _all_present(rows, start, end, kind, at, until)
            if easy:
                _find_buckets(rows, start, end, values, q, at, until, rank, below, odd)
            for j in range(at, until):
                if easy and odd[j - at] == 0.0 and 0.0 <= q[j] <= 1.0:
                    b = start + np.int64(below[j - at])
                    out_kind[g, j] = np.uint8(1)
                    forced[g, j] = np.uint8(0)
                    if b == end - 1:
                        out[g, j] = bounds[end - 2]
                    elif b > start:
                        before = values[rows[b - 1], j]
                        share = (rank[j - at] - before) / (values[rows[b], j] - before)
                        out[g, j] = bounds[b - 1] + (bounds[b] - bounds[b - 1]) * share
                    elif bounds[b] <= 0.0:
                        out[g, j] = bounds[b]
                    else:
                        out[g, j] = bounds[b] * (rank[j - at] / values[rows[b], j])
                    continue
                m = _gather(rows, start, end, bounds, values, kind, j, bound, count)
                out_kind[g, j] = np.uint8(m > 0)
                forced[g, j] = np.uint8(0)
                out[g, j] = math.nan
                if m == 0 or math.isnan(q[j]):
                    continue
                if q[j] < 0.0 or q[j] > 1.0:
                    out[g, j] = -math.inf if q[j] < 0.0 else math.inf
                elif bound[m - 1] == math.inf:
                    forced[g, j] = _raise_falls(g, m, bound, count, lowest, highest, largest)
                    out[g, j] = _quantile(q[j], m, bound, count)


@inline
def _interpolate(limit, low, high, rank, count):
    if low == -math.inf:
        return count
    return rank + (count - rank) * (limit - low) / (high - low)


@inline
def _fraction(lower, upper, m, bound, count):
    total = count[m - 1]
    if total == 0.0 or math.isnan(lower) or math.isnan(upper):
        return math.nan
    if lower >= upper:
        return 0.0
    rank = 0.0
    lower_rank = 0.0
    upper_rank = 0.0
    lower_set = False
    upper_set = False
    low = -math.inf if bound[0] <= 0.0 else 0.0
    for i in range(m):
        if i > 0:
            low = bound[i - 1]
        high = bound[i]
        if not lower_set and low >= lower:
            lower_rank = rank
            lower_set = True
        if not upper_set and low >= upper:
            upper_rank = rank
            upper_set = True
        if not lower_set and low < lower and high > lower:
            lower_rank = _interpolate(lower, low, high, rank, count[i])
            lower_set = True
        if not upper_set and low < upper and high > upper:
            upper_rank = _interpolate(upper, low, high, rank, count[i])
            upper_set = True
        if lower_set and upper_set:
            break
        rank = count[i]
    if not lower_set or lower_rank > total:
        lower_rank = total
    if not upper_set or upper_rank > total:
        upper_rank = total
    return (upper_rank - lower_rank) / total


@kernel(void(RI64, RI64, RF64, RF64x2, RU8x2, RF64, RF64, i64, i64, F64x2, U8x2, F64, F64))
def fractions(rows, group_at, bounds, values, kind, lower, upper, first, last, out, out_kind, bound, count):
    """Groups first..last-1 at every step. bound, count: scratch for the largest group."""
    for g in range(first, last):
        for j in range(values.shape[1]):
            m = _gather(rows, group_at[g], group_at[g + 1], bounds, values, kind, j, bound, count)
            out_kind[g, j] = np.uint8(m > 0)
            out[g, j] = math.nan
            if m > 0 and bound[m - 1] == math.inf:
                out[g, j] = _fraction(lower[j], upper[j], m, bound, count)
