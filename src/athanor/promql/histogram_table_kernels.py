# mypy: ignore-errors
"""Rows of tables of native histograms taken out, and the room that sums of them need."""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import kernel
from athanor.kernel.types import I64, i64, tup
from athanor.promql.histogram_work_kernels import TABLE, Table


@kernel(TABLE(TABLE, I64))
def take(t, rows):
    """These rows in this order; layouts are shared with the source."""
    n = rows.size
    layout = np.empty(n, np.int32)
    hint = np.empty(n, np.uint8)
    count = np.empty(n, np.float64)
    total = np.empty(n, np.float64)
    zero = np.empty(n, np.float64)
    bucket_at = np.empty(n, np.int64)
    at = np.int64(0)
    for i in range(n):
        row = rows[i]
        layout[i] = t.layout[row]
        hint[i] = t.hint[row]
        count[i] = t.count[row]
        total[i] = t.sum[row]
        zero[i] = t.zero[row]
        bucket_at[i] = at
        at += t.pos_at[layout[i] + 1] - t.pos_at[layout[i]]
    buckets = np.empty(at, np.float64)
    for i in range(n):
        size = t.pos_at[layout[i] + 1] - t.pos_at[layout[i]]
        source = t.bucket_at[rows[i]]
        for k in range(size):
            buckets[bucket_at[i] + k] = t.buckets[source + k]
    return Table(
        t.schema, t.threshold, t.index, t.pos_at, t.neg_at, t.bounds, t.bounds_at,
        layout, hint, count, total, zero, bucket_at, buckets,
    )  # fmt: skip


@kernel(tup(i64, i64)(TABLE))
def room(t):
    """What a Work needs that takes in any number of these rows, at any schema: buckets on a side, bounds."""
    low, high, n_pos, n_neg, n_bounds = np.int64(0), np.int64(1), np.int64(0), np.int64(0), np.int64(0)
    for layout in range(t.schema.size):
        n_pos += t.neg_at[layout] - t.pos_at[layout]
        n_neg += t.pos_at[layout + 1] - t.neg_at[layout]
        n_bounds = max(n_bounds, t.bounds_at[layout + 1] - t.bounds_at[layout])
        for k in range(t.pos_at[layout], t.pos_at[layout + 1]):
            low = min(low, np.int64(t.index[k]))
            high = max(high, np.int64(t.index[k]))
    return min(max(n_pos, n_neg), high - low + 1), n_bounds
