# mypy: ignore-errors
"""Loops of reducing aggregations: rows enter the state of their group one by one, all steps of a row at once.

State of group g at step j: ``a`` and ``b`` (sum and its compensation; mean and its compensation; the extreme; mean and
squared deviations), ``count`` (samples so far), ``seen`` (1 where the group has a value; for avg: 1 where the sum would
have overflowed and ``a`` is an incremental mean). An operation uses what it needs, the rest has no rows. status[g]: NEW
rows hold rubbish and are written by the group's first row, FULL groups have a value at every step.

Cells without a value hold a neutral start (-0.0 for sums, NaN for extremes, zeros for moments), chosen so that the
first value needs no branch. Arithmetic is that of Prometheus 3.14 promql/engine.go, in its order.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import B1, I64, RB1, RI32, RI64, RU8, U8, F64x2, RF64x2, RU8x2, U8x2, i64, void
from athanor.promql.kahan_kernels import inc

EMPTY, DENSE, SPARSE = 0, 1, 2  # classes of a row: no cell, a float in every cell, anything else
NEW, PARTIAL, FULL, SWITCHED = 0, 1, 2, 3  # states of a group
OP_SUM, OP_AVG, OP_COUNT, OP_GROUP, OP_EXTREME, OP_STDDEV, OP_STDVAR = range(7)


@kernel(i64(RU8x2, RI32, i64, RB1, U8, I64, B1))
def scan_rows(kind, codes, row_at, drop_name, row_class, first_row, group_drop):
    """Classes of rows, first rows and drop marks of groups; returns the highest kind met.

    row_at: the number of rows that came before this tile. first_row[g] is -1 until the group has a row with a cell.
    A code below zero stays out of all groups.
    """
    highest = np.uint8(0)
    for i in range(kind.shape[0]):
        row = kind[i]
        low = np.uint8(255)
        high = np.uint8(0)
        for j in range(row.size):
            low = min(low, row[j])
            high = max(high, row[j])
        highest = max(highest, high)
        if high == np.uint8(0):
            row_class[i] = EMPTY
            continue
        row_class[i] = DENSE if low == np.uint8(1) and high == np.uint8(1) else SPARSE
        g = codes[i]
        if g >= 0:
            if first_row[g] < 0:
                first_row[g] = row_at + i
            if drop_name[i]:
                group_drop[g] = True
    return np.int64(highest)


@inline
def _mark(kinds, seen):
    """Adds the presence of a row to that of its group; the group's new status."""
    low = np.uint8(1)
    for j in range(kinds.size):
        present = np.uint8(1) if kinds[j] == np.uint8(1) else np.uint8(0)
        seen[j] |= present
        low &= seen[j]
    return np.uint8(2) if low == np.uint8(1) else np.uint8(1)


@kernel(void(RF64x2, RU8x2, RI32, RU8, F64x2, F64x2, F64x2, U8x2, U8))
def add_sum(values, kind, codes, row_class, a, b, count, seen, status):
    n = values.shape[1]
    for i in range(values.shape[0]):
        if row_class[i] == EMPTY:
            continue
        g = codes[i]
        x, kinds, s, c, there = values[i], kind[i], a[g], b[g], seen[g]
        if status[g] == NEW:
            if row_class[i] == DENSE:
                s[:] = x
                there[:] = np.uint8(1)
                status[g] = FULL
            else:
                for j in range(n):
                    s[j] = x[j] if kinds[j] == np.uint8(1) else -0.0
                there[:] = np.uint8(0)
                status[g] = _mark(kinds, there)
            c[:] = 0.0
        elif row_class[i] == DENSE:
            for j in range(n):
                t = s[j] + x[j]
                swap = abs(s[j]) >= abs(x[j])
                big = s[j] if swap else x[j]
                small = x[j] if swap else s[j]
                compensated = c[j] + ((big - t) + small)
                c[j] = 0.0 if abs(t) == np.inf else compensated
                s[j] = t
            if status[g] != FULL:
                there[:] = np.uint8(1)
                status[g] = FULL
        else:
            for j in range(n):
                if kinds[j] == np.uint8(1):
                    s[j], c[j] = inc(x[j], s[j], c[j])
            if status[g] != FULL:
                status[g] = _mark(kinds, there)


@inline
def _add_average(x, j, a, b, count, switched):
    if count[j] == 0.0:
        a[j] = x
        b[j] = 0.0
        count[j] = 1.0
        return
    before = count[j]
    n = before + 1.0
    count[j] = n
    if switched[j] == np.uint8(0):
        t, c = inc(x, a[j], b[j])
        if abs(t) != np.inf:
            a[j] = t
            b[j] = c
            return
        switched[j] = np.uint8(1)
        a[j] = a[j] / before
        b[j] = b[j] / before
    q = (n - 1.0) / n
    a[j], b[j] = inc(x / n, q * a[j], q * b[j])


