"""Start times of counters: what the samples' own word about when counting began changes."""

from __future__ import annotations

import numpy as np

from athanor.model.arrays import F64, I64, U8
from athanor.model.tables import Samples
from athanor.promql import extended_kernels, start_kernels


def cumulate_resets(samples: Samples, events: I64) -> None:
    """events[k]: resets of the series up to its sample k."""
    if samples.start_ms is None:
        extended_kernels.cumulate_resets(samples.values, samples.offsets, events)
    else:
        start_kernels.cumulate_resets(samples.ts_ms, samples.values, samples.start_ms, samples.offsets, events)


def overlaps(samples: Samples, first_ms: int, step_ms: int, n: int, range_ms: int) -> I64:
    """int64[series]: windows with a start time that lies before the sample before it and is not that one's."""
    counts = np.zeros(samples.n_series, np.int64)
    if samples.start_ms is not None:
        start_kernels.count_overlaps(
            samples.ts_ms, samples.start_ms, samples.offsets, first_ms, step_ms, n, range_ms, counts
        )
    return counts


def latest_starts(
    samples: Samples, first_ms: int, step_ms: int, n: int, lookback_ms: int, values: F64, kind: U8
) -> None:
    """Fill values, kind ([series, n]) with the start times (s) of an instant selector's samples, 0 where unknown."""
    starts = samples.start_ms if samples.start_ms is not None else np.zeros(samples.ts_ms.size, np.int64)
    start_kernels.latest_starts(
        samples.ts_ms, samples.values, starts, samples.offsets, first_ms, step_ms, n, lookback_ms, values, kind
    )
