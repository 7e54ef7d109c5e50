# mypy: ignore-errors
"""Blocks of steps as samples: what a subquery's inside looks like to the window around it."""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import kernel
from athanor.kernel.types import F64, I64, RF64, RI64, RF64x2, RU8x2, i64


@kernel(i64(RF64x2, RU8x2, i64, i64, I64, F64, I64))
def to_samples(values, kind, first, step, ts, out, offsets):
    """Present cells of each row become its samples. ts, out have room for every cell; returns how many there are."""
    n = np.int64(0)
    offsets[0] = 0
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            if kind[i, j] != 0:
                ts[n] = first + j * step
                out[n] = values[i, j]
                n += 1
        offsets[i + 1] = n
    return n


@kernel(i64(RI64, RF64, RI64, i64, i64, I64, F64, I64))
def cut_samples(ts, values, offsets, after, last, out_ts, out_values, out_offsets):
    """Samples with after < t <= last that are no stale markers."""
    bits = values.view(np.uint64)
    n = np.int64(0)
    out_offsets[0] = 0
    for i in range(offsets.size - 1):
        for k in range(offsets[i], offsets[i + 1]):
            if after < ts[k] <= last and bits[k] != np.uint64(0x7FF0000000000002):
                out_ts[n] = ts[k]
                out_values[n] = values[k]
                n += 1
        out_offsets[i + 1] = n
    return n
