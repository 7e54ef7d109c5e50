# mypy: ignore-errors
"""Addition, schema reduction, reset detection and equality of native histograms; see `histogram_work_kernels`."""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline
from athanor.promql.histogram_code_kernels import (
    COLLISION,
    COUNT,
    COUNT_C,
    CUSTOM,
    GAUGE,
    HINT,
    INCOMPATIBLE,
    N_BOUNDS,
    N_NEG,
    N_POS,
    NOT_RESET,
    RECONCILED,
    RESET,
    SCHEMA,
    SUM,
    SUM_C,
    THRESHOLD,
    UNKNOWN,
    ZERO,
    ZERO_C,
)
from athanor.promql.histogram_work_kernels import bound, compact
from athanor.promql.kahan_kernels import inc


@inline
def _reduce_side(index, values, compensations, n, shift, compensated):
    m = np.int64(0)
    for k in range(n):
        i = ((index[k] - 1) >> shift) + 1
        if m > 0 and index[m - 1] == i:
            if compensated:
                v, c = inc(values[k], values[m - 1], compensations[m - 1])
                values[m - 1], compensations[m - 1] = inc(compensations[k], v, c)
            else:
                values[m - 1] += values[k]
        else:
            index[m] = i
            values[m] = values[k]
            compensations[m] = compensations[k]
            m += 1
    return m


@inline
def reduce_to(w, schema, compensated):
    """An exponential histogram at a coarser schema."""
    shift = w.meta[SCHEMA] - schema
    if shift > 0:
        w.meta[N_POS] = _reduce_side(w.pos, w.pos_v, w.pos_c, w.meta[N_POS], shift, compensated)
        w.meta[N_NEG] = _reduce_side(w.neg, w.neg_v, w.neg_c, w.meta[N_NEG], shift, compensated)
        w.meta[SCHEMA] = schema


@inline
def _widened_zero(w, threshold, compensated):
    """Zero count, its compensation and the threshold itself if the zero bucket grew; populated buckets go in whole."""
    if threshold == w.scalars[THRESHOLD]:
        return w.scalars[ZERO], w.scalars[ZERO_C], threshold
    schema = w.meta[SCHEMA]
    while True:
        count, comp = w.scalars[ZERO], w.scalars[ZERO_C]
        again = False
        for side in range(2):
            index = w.pos if side == 0 else w.neg
            values = w.pos_v if side == 0 else w.neg_v
            compensations = w.pos_c if side == 0 else w.neg_c
            n = w.meta[N_POS] if side == 0 else w.meta[N_NEG]
            for k in range(n):
                if bound(index[k] - 1, schema) >= threshold:
                    break
                if compensated:
                    count, comp = inc(values[k], count, comp)
                    count, comp = inc(compensations[k], count, comp)
                else:
                    count += values[k]
                upper = bound(index[k], schema)
                if upper > threshold:
                    if values[k] != 0.0:
                        threshold = upper
                        again = side == 1
                    break
            if again:
                break
        if not again:
            return count, comp, threshold


@inline
def _clear_below(w):
    """Empties the buckets that the zero bucket swallowed."""
    schema, threshold = w.meta[SCHEMA], w.scalars[THRESHOLD]
    for k in range(w.meta[N_POS]):
        if bound(w.pos[k] - 1, schema) >= threshold:
            break
        w.pos_v[k] = 0.0
    for k in range(w.meta[N_NEG]):
        if bound(w.neg[k] - 1, schema) >= threshold:
            break
        w.neg_v[k] = 0.0
    compact(w)


@inline
def _reconcile_zeros(w, o, compensated):
    """Widens the zero bucket of w until it fits o's; returns o's zero count at that width."""
    count, threshold = o.scalars[ZERO], o.scalars[THRESHOLD]
    while threshold != w.scalars[THRESHOLD]:
        if w.scalars[THRESHOLD] > threshold:
            count, _, threshold = _widened_zero(o, w.scalars[THRESHOLD], False)
        if threshold > w.scalars[THRESHOLD]:
            w.scalars[ZERO], w.scalars[ZERO_C], w.scalars[THRESHOLD] = _widened_zero(w, threshold, compensated)
            if not compensated:
                w.scalars[ZERO_C] = 0.0
            _clear_below(w)
    return count


