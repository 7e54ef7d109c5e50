"""Answers with native histograms as JSON: what `json_result` writes where a point is more than a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from athanor.kernel.lazy import LazyKernels
from athanor.model.arrays import B1, F64, I64, U8
from athanor.model.tables import FLOAT, HISTOGRAM, Histograms, LabelTable, Samples, StepBlock
from athanor.promql.histograms import bucket_lists

kernels = LazyKernels("athanor.query.histogram_json_kernels")

POINT_BYTES = 24 + 28


@dataclass(frozen=True, slots=True)
class MixedPoints:
    """Points of k series, floats and histograms apart; float_at, native_at: int64[k+1]."""

    labels: LabelTable
    float_ts: I64
    float_values: F64
    float_at: I64
    native_ts: I64
    native_count: F64
    native_sum: F64
    native_at: I64
    buckets: tuple[I64, F64, F64, F64, I64]

    def sizes(self) -> I64:
        """At most the bytes of each series' points."""
        per_bucket, per_histogram = kernels.BUCKET_BYTES, kernels.HISTOGRAM_BYTES
        buckets = self.buckets[0][self.native_at]
        sizes: I64 = np.diff(self.float_at) * POINT_BYTES
        sizes += np.diff(self.native_at) * per_histogram + np.diff(buckets) * per_bucket
        return sizes

    def writer(self, single: bool, first: int, end: int) -> Callable[[U8], int]:
        """Writes the series first..end-1 to a buffer; single: the one point of a vector instead of lists."""

        def write(out: U8) -> int:
            return int(
                kernels.write_series(
                    self.labels.arena, self.labels.offsets, self.float_ts, self.float_values, self.float_at,
                    self.native_ts, self.native_count, self.native_sum, self.native_at, *self.buckets,
                    single, first, end, out,
                )
            )  # fmt: skip

        return write


def points_of_block(block: StepBlock) -> MixedPoints:
    """The cells of a block that has histograms."""
    assert block.histograms is not None
    steps = block.grid.steps_ms()
    floats, natives = block.kind == FLOAT, block.kind == HISTOGRAM
    return _points(
        block.labels, block.histograms,
        steps[np.nonzero(floats)[1]], block.values[floats], _starts(np.count_nonzero(floats, axis=1)),
        steps[np.nonzero(natives)[1]], block.values[natives], _starts(np.count_nonzero(natives, axis=1)),
    )  # fmt: skip


def points_of_samples(labels: LabelTable, samples: Samples) -> MixedPoints:
    """The samples of series that have histograms."""
    assert samples.kind is not None and samples.histograms is not None
    first, end = int(samples.offsets[0]), int(samples.offsets[-1])
    ts, values, kind = samples.ts_ms[first:end], samples.values[first:end], samples.kind[first:end]
    floats: B1 = kind == FLOAT
    before: I64 = np.concatenate((np.zeros(1, np.int64), np.cumsum(floats, dtype=np.int64)))
    places = samples.offsets - first
    return _points(
        labels, samples.histograms, ts[floats], values[floats], before[places],
        ts[~floats], values[~floats], places - before[places],
    )  # fmt: skip


def _starts(counts: I64) -> I64:
    starts = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    return starts


def _points(
    labels: LabelTable, table: Histograms, float_ts: I64, float_values: F64, float_at: I64, native_ts: I64,
    cells: F64, native_at: I64,
) -> MixedPoints:  # fmt: skip
    rows = cells.astype(np.int64)
    return MixedPoints(
        labels, float_ts, float_values, float_at, native_ts, table.count[rows], table.sum[rows], native_at,
        bucket_lists(table, rows),
    )  # fmt: skip
