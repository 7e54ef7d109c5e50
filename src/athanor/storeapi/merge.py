"""The ordered merge: several streams of frames, each in label order, become batches of complete series.

A series is complete when every stream that is still open has passed its label set. Batches come out as soon as they are
complete, in label order, each series once: chunks of equal label sets are joined, identical ones removed, in the
order in which Thanos' proxy sends them (sheet of the StoreAPI, 4.5 and 4.6). One stream alone passes through without
a copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from athanor.kernel.labels import compare, take
from athanor.model.budget import Budget
from athanor.model.tables import ChunkTable, LabelTable
from athanor.storeapi import merge_kernels as kernels
from athanor.storeapi.frames import CHUNK_ROW_BYTES, SeriesFrame
from athanor.storeapi.hashes import fill_hashes
from athanor.storeapi.rows import chunk_starts, data_span, join, take_chunks, take_rows


class FrameSource(Protocol):
    """A stream of frames in label order, not empty ones."""

    def next_frame(self) -> SeriesFrame | None:
        """The next frame, waiting for it; None at the end of the stream."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """Complete series in label order, each label set once.

    held_bytes: reserved in the query's budget for this batch; whoever drops the batch gives them back.
    """

    labels: LabelTable
    chunks: ChunkTable
    held_bytes: int

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(slots=True)
class _Pending:
    """A received frame of which the rows before ``row`` have left."""

    frame: SeriesFrame
    row: int

    @property
    def n_left(self) -> int:
        return len(self.frame) - self.row


class _Stream:
    """What of one stream has arrived and not yet left."""

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self.pending: list[_Pending] = []
        self.ended = False

    def pull(self) -> bool:
        """Wait for one more frame; False at the end."""
        while not self.ended:
            frame = self._source.next_frame()
            if frame is None:
                self.ended = True
            elif len(frame):
                self.pending.append(_Pending(frame, 0))
                return True
        return False

    @property
    def last_labels(self) -> tuple[LabelTable, int]:
        frame = self.pending[-1].frame
        return frame.labels, len(frame) - 1


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows [first, end) of a frame; ``closes`` when they are its last ones, so that the frame can be let go."""

    frame: SeriesFrame
    first: int
    end: int
    closes: bool


def merge_streams(sources: Sequence[FrameSource], budget: Budget) -> Iterator[Batch]:
    """Batches of complete series. Sources have reserved each frame's ``n_bytes`` in the budget; the merge hands that
    on.

    The caller closes the sources, also when it stops early; what the merge still holds then is given back here.
    """
    streams = [_Stream(source) for source in sources]
    try:
        yield from _merge(streams, budget)
    finally:
        for stream in streams:
            for waiting in stream.pending:
                budget.give(waiting.frame.n_bytes)


def _merge(streams: Sequence[_Stream], budget: Budget) -> Iterator[Batch]:
    for stream in streams:
        stream.pull()
    while True:
        live = [stream for stream in streams if stream.pending or not stream.ended]
        if not live:
            return
        if len(live) == 1:
            yield from _pass_through(live[0], budget)
            return
        bottleneck = _slowest(live)
        pieces = _cut(live, bottleneck)
        if pieces:
            yield _combine(pieces, budget)
        if bottleneck is not None:
            bottleneck.pull()


def _slowest(streams: Sequence[_Stream]) -> _Stream | None:
    """The open stream whose last label set is the smallest: it alone decides what is complete."""
    slowest: _Stream | None = None
    for stream in streams:
        if stream.ended:
            continue
        if slowest is None or compare(*stream.last_labels, *slowest.last_labels) < 0:
            slowest = stream
    return slowest


def _cut(streams: Sequence[_Stream], bottleneck: _Stream | None) -> list[_Piece]:
    """Take the rows below the bottleneck's last label set, all rows where no stream is open."""
    bound = bottleneck.last_labels if bottleneck is not None else None
    pieces: list[_Piece] = []
    for stream in streams:
        while stream.pending:
            waiting = stream.pending[0]
            end = len(waiting.frame)
            if bound is not None:
                labels, row = bound
                at, stop = int(labels.offsets[row]), int(labels.offsets[row + 1])
                table = waiting.frame.labels
                end = kernels.rows_below(table.arena, table.offsets, waiting.row, labels.arena, at, stop)
            closes = end == len(waiting.frame)
            if end > waiting.row:
                pieces.append(_Piece(waiting.frame, waiting.row, end, closes))
            waiting.row = end
            if not closes:
                break
            stream.pending.pop(0)
    return pieces


