# mypy: ignore-errors
"""The mean of native histograms: a sum until it overflows, an incremental mean from there on."""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline
from athanor.promql.histogram_code_kernels import COUNT, N_BOUNDS, N_NEG, N_POS, SUM, ZERO
from athanor.promql.histogram_math_kernels import add
from athanor.promql.histogram_work_kernels import divide, scale


@inline
def copy_work(source, w):
    w.meta[:] = source.meta
    w.scalars[:] = source.scalars
    n = source.meta[N_POS]
    w.pos[:n] = source.pos[:n]
    w.pos_v[:n] = source.pos_v[:n]
    w.pos_c[:n] = source.pos_c[:n]
    n = source.meta[N_NEG]
    w.neg[:n] = source.neg[:n]
    w.neg_v[:n] = source.neg_v[:n]
    w.neg_c[:n] = source.neg_c[:n]
    n = source.meta[N_BOUNDS]
    w.bounds[:n] = source.bounds[:n]


@inline
def _overflows(w):
    if np.isinf(w.scalars[COUNT]) or np.isinf(w.scalars[SUM]) or np.isinf(w.scalars[ZERO]):
        return True
    for k in range(w.meta[N_POS]):
        if np.isinf(w.pos_v[k]):
            return True
    for k in range(w.meta[N_NEG]):
        if np.isinf(w.neg_v[k]):
            return True
    return False


@inline
def average_step(w, o, backup, n, incremental):
    """Takes in the n-th histogram: (what `add` tells, whether w is a mean by now, else it is a sum)."""
    if not incremental:
        copy_work(w, backup)
        told = add(w, o, 1.0, True)
        if told < 0 or not _overflows(w):
            return told, False
        copy_work(backup, w)
        divide(w, n - 1.0)
    scale(w, (n - 1.0) / n)
    divide(o, n)
    return add(w, o, 1.0, True), True
