# mypy: ignore-errors
"""stddev_over_time and stdvar_over_time over float samples; series, steps and windows as in ``window_kernels``.

Prometheus' sums are compensated and run through each window from its begin, so nothing slides; the arithmetic is
exactly in its order (promql/functions.go varianceOverTime).
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline, inlined, kernel
from athanor.kernel.types import I64, RF64, RI64, F64x2, U8x2, i64, void
from athanor.promql.kahan_kernels import inc_without_branch


@inlined
def _moved(v, count, mean, mean_c, aux, aux_c):
    """Mean and sum of squared distances with one value more."""
    d = v - (mean + mean_c)
    mean, mean_c = inc_without_branch(d / count, mean, mean_c)
    aux, aux_c = inc_without_branch(d * (v - (mean + mean_c)), aux, aux_c)
    return mean, mean_c, aux, aux_c


@inline
def _variance(values, lo, hi, done, mean, mean_c, aux, aux_c):
    """Of the window lo..hi-1 whose first `done` values are in already."""
    for k in range(lo + done, hi):
        mean, mean_c, aux, aux_c = _moved(values[k], np.float64(k - lo + 1), mean, mean_c, aux, aux_c)
    return (aux + aux_c) / (hi - lo)


@kernel(void(RI64, RF64, RI64, i64, i64, i64, i64, i64, I64, I64, F64x2, U8x2))
def variances(ts, values, offsets, first, step, n, range_ms, is_deviation, los, his, out, kind):
    """stdvar_over_time (0) and stddev_over_time (1), compensated as Prometheus'. los, his: scratch of n.

    Each value of a window waits for the one before it, through a division; four windows go side by side.
    """
    for i in range(offsets.size - 1):
        start, end = offsets[i], offsets[i + 1]
        lo = start
        hi = start
        b = first
        for j in range(n):
            a = b - range_ms
            while hi < end and ts[hi] <= b:
                hi += 1
            while lo < hi and ts[lo] <= a:
                lo += 1
            los[j] = lo
            his[j] = hi
            b += step
        j = np.int64(0)
        while j < n:
            together = np.int64(0)
            if j + 4 <= n:
                together = min(
                    his[j] - los[j], his[j + 1] - los[j + 1], his[j + 2] - los[j + 2], his[j + 3] - los[j + 3]
                )
            if together > 0:
                l0, l1, l2, l3 = los[j], los[j + 1], los[j + 2], los[j + 3]
                m0 = c0 = a0 = e0 = m1 = c1 = a1 = e1 = m2 = c2 = a2 = e2 = m3 = c3 = a3 = e3 = 0.0
                for k in range(together):
                    count = np.float64(k + 1)
                    m0, c0, a0, e0 = _moved(values[l0 + k], count, m0, c0, a0, e0)
                    m1, c1, a1, e1 = _moved(values[l1 + k], count, m1, c1, a1, e1)
                    m2, c2, a2, e2 = _moved(values[l2 + k], count, m2, c2, a2, e2)
                    m3, c3, a3, e3 = _moved(values[l3 + k], count, m3, c3, a3, e3)
                out[i, j] = _variance(values, l0, his[j], together, m0, c0, a0, e0)
                out[i, j + 1] = _variance(values, l1, his[j + 1], together, m1, c1, a1, e1)
                out[i, j + 2] = _variance(values, l2, his[j + 2], together, m2, c2, a2, e2)
                out[i, j + 3] = _variance(values, l3, his[j + 3], together, m3, c3, a3, e3)
                for k in range(j, j + 4):
                    kind[i, k] = 1
                j += 4
            else:
                kind[i, j] = his[j] > los[j]
                out[i, j] = _variance(values, los[j], his[j], 0, 0.0, 0.0, 0.0, 0.0) if his[j] > los[j] else 0.0
                j += 1
        if is_deviation == 1:
            for j in range(n):
                out[i, j] = np.sqrt(out[i, j])