def _pass_through(stream: _Stream, budget: Budget) -> Iterator[Batch]:
    """One stream alone: whole frames, held back by one because its last series may go on in the next frame."""
    while True:
        while len(stream.pending) < 2 and stream.pull():
            pass
        if not stream.pending:
            return
        waiting = stream.pending[0]
        end = len(waiting.frame)
        goes_on = False
        if len(stream.pending) > 1:
            following = stream.pending[1]
            goes_on = compare(waiting.frame.labels, end - 1, following.frame.labels, following.row) == 0
        if not goes_on:
            stream.pending.pop(0)
            yield _combine([_Piece(waiting.frame, waiting.row, end, True)], budget)
            continue
        # The last series goes on: it leaves together with its continuation.
        last = end - 1
        while last > waiting.row and compare(waiting.frame.labels, last - 1, waiting.frame.labels, last) == 0:
            last -= 1
        if last > waiting.row:
            first, waiting.row = waiting.row, last
            yield _combine([_Piece(waiting.frame, first, last, False)], budget)
        stream.pending.pop(0)
        yield _combine(_continued(stream, _Piece(waiting.frame, last, end, True)), budget)


def _continued(stream: _Stream, head: _Piece) -> list[_Piece]:
    """The pieces of the one label set that ``head`` holds and that goes on in the following frames."""
    pieces = [head]
    table, row = head.frame.labels, head.first
    while stream.pending:
        following = stream.pending[0]
        end = following.row
        while end < len(following.frame) and compare(following.frame.labels, end, table, row) == 0:
            end += 1
        closes = end == len(following.frame)
        if end > following.row:
            pieces.append(_Piece(following.frame, following.row, end, closes))
        following.row = end
        if not closes:
            break
        stream.pending.pop(0)
        stream.pull()
    return pieces


def _combine(pieces: Sequence[_Piece], budget: Budget) -> Batch:
    """One batch from sorted runs of rows; hands the bytes of finished frames on, or back."""
    finished = sum(piece.frame.n_bytes for piece in pieces if piece.closes)
    if len(pieces) == 1:
        piece = pieces[0]
        labels, chunks = take_rows(piece.frame.labels, piece.frame.chunks, piece.first, piece.end)
        return Batch(*join_rows(labels, chunks, [0, len(labels)]), finished)
    joined = sum(_piece_bytes(piece) for piece in pieces)
    budget.take("merging series of several stores", joined)
    cuts = [take_rows(piece.frame.labels, piece.frame.chunks, piece.first, piece.end) for piece in pieces]
    labels, chunks, runs = join(cuts)
    batch = Batch(*join_rows(labels, chunks, runs), joined)
    budget.give(finished)
    return batch


def _piece_bytes(piece: _Piece) -> int:
    """At most the bytes of a copy of these rows."""
    frame = piece.frame
    if piece.first == 0 and piece.end == len(frame):
        return frame.n_bytes
    low, high = np.searchsorted(frame.chunks.series, (piece.first, piece.end)).tolist()
    offsets = frame.labels.offsets
    label_bytes = int(offsets[piece.end] - offsets[piece.first]) + 8 * (piece.end - piece.first)
    start, stop = data_span(frame.chunks, low, high)
    return int(label_bytes + CHUNK_ROW_BYTES * (high - low) + stop - start)


def join_rows(labels: LabelTable, chunks: ChunkTable, runs: Sequence[int]) -> tuple[LabelTable, ChunkTable]:
    """Every label set once, in order, with its joined chunks.

    runs: where each sorted run of rows begins, and the end. Chunks of one series are sorted and identical ones
    removed; the arena stays. Where nothing is to do the tables come back as they are.
    """
    order = np.arange(len(labels), dtype=np.int64)
    offsets = np.ascontiguousarray(labels.offsets)
    if len(runs) > 2:
        kernels.merge_runs(labels.arena, offsets, np.array(runs, np.int64), order, np.empty_like(order))
    group_start = np.empty(order.size + 1, np.int64)
    n_groups = kernels.group_rows(labels.arena, offsets, order, group_start)
    group_start = group_start[: n_groups + 1]
    if n_groups == order.size and len(runs) <= 2:
        columns = (chunks.series, chunks.first_ms, chunks.last_ms, chunks.encoding, chunks.aggregate)
        if kernels.first_overlap(*columns) < 0:
            return labels, chunks
    chunks = fill_hashes(chunks)
    rows, owner = np.empty(len(chunks), np.int64), np.empty(len(chunks), np.int32)
    n_rows = kernels.join_chunks(
        order, group_start, chunk_starts(chunks, len(labels)), chunks.first_ms, chunks.last_ms, chunks.encoding,
        chunks.aggregate, chunks.hash, chunks.at, chunks.size, chunks.arena, rows, owner,
    )  # fmt: skip
    return take(labels, order[group_start[:-1]]), take_chunks(chunks, rows[:n_rows], owner[:n_rows].copy())
