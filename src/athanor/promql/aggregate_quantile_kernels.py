# mypy: ignore-errors
"""The quantile aggregation: columns of a group are gathered for a few steps at a time, then partially sorted."""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import F64, I64, RF64, RI64, F64x2, RF64x2, RU8x2, U8x2, i64, void


@inline
def _insertion_sort(a, lo, hi):
    for i in range(lo + 1, hi):
        v = a[i]
        j = i
        while j > lo and a[j - 1] > v:
            a[j] = a[j - 1]
            j -= 1
        a[j] = v


@inline
def _smallest_first(a, lo, hi):
    """Brings a smallest element of a[lo:hi] to a[lo]."""
    smallest = lo
    for i in range(lo + 1, hi):
        if a[i] < a[smallest]:
            smallest = i
    if lo < hi:
        a[lo], a[smallest] = a[smallest], a[lo]


@inline
def _select(a, n, k):
    """Puts the element of rank k of a[:n] at a[k] and the one of rank k + 1, if there is one, at a[k+1]. No NaN inside.

    Quickselect whose partitions have no branch in their loop. Behind the range still open lies its upper neighbour:
    a[hi] is a smallest of all elements from hi on.
    """
    lo, hi = 0, n
    seed = np.uint64(n)
    while hi - lo > 16:
        seed = seed * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        middle = lo + np.int64((seed >> np.uint64(33)) % np.uint64(hi - lo))
        x, y, z = a[lo], a[middle], a[hi - 1]
        # The median of three becomes the pivot, at the end.
        if (x <= y) == (y <= z):
            a[middle], a[hi - 1] = z, y
        elif (y <= x) == (x <= z):
            a[lo], a[hi - 1] = z, x
        pivot = a[hi - 1]
        store = lo
        for i in range(lo, hi - 1):
            v = a[i]
            a[i] = a[store]
            a[store] = v
            store += 1 if v < pivot else 0
        a[hi - 1] = a[store]
        a[store] = pivot
        if k < store:
            hi = store
        elif k == store:
            _smallest_first(a, store + 1, hi)
            return
        elif store - lo >= (hi - lo) // 8:
            lo = store + 1
        else:
            # Few are below the pivot, so perhaps many are equal to it: gather them behind it.
            equal = store + 1
            for i in range(store + 1, hi):
                v = a[i]
                a[i] = a[equal]
                a[equal] = v
                equal += 1 if v <= pivot else 0
            if k < equal:
                if k + 1 == equal:
                    _smallest_first(a, equal, hi)
                return
            lo = equal
    _insertion_sort(a, lo, hi)


@kernel(void(RF64x2, RU8x2, RI64, RI64, RF64, i64, i64, i64, F64, I64, I64, F64x2, U8x2))
def quantiles(values, kind, rows, group_at, q, first, n, stride, scratch, filled, n_nan, out, out_kind):
    """Quantiles of each group at steps first .. first+n; rows of group g are rows[group_at[g]:group_at[g+1]].

    scratch: n * stride values, stride at least the size of the largest group; filled, n_nan: [n].
    """
    for g in range(group_at.size - 1):
        filled[:n] = 0
        n_nan[:n] = 0
        for e in range(group_at[g], group_at[g + 1]):
            x_row, kinds = values[rows[e]], kind[rows[e]]
            for j in range(n):
                x = x_row[first + j]
                is_float = kinds[first + j] == np.uint8(1)
                scratch[j * stride + filled[j]] = x
                filled[j] += 1 if is_float and not np.isnan(x) else 0
                n_nan[j] += 1 if is_float and np.isnan(x) else 0
        for j in range(n):
            size = filled[j] + n_nan[j]
            if size == 0:
                out[g, first + j] = 0.0
                out_kind[g, first + j] = np.uint8(0)
                continue
            share = q[first + j]
            if np.isnan(share):
                answer = np.nan
            elif share < 0.0:
                answer = -np.inf
            elif share > 1.0:
                answer = np.inf
            else:
                rank = share * (np.float64(size) - 1.0)
                low = np.int64(max(0.0, np.floor(rank)))
                high = min(size - 1, low + 1)
                weight = rank - np.floor(rank)
                if low < n_nan[j]:
                    answer = np.nan
                else:
                    base = j * stride
                    column = scratch[base : base + filled[j]]
                    _select(column, filled[j], low - n_nan[j])
                    lower = column[low - n_nan[j]] * (1.0 - weight)
                    answer = lower + column[high - n_nan[j]] * weight
            out[g, first + j] = answer
            out_kind[g, first + j] = np.uint8(1)