@kernel(void(RF64x2, RU8x2, RI32, RU8, F64x2, F64x2, F64x2, U8x2, U8))
def add_avg(values, kind, codes, row_class, a, b, count, seen, status):
    """Sums while no cell would overflow; a group with an overflow (SWITCHED) goes cell by cell from there on."""
    n = values.shape[1]
    for i in range(values.shape[0]):
        if row_class[i] == EMPTY:
            continue
        g = codes[i]
        x, kinds, s, c, size = values[i], kind[i], a[g], b[g], count[g]
        if status[g] == NEW:
            for j in range(n):
                present = kinds[j] == np.uint8(1)
                s[j] = x[j] if present else -0.0
                size[j] = 1.0 if present else 0.0
            c[:] = 0.0
            seen[g, :] = np.uint8(0)
            status[g] = PARTIAL
            continue
        if status[g] == PARTIAL:
            overflows = 0
            for j in range(n):
                overflows |= 1 if abs(s[j] + x[j]) == np.inf and kinds[j] == np.uint8(1) else 0
            if overflows != 0:
                status[g] = SWITCHED
        if status[g] == SWITCHED:
            switched = seen[g]
            for j in range(n):
                if kinds[j] == np.uint8(1):
                    _add_average(x[j], j, s, c, size, switched)
        elif row_class[i] == DENSE:
            for j in range(n):
                t = s[j] + x[j]
                swap = abs(s[j]) >= abs(x[j])
                big = s[j] if swap else x[j]
                small = x[j] if swap else s[j]
                c[j] = c[j] + ((big - t) + small)
                s[j] = t
                size[j] += 1.0
        else:
            for j in range(n):
                if kinds[j] == np.uint8(1):
                    t = s[j] + x[j]
                    swap = abs(s[j]) >= abs(x[j])
                    big = s[j] if swap else x[j]
                    small = x[j] if swap else s[j]
                    c[j] = c[j] + ((big - t) + small)
                    s[j] = t
                    size[j] += 1.0


@kernel(void(RF64x2, RU8x2, RI32, RU8, F64x2, F64x2, F64x2, U8x2, U8))
def add_count(values, kind, codes, row_class, a, b, count, seen, status):
    """Samples of either kind."""
    n = kind.shape[1]
    for i in range(kind.shape[0]):
        if row_class[i] == EMPTY:
            continue
        g = codes[i]
        kinds, size = kind[i], count[g]
        if status[g] == NEW:
            size[:] = 0.0
            status[g] = PARTIAL
        if row_class[i] == DENSE:
            for j in range(n):
                size[j] += 1.0
        else:
            for j in range(n):
                size[j] += 1.0 if kinds[j] != np.uint8(0) else 0.0


@kernel(void(RF64x2, RU8x2, RI32, RU8, F64x2, F64x2, F64x2, U8x2, U8))
def add_group(values, kind, codes, row_class, a, b, count, seen, status):
    """Presence of samples of either kind."""
    n = kind.shape[1]
    for i in range(kind.shape[0]):
        g = codes[i]
        if row_class[i] == EMPTY or status[g] == FULL:
            continue
        kinds, there = kind[i], seen[g]
        if row_class[i] == DENSE:
            there[:] = np.uint8(1)
            status[g] = FULL
            continue
        if status[g] == NEW:
            there[:] = np.uint8(0)
            status[g] = PARTIAL
        for j in range(n):
            there[j] |= np.uint8(1) if kinds[j] != np.uint8(0) else np.uint8(0)


@inline
def _start_extreme(x, kinds, row, s, there):
    if row == DENSE:
        s[:] = x
        there[:] = np.uint8(1)
        return np.uint8(2)
    for j in range(x.size):
        s[j] = x[j] if kinds[j] == np.uint8(1) else np.nan
    there[:] = np.uint8(0)
    return _mark(kinds, there)


