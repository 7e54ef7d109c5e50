# mypy: ignore-errors
"""Addition, scaling and equality of rows of native histograms, pair by pair."""

from __future__ import annotations

import numpy as np
from numba import types

from athanor.kernel.compile import kernel
from athanor.kernel.types import B1, I64, RF64, RI64, f64, i64, void
from athanor.promql.histogram_code_kernels import GAUGE, HINT
from athanor.promql.histogram_math_kernels import add, equal
from athanor.promql.histogram_work_kernels import BUILT, TABLE, compact, divide, emit, load, new_built, new_work, scale


@kernel(types.Tuple((BUILT, I64))(TABLE, RI64, TABLE, RI64, f64, i64, i64))
def add_pairs(t, rows, u, others, sign, room, n_bounds):
    """t[rows[p]] + sign * u[others[p]], compacted, and for each what `add` tells; a difference is a gauge."""
    w, o = new_work(room, n_bounds), new_work(room, n_bounds)
    b = new_built(rows.size, rows.size * 8)
    told = np.zeros(rows.size, np.int64)
    for p in range(rows.size):
        load(t, rows[p], w)
        load(u, others[p], o)
        told[p] = add(w, o, sign, False)
        if sign < 0.0:
            w.meta[HINT] = GAUGE
        compact(w)
        b = emit(b, w, False)
    return b, told


@kernel(BUILT(TABLE, RI64, RF64, i64, i64, i64, i64))
def scale_rows(t, rows, factors, divides, compacts, room, n_bounds):
    """t[rows[p]] times factors[p], or divided by it."""
    w = new_work(room, n_bounds)
    b = new_built(rows.size, rows.size * 8)
    for p in range(rows.size):
        load(t, rows[p], w)
        if divides == 1:
            divide(w, factors[p])
        else:
            scale(w, factors[p])
        if compacts == 1:
            compact(w)
        b = emit(b, w, False)
    return b


@kernel(void(TABLE, RI64, TABLE, RI64, B1))
def equal_pairs(t, rows, u, others, out):
    for p in range(rows.size):
        out[p] = equal(t, rows[p], u, others[p])
