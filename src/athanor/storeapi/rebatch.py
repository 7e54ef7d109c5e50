"""Batches of any size to frames of exactly ``batch_size`` series, or 1 MiB of chunks where that is less."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from athanor.model.budget import Budget
from athanor.model.tables import ChunkTable, LabelTable
from athanor.storeapi.columns import FrameWriter
from athanor.storeapi.frames import FRAME_BYTES
from athanor.storeapi.merge import Batch
from athanor.storeapi.rows import join, take_rows


class Rebatch:
    """Collects series until a frame is full. A remainder waits for the next batch, so that frames are as many as the
    original sends; where bytes bound the frames anyway nothing waits. A batch's bytes go back when it is written."""

    def __init__(self, batch_size: int, budget: Budget, write: FrameWriter) -> None:
        self._write_frames = write
        self._batch_size = max(1, batch_size)
        self._budget = budget
        self._tables: list[tuple[LabelTable, ChunkTable]] = []
        self._n_series = 0
        self._data_bytes = 0
        self._held_bytes = 0

    def add(self, batch: Batch) -> Iterator[bytes]:
        """Frames that are full with this batch."""
        self._tables.append((batch.labels, batch.chunks))
        self._n_series += len(batch)
        self._data_bytes += int(batch.chunks.size.sum())
        self._held_bytes += batch.held_bytes
        if self._data_bytes >= FRAME_BYTES or self._data_bytes * self._batch_size >= FRAME_BYTES * self._n_series:
            yield from self.flush()
        elif self._n_series >= self._batch_size:
            yield from self._write(self._n_series - self._n_series % self._batch_size, batch.held_bytes)

    def flush(self) -> Iterator[bytes]:
        """Everything that waits."""
        if self._tables:
            yield from self._write(self._n_series, 0)

    def _write(self, n_series: int, keep_bytes: int) -> Iterator[bytes]:
        """The first series as frames; what is left is a view, so its bytes stay reserved."""
        labels, chunks = self._tables[0] if len(self._tables) == 1 else join(self._tables)[:2]
        yield from self._write_frames(*take_rows(labels, chunks, 0, n_series), self._batch_size)
        left = len(labels) - n_series
        self._tables = [take_rows(labels, chunks, n_series, len(labels))] if left else []
        kept = keep_bytes if left else 0
        self._budget.give(self._held_bytes - kept)
        self._held_bytes, self._n_series = kept, left
        self._data_bytes = int(self._tables[0][1].size.sum()) if left else 0


def write_batches(
    batches: Iterable[Batch], batch_size: int, limit: int, budget: Budget, write: FrameWriter
) -> Iterator[bytes]:
    """Frames of at most ``limit`` series, 0 for all."""
    waiting, n_series = Rebatch(batch_size, budget, write), 0
    for batch in batches:
        yield from waiting.add(_first(batch, limit - n_series) if limit else batch)
        n_series += len(batch)
        if limit and n_series >= limit:
            break
    yield from waiting.flush()


def _first(batch: Batch, n_series: int) -> Batch:
    if len(batch) <= n_series:
        return batch
    return Batch(*take_rows(batch.labels, batch.chunks, 0, n_series), batch.held_bytes)
