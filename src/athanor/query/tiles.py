"""Tiles of a merged batch: some complete series each, still encoded, read by one selection or by several."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from athanor.chunk.xor import decode_chunks
from athanor.chunk.xor_kernels import count_samples
from athanor.kernel import labels as label_sets
from athanor.model.arrays import B1, I64
from athanor.model.budget import Budget
from athanor.model.matchers import Matcher
from athanor.model.tables import COUNT, ENCODING_XOR, ENCODING_XOR2, SUM, ChunkTable, LabelTable, Samples
from athanor.model.workspace import Workspace
from athanor.query import dedup_kernels as kernels
from athanor.query.aggregates import average_rows, choose_rows, read_average
from athanor.query.dedup import Reading, join_or_fold, read_series
from athanor.query.mixed_reading import has_histograms, read_mixed, weigh_histograms
from athanor.storeapi.merge import Batch
from athanor.storeapi.rows import chunk_starts, take_chunks

TILE_SAMPLES = 1_000_000  # 5 to 20 ms of work for a kernel


class _Held:
    """The bytes of a batch, given back when its last tile has been decoded or dropped."""

    def __init__(self, budget: Budget, n_bytes: int, n_tiles: int) -> None:
        self._budget, self._n_bytes, self._left = budget, n_bytes, n_tiles

    def release(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._budget.give(self._n_bytes)


@dataclass(frozen=True, slots=True)
class SeriesTile:
    """Some complete series of a batch, still encoded. A native histogram counts as many samples as it takes bytes."""

    labels: LabelTable
    n_samples_bound: int
    chunks: ChunkTable
    starts: I64
    aggregates: tuple[int, ...]
    reading: Reading
    held: _Held

    def samples(self, workspace: Workspace) -> Samples:
        try:
            return _read(self.chunks, self.starts, self.aggregates, self.reading, workspace)
        finally:
            self.held.release()

    def drop(self) -> None:
        """Give the memory back without decoding."""
        self.held.release()


def _read(
    chunks: ChunkTable, starts: I64, aggregates: tuple[int, ...], reading: Reading, workspace: Workspace
) -> Samples:
    if aggregates == (COUNT, SUM) and average_rows(chunks, starts):
        return read_average(chunks, starts, reading, workspace)
    chunks, starts = choose_rows(chunks, starts, aggregates)
    read = read_mixed if has_histograms(chunks, starts) else read_series
    return read(chunks, starts, reading, workspace)


@dataclass(frozen=True, slots=True)
class PartReading:
    """How one selection reads tiles that serve several. matchers: its conditions beyond those of all series; first_ms,
    last_ms: it has the chunks that hold any of this time."""

    matchers: tuple[Matcher, ...]
    aggregates: tuple[int, ...]
    reading: Reading
    first_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class _PartRows:
    """series: of the tile; chunks: rows of them in the table, starts: the first of these of each series."""

    series: I64
    chunks: I64
    starts: I64


class SharedSeriesTile:
    """Some complete series that several selections read. Each sees the series and chunks that it would have been sent
    for its own conditions and its own time, and deduplicates them alone; only decoding is done once. Samples outside
    that time may be among them, as they are in chunks that reach beyond it."""

    def __init__(
        self, labels: LabelTable, bound: int, chunks: ChunkTable, starts: I64, parts: Sequence[PartReading], held: _Held
    ) -> None:
        self.labels, self.n_samples_bound = labels, bound
        self._chunks, self._starts, self._parts, self._held = chunks, starts, parts, held
        self._rows: dict[int, _PartRows] = {}
        self._decoded: Samples | None = None
        own = slice(int(starts[0]), int(starts[-1]))
        self._is_raw = not chunks.aggregate[own].any()
        self._is_plain = self._is_raw and bool(np.isin(chunks.encoding[own], (ENCODING_XOR, ENCODING_XOR2)).all())

    def rows(self, part: int) -> I64:
        return self._of_part(part).series

    def _of_part(self, part: int) -> _PartRows:
        known = self._rows.get(part)
        if known is None:
            known = self._rows[part] = self._chosen(self._parts[part])
        return known

    def _chosen(self, part: PartReading) -> _PartRows:
        first, end = int(self._starts[0]), int(self._starts[-1])
        counts = np.diff(self._starts)
        inside = self._chunks.first_ms[first:end] <= part.last_ms
        inside &= self._chunks.last_ms[first:end] >= part.first_ms
        if part.matchers:
            inside &= np.repeat(_accepted(self.labels, part.matchers), counts)
        before = np.concatenate((np.zeros(1, np.int64), np.cumsum(inside)))[self._starts - first]
        kept = np.diff(before)
        series = np.flatnonzero(kept)
        return _PartRows(series, np.flatnonzero(inside) + first, np.append(before[:-1][series], before[-1]))

    def samples(self, part: int, workspace: Workspace) -> Samples:
        rows, how = self._of_part(part), self._parts[part]
        if not self._is_plain:
            chunks = take_chunks(self._chunks, rows.chunks, self._chunks.series[rows.chunks])
            return _read(chunks, rows.starts, how.aggregates, how.reading, workspace)
        first, end = int(self._starts[0]), int(self._starts[-1])
        if self._decoded is None:
            self._decoded = decode_chunks(self._chunks, np.arange(first, end), workspace)
        decoded = self._decoded
        if rows.chunks.size != end - first:
            if rows.series.size == len(self.labels) and self._is_only_later_or_earlier(decoded, how.reading.mode):
                return Samples(decoded.ts_ms, decoded.values, decoded.offsets[self._starts - first])
            decoded = _taken(decoded, rows.chunks - first, workspace)
        bounds = self._chunks.first_ms[rows.chunks], self._chunks.last_ms[rows.chunks]
        return join_or_fold(decoded, rows.starts, *bounds, how.reading, workspace, mode=how.reading.mode)

    def _is_only_later_or_earlier(self, decoded: Samples, mode: int) -> bool:
        """Whether chunks outside a part's time can stay: one replica alone, read as it is; no window looks there."""
        own = slice(int(self._starts[0]), int(self._starts[-1]))
        starts = self._starts - own.start
        bounds = (np.ascontiguousarray(c[own]) for c in (self._chunks.first_ms, self._chunks.last_ms))
        if kernels.count_overlaps(starts, *bounds):
            return False
        return not mode or not kernels.count_irregular(decoded.values, decoded.offsets[starts])

    def alike(self, part: int, other: int) -> bool:
        first, second = self._parts[part], self._parts[other]
        same_chunks = (first.first_ms, first.last_ms) == (second.first_ms, second.last_ms)
        same = same_chunks and first.reading == second.reading
        return same and (self._is_raw or first.aggregates == second.aggregates)

    def drop(self) -> None:
        self._held.release()


