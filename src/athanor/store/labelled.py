"""Series of one block with their labels and the places of their chunks, which are not yet read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from athanor.kernel.labels import concat, sort_order, take
from athanor.model.arrays import I64
from athanor.model.tables import LabelTable

FAR_BYTES = 64 * 1024
TYPICAL_CHUNK_BYTES = 512
KEPT_SERIES = 32
"""So few series of a block are kept between requests: a panel or a rule asks for the same ones again."""


@dataclass(frozen=True, slots=True)
class LabelledSeries:
    """Columns of chunks as in SeriesEntries."""

    labels: LabelTable
    chunk_at: I64
    first_ms: I64
    last_ms: I64
    ref: I64

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def n_bytes(self) -> int:
        return self.labels.n_bytes + self.chunk_at.nbytes + 3 * self.ref.nbytes

    def within(self, first_ms: int, last_ms: int) -> LabelledSeries:
        """Only chunks that touch the closed span, and series that have one."""
        inside = (self.first_ms <= last_ms) & (self.last_ms >= first_ms)
        if inside.all():
            return self
        before = np.zeros(inside.size + 1, np.int64)
        np.cumsum(inside, out=before[1:])
        chunk_at = before[self.chunk_at]
        found = LabelledSeries(self.labels, chunk_at, *(c[inside] for c in (self.first_ms, self.last_ms, self.ref)))
        return found.with_chunks()

    def with_chunks(self) -> LabelledSeries:
        """Without the series that have no chunk."""
        rows = np.flatnonzero(np.diff(self.chunk_at))
        if rows.size == len(self):
            return self
        chunk_at = np.append(self.chunk_at[rows], self.chunk_at[-1])
        return LabelledSeries(take(self.labels, rows), chunk_at, self.first_ms, self.last_ms, self.ref)


@dataclass(frozen=True, slots=True)
class KeptSeries:
    """A few series of a block with all their chunks, in label order. keeps_order: see ``LabelOverlay``."""

    series: LabelledSeries
    keeps_order: bool

    @property
    def nbytes(self) -> int:
        return self.series.n_bytes


def in_label_order(batches: Sequence[LabelledSeries]) -> LabelledSeries:
    """All of them."""
    joined = batches[0] if len(batches) == 1 else _joined(batches)
    order = sort_order(joined.labels)
    if (order[1:] > order[:-1]).all():
        return joined
    return reordered(joined, order)


def _joined(batches: Sequence[LabelledSeries]) -> LabelledSeries:
    counts = np.concatenate([np.diff(batch.chunk_at) for batch in batches])
    chunk_at = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=chunk_at[1:])
    return LabelledSeries(
        concat([batch.labels for batch in batches]),
        chunk_at,
        np.concatenate([batch.first_ms for batch in batches]),
        np.concatenate([batch.last_ms for batch in batches]),
        np.concatenate([batch.ref for batch in batches]),
    )


def reordered(batch: LabelledSeries, rows: I64) -> LabelledSeries:
    """These series."""
    counts = np.diff(batch.chunk_at)[rows]
    chunk_at = np.zeros(rows.size + 1, np.int64)
    np.cumsum(counts, out=chunk_at[1:])
    chunks = np.repeat(batch.chunk_at[rows] - chunk_at[:-1], counts) + np.arange(chunk_at[-1])
    return LabelledSeries(
        take(batch.labels, rows), chunk_at, batch.first_ms[chunks], batch.last_ms[chunks], batch.ref[chunks]
    )


def data_ends(batch: LabelledSeries) -> I64:
    """Bytes of chunk data before each series, and of all: by the distance of references, as sizes are not known yet."""
    distance = np.diff(batch.ref, append=0)
    guess = np.where((distance > 0) & (distance < FAR_BYTES), distance, TYPICAL_CHUNK_BYTES)
    total = np.zeros(guess.size + 1, np.int64)
    np.cumsum(guess, out=total[1:])
    return total[batch.chunk_at]