@inline
def _add_value(values, compensations, k, x, compensated):
    if compensated:
        values[k], compensations[k] = inc(x, values[k], compensations[k])
    else:
        values[k] += x


@inline
def _add_side(index, values, compensations, n, o_index, o_values, first, n_o, sign, compensated):
    """Adds the buckets first..n_o-1 of the other side; returns how many there are then."""
    missing = np.int64(0)
    k = np.int64(0)
    for e in range(first, n_o):
        while k < n and index[k] < o_index[e]:
            k += 1
        if k == n or index[k] != o_index[e]:
            missing += 1
    total = n + missing
    if missing == 0:
        k = np.int64(0)
        for e in range(first, n_o):
            while index[k] < o_index[e]:
                k += 1
            _add_value(values, compensations, k, sign * o_values[e], compensated)
        return total
    at, k, e = total - 1, n - 1, n_o - 1
    while e >= first:
        if k >= 0 and index[k] > o_index[e]:
            index[at] = index[k]
            values[at] = values[k]
            compensations[at] = compensations[k]
            k -= 1
        elif k >= 0 and index[k] == o_index[e]:
            index[at] = index[k]
            v, c = values[k], compensations[k]
            values[at] = v
            compensations[at] = c
            _add_value(values, compensations, at, sign * o_values[e], compensated)
            k -= 1
            e -= 1
        else:
            index[at] = o_index[e]
            values[at] = sign * o_values[e]
            compensations[at] = 0.0
            e -= 1
        at -= 1
    return total


@inline
def _first_above(index, n, schema, threshold):
    """The first bucket whose upper bound lies above the threshold."""
    k = np.int64(0)
    while k < n and bound(index[k], schema) <= threshold:
        k += 1
    return k


@inline
def same_bounds(w, o):
    if w.meta[N_BOUNDS] != o.meta[N_BOUNDS]:
        return False
    for k in range(w.meta[N_BOUNDS]):
        if w.bounds[k] != o.bounds[k]:
            return False
    return True


@inline
def _common_bounds(a, n_a, b, n_b, out):
    i, j, n = np.int64(0), np.int64(0), np.int64(0)
    while i < n_a and j < n_b:
        if a[i] == b[j]:
            out[n] = a[i]
            n += 1
            i += 1
            j += 1
        elif a[i] < b[j]:
            i += 1
        else:
            j += 1
    return n


@inline
def _fold(w, common, n_common, sign, totals, comps):
    """Adds the custom buckets of w to those between common bounds."""
    target = np.int64(0)
    for k in range(w.meta[N_POS]):
        index = w.pos[k]
        if index >= w.meta[N_BOUNDS]:
            target = n_common
        else:
            while target < n_common and common[target] < w.bounds[index]:
                target += 1
        totals[target], comps[target] = inc(sign * w.pos_v[k], totals[target], comps[target])
        if w.pos_c[k] != 0.0:
            totals[target], comps[target] = inc(sign * w.pos_c[k], totals[target], comps[target])


@inline
def _reconcile_bounds(w, o, sign, compensated):
    common = np.empty(min(w.meta[N_BOUNDS], o.meta[N_BOUNDS]), np.float64)
    n = _common_bounds(w.bounds, w.meta[N_BOUNDS], o.bounds, o.meta[N_BOUNDS], common)
    totals, comps = np.zeros(n + 1, np.float64), np.zeros(n + 1, np.float64)
    _fold(w, common, n, 1.0, totals, comps)
    _fold(o, common, n, sign, totals, comps)
    m = np.int64(0)
    for k in range(n + 1):
        if totals[k] != 0.0:
            w.pos[m] = k
            w.pos_v[m] = totals[k]
            w.pos_c[m] = comps[k] if compensated else 0.0
            m += 1
    w.meta[N_POS] = m
    w.meta[N_BOUNDS] = n
    w.bounds[:n] = common[:n]