def _accepted(table: LabelTable, matchers: Sequence[Matcher]) -> B1:
    """The series that fulfil all conditions; each is decided once for each value."""
    accepted: B1 = np.ones(len(table), np.bool_)
    for matcher in matchers:
        column = label_sets.column(table, matcher.name)
        decided = [matcher.matches(value.decode("utf-8", "surrogateescape")) for value in column.values]
        accepted &= np.array(decided, np.bool_)[column.codes]
    return accepted


def _taken(decoded: Samples, rows: I64, workspace: Workspace) -> Samples:
    """Some of the sequences, in arrays of their own."""
    n = int(np.diff(decoded.offsets)[rows].sum())
    ts, values = workspace.i64("part.ts", n), workspace.f64("part.values", n)
    offsets = np.empty(rows.size + 1, np.int64)
    kernels.take_sequences(rows, decoded.offsets, decoded.ts_ms, decoded.values, ts, values, offsets)
    return Samples(ts, values, offsets)


def _tile_borders(starts: I64, n_samples: I64) -> list[int]:
    """Rows where tiles begin, and the end: whole series, about TILE_SAMPLES together."""
    total = np.concatenate((np.zeros(1, np.int64), np.cumsum(n_samples)))[starts]
    borders, n_series = [0], starts.size - 1
    while borders[-1] < n_series:
        reached = int(np.searchsorted(total, total[borders[-1]] + TILE_SAMPLES, "right")) - 1
        borders.append(min(n_series, max(reached, borders[-1] + 1)))
    return borders


@dataclass(frozen=True, slots=True)
class _Cut:
    """Whole series of a batch."""

    labels: LabelTable
    bound: int
    starts: I64
    held: _Held


def _cuts(batch: Batch, budget: Budget) -> Generator[_Cut, None, None]:
    chunks = batch.chunks
    n_samples = np.zeros(len(chunks), np.int64)
    count_samples(chunks.arena, np.ascontiguousarray(chunks.at), np.ascontiguousarray(chunks.size), n_samples)
    weigh_histograms(chunks, n_samples)
    starts = chunk_starts(chunks, len(batch.labels))
    borders = _tile_borders(starts, n_samples)
    held = _Held(budget, batch.held_bytes, len(borders) - 1)
    left = len(borders) - 1
    try:
        for first, end in itertools.pairwise(borders):
            rows = starts[first : end + 1]
            labels = LabelTable(batch.labels.arena, batch.labels.offsets[first : end + 1])
            left -= 1
            yield _Cut(labels, int(n_samples[rows[0] : rows[-1]].sum()), rows, held)
    finally:
        for _ in range(left):  # nobody will ask for them any more
            held.release()


def tiles_of(batch: Batch, aggregates: tuple[int, ...], reading: Reading, budget: Budget) -> Iterator[SeriesTile]:
    """Cut a batch into tiles of whole series."""
    with closing(_cuts(batch, budget)) as cuts:
        for cut in cuts:
            yield SeriesTile(cut.labels, cut.bound, batch.chunks, cut.starts, aggregates, reading, cut.held)


def shared_tiles_of(batch: Batch, parts: Sequence[PartReading], budget: Budget) -> Iterator[SharedSeriesTile]:
    """The same for several selections."""
    with closing(_cuts(batch, budget)) as cuts:
        for cut in cuts:
            yield SharedSeriesTile(cut.labels, cut.bound, batch.chunks, cut.starts, parts, cut.held)