@kernel(void(RF64x2, RU8x2, RI32, RU8, F64x2, F64x2, F64x2, U8x2, U8))
def add_min(values, kind, codes, row_class, a, b, count, seen, status):
    n = values.shape[1]
    for i in range(values.shape[0]):
        if row_class[i] == EMPTY:
            continue
        g = codes[i]
        x, kinds, s, there = values[i], kind[i], a[g], seen[g]
        if status[g] == NEW:
            status[g] = _start_extreme(x, kinds, row_class[i], s, there)
        elif row_class[i] == DENSE:
            for j in range(n):
                s[j] = x[j] if not s[j] <= x[j] and x[j] == x[j] else s[j]
            if status[g] != FULL:
                there[:] = np.uint8(1)
                status[g] = FULL
        else:
            for j in range(n):
                s[j] = x[j] if kinds[j] == np.uint8(1) and not s[j] <= x[j] and x[j] == x[j] else s[j]
            if status[g] != FULL:
                status[g] = _mark(kinds, there)


@kernel(void(RF64x2, RU8x2, RI32, RU8, F64x2, F64x2, F64x2, U8x2, U8))
def add_max(values, kind, codes, row_class, a, b, count, seen, status):
    n = values.shape[1]
    for i in range(values.shape[0]):
        if row_class[i] == EMPTY:
            continue
        g = codes[i]
        x, kinds, s, there = values[i], kind[i], a[g], seen[g]
        if status[g] == NEW:
            status[g] = _start_extreme(x, kinds, row_class[i], s, there)
        elif row_class[i] == DENSE:
            for j in range(n):
                s[j] = x[j] if not s[j] >= x[j] and x[j] == x[j] else s[j]
            if status[g] != FULL:
                there[:] = np.uint8(1)
                status[g] = FULL
        else:
            for j in range(n):
                s[j] = x[j] if kinds[j] == np.uint8(1) and not s[j] >= x[j] and x[j] == x[j] else s[j]
            if status[g] != FULL:
                status[g] = _mark(kinds, there)


@kernel(void(RF64x2, RU8x2, RI32, RU8, F64x2, F64x2, F64x2, U8x2, U8))
def add_moments(values, kind, codes, row_class, a, b, count, seen, status):
    """Welford's mean and squared deviations, without compensation."""
    n = values.shape[1]
    for i in range(values.shape[0]):
        if row_class[i] == EMPTY:
            continue
        g = codes[i]
        x, kinds, mean, m2, size = values[i], kind[i], a[g], b[g], count[g]
        if status[g] == NEW:
            mean[:] = 0.0
            m2[:] = 0.0
            size[:] = 0.0
            status[g] = PARTIAL
        if row_class[i] == DENSE:
            for j in range(n):
                k = size[j] + 1.0
                d = x[j] - mean[j]
                m = mean[j] + d / k
                m2[j] += d * (x[j] - m)
                mean[j] = m
                size[j] = k
        else:
            for j in range(n):
                if kinds[j] == np.uint8(1):
                    k = size[j] + 1.0
                    d = x[j] - mean[j]
                    m = mean[j] + d / k
                    m2[j] += d * (x[j] - m)
                    mean[j] = m
                    size[j] = k


@kernel(void(i64, RI64, RF64x2, RF64x2, RF64x2, RU8x2, F64x2, U8x2))
def finish(op, groups, a, b, count, seen, out, kind):
    """Answers of these groups, in this order; absent cells are 0."""
    n = out.shape[1]
    for i in range(groups.size):
        g = groups[i]
        values, kinds = out[i], kind[i]
        if op == OP_SUM:
            s, c, there = a[g], b[g], seen[g]
            for j in range(n):
                values[j] = s[j] + c[j] if there[j] != np.uint8(0) else 0.0
                kinds[j] = there[j]
        elif op == OP_AVG:
            s, c, size, switched = a[g], b[g], count[g], seen[g]
            for j in range(n):
                k = size[j]
                if k == 0.0:
                    values[j] = 0.0
                elif switched[j] != np.uint8(0):
                    values[j] = s[j] + c[j]
                else:
                    values[j] = s[j] / k + c[j] / k
                kinds[j] = np.uint8(1) if k > 0.0 else np.uint8(0)
        elif op == OP_COUNT:
            size = count[g]
            for j in range(n):
                values[j] = size[j]
                kinds[j] = np.uint8(1) if size[j] > 0.0 else np.uint8(0)
        elif op == OP_GROUP:
            there = seen[g]
            for j in range(n):
                values[j] = np.float64(there[j])
                kinds[j] = there[j]
        elif op == OP_EXTREME:
            s, there = a[g], seen[g]
            for j in range(n):
                values[j] = s[j] if there[j] != np.uint8(0) else 0.0
                kinds[j] = there[j]
        else:
            m2, size = b[g], count[g]
            for j in range(n):
                k = size[j]
                variance = m2[j] / k if k > 0.0 else 0.0
                values[j] = np.sqrt(variance) if op == OP_STDDEV else variance
                kinds[j] = np.uint8(1) if k > 0.0 else np.uint8(0)