@inline
def merge_hints(a, b):
    """The hint of a sum, and whether the two contradict each other."""
    if a == b:
        return a, False
    if a == GAUGE or b == GAUGE:
        return np.int64(GAUGE), False
    if a == UNKNOWN or b == UNKNOWN:
        return np.int64(UNKNOWN), False
    return np.int64(UNKNOWN), True


@inline
def add(w, o, sign, compensated):
    """w += sign * o; changes o's schema. Returns INCOMPATIBLE (w untouched) or flags."""
    if (w.meta[SCHEMA] == CUSTOM) != (o.meta[SCHEMA] == CUSTOM):
        return np.int64(INCOMPATIBLE)
    flags = np.int64(0)
    hint, collision = merge_hints(w.meta[HINT], o.meta[HINT])
    w.meta[HINT] = hint
    if collision:
        flags |= COLLISION
    a, b = w.scalars, o.scalars
    zeros = b[ZERO]
    if w.meta[SCHEMA] != CUSTOM:
        zeros = _reconcile_zeros(w, o, compensated)
    if compensated:
        a[ZERO], a[ZERO_C] = inc(sign * zeros, a[ZERO], a[ZERO_C])
        a[COUNT], a[COUNT_C] = inc(sign * b[COUNT], a[COUNT], a[COUNT_C])
        a[SUM], a[SUM_C] = inc(sign * b[SUM], a[SUM], a[SUM_C])
    else:
        a[ZERO] += sign * zeros
        a[COUNT] += sign * b[COUNT]
        a[SUM] += sign * b[SUM]
    if w.meta[SCHEMA] == CUSTOM:
        if not same_bounds(w, o):
            _reconcile_bounds(w, o, sign, compensated)
            return flags | RECONCILED
        w.meta[N_POS] = _add_side(
            w.pos, w.pos_v, w.pos_c, w.meta[N_POS], o.pos, o.pos_v, 0, o.meta[N_POS], sign, compensated
        )
        return flags
    schema = min(w.meta[SCHEMA], o.meta[SCHEMA])
    reduce_to(w, schema, compensated)
    reduce_to(o, schema, False)
    first = _first_above(o.pos, o.meta[N_POS], schema, a[THRESHOLD])
    w.meta[N_POS] = _add_side(
        w.pos, w.pos_v, w.pos_c, w.meta[N_POS], o.pos, o.pos_v, first, o.meta[N_POS], sign, compensated
    )
    first = _first_above(o.neg, o.meta[N_NEG], schema, a[THRESHOLD])
    w.meta[N_NEG] = _add_side(
        w.neg, w.neg_v, w.neg_c, w.meta[N_NEG], o.neg, o.neg_v, first, o.meta[N_NEG], sign, compensated
    )
    return flags


@inline
def _side_fell(c_index, c_values, n_c, p_index, p_values, n_p, schema, threshold):
    """Whether a bucket of the earlier side beyond the threshold is gone or fell."""
    k = np.int64(0)
    for e in range(n_p):
        if bound(p_index[e], schema) <= threshold or p_values[e] == 0.0:
            continue
        while k < n_c and c_index[k] < p_index[e]:
            k += 1
        if k == n_c or c_index[k] != p_index[e] or c_values[k] < p_values[e]:
            return True
    return False


@inline
def _custom_fell(cur, prev):
    if same_bounds(cur, prev):
        k = np.int64(0)
        for e in range(prev.meta[N_POS]):
            if prev.pos_v[e] == 0.0:
                continue
            while k < cur.meta[N_POS] and cur.pos[k] < prev.pos[e]:
                k += 1
            if k == cur.meta[N_POS] or cur.pos[k] != prev.pos[e] or cur.pos_v[k] < prev.pos_v[e]:
                return True
        return False
    common = np.empty(min(cur.meta[N_BOUNDS], prev.meta[N_BOUNDS]), np.float64)
    n = _common_bounds(cur.bounds, cur.meta[N_BOUNDS], prev.bounds, prev.meta[N_BOUNDS], common)
    now, before, comps = np.zeros(n + 1), np.zeros(n + 1), np.zeros(n + 1)
    _fold(cur, common, n, 1.0, now, comps)
    comps[:] = 0.0
    _fold(prev, common, n, 1.0, before, comps)
    for k in range(n + 1):
        if now[k] < before[k]:
            return True
    return False


@inline
def detect_reset(cur, prev):
    """Whether a counter started again between prev, which is changed, and cur."""
    if cur.meta[HINT] == RESET:
        return True
    if cur.meta[HINT] == NOT_RESET:
        return False
    if cur.scalars[COUNT] < prev.scalars[COUNT]:
        return True
    if cur.meta[SCHEMA] == CUSTOM:
        return prev.meta[SCHEMA] != CUSTOM or _custom_fell(cur, prev)
    if cur.meta[SCHEMA] > prev.meta[SCHEMA] or cur.scalars[THRESHOLD] < prev.scalars[THRESHOLD]:
        return True
    count, _, threshold = _widened_zero(prev, cur.scalars[THRESHOLD], False)
    if threshold != cur.scalars[THRESHOLD] or cur.scalars[ZERO] < count:
        return True
    schema = cur.meta[SCHEMA]
    reduce_to(prev, schema, False)
    return _side_fell(
        cur.pos, cur.pos_v, cur.meta[N_POS], prev.pos, prev.pos_v, prev.meta[N_POS], schema, threshold
    ) or _side_fell(cur.neg, cur.neg_v, cur.meta[N_NEG], prev.neg, prev.neg_v, prev.meta[N_NEG], schema, threshold)


@inline
def _same_bits(a, b):
    for k in range(a.size):
        if a[k] != b[k]:
            return False
    return True


@inline
def equal(t, i, u, j):
    """Counts by their bits, layouts with empty buckets as they are; hints do not matter."""
    a, b = t.layout[i], u.layout[j]
    n_pos, n_neg = t.neg_at[a] - t.pos_at[a], t.pos_at[a + 1] - t.neg_at[a]
    if t.schema[a] != u.schema[b] or t.threshold[a] != u.threshold[b]:
        return False
    if n_pos != u.neg_at[b] - u.pos_at[b] or n_neg != u.pos_at[b + 1] - u.neg_at[b]:
        return False
    if not (
        _same_bits(t.count[i : i + 1].view(np.uint64), u.count[j : j + 1].view(np.uint64))
        and _same_bits(t.sum[i : i + 1].view(np.uint64), u.sum[j : j + 1].view(np.uint64))
        and _same_bits(t.zero[i : i + 1].view(np.uint64), u.zero[j : j + 1].view(np.uint64))
    ):
        return False
    if t.bounds_at[a + 1] - t.bounds_at[a] != u.bounds_at[b + 1] - u.bounds_at[b]:
        return False
    n = n_pos + n_neg
    return (
        _same_bits(t.bounds[t.bounds_at[a] : t.bounds_at[a + 1]], u.bounds[u.bounds_at[b] : u.bounds_at[b + 1]])
        and _same_bits(t.index[t.pos_at[a] : t.pos_at[a + 1]], u.index[u.pos_at[b] : u.pos_at[b + 1]])
        and _same_bits(
            t.buckets[t.bucket_at[i] : t.bucket_at[i] + n].view(np.uint64),
            u.buckets[u.bucket_at[j] : u.bucket_at[j] + n].view(np.uint64),
        )
    )
