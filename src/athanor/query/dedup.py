"""Turns the chunks of merged series into the samples that PromQL sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from athanor.chunk.xor import decode_chunks
from athanor.model.arrays import I64
from athanor.model.tables import COUNTER, ChunkTable, Samples
from athanor.model.workspace import Workspace
from athanor.query import dedup_kernels as kernels


@dataclass(frozen=True, slots=True)
class Reading:
    """How a selection is read: its bounds (ms, both included), as a counter or not, deduplicated or not.

    Bounds decide more than what is left out: the replica that owns the first sample inside them wins. is_counter:
    each replica loses its resets, and is lifted where it follows another. loses_resets: only the first of these.
    """

    first_ms: int
    last_ms: int
    is_counter: bool
    deduplicate: bool
    loses_resets: bool = False

    @property
    def mode(self) -> int:
        """The same for kernels."""
        if self.is_counter:
            return kernels.LOSES_RESETS | kernels.LIFTS
        return kernels.LOSES_RESETS if self.loses_resets else 0


def read_series(chunks: ChunkTable, starts: I64, reading: Reading, workspace: Workspace) -> Samples:
    """Samples of k series from raw chunks of floats, each series' chunks in order of (first, last) time.

    starts: int64[k+1], the first chunk row of each series. The arrays are the workspace's.
    """
    rows = np.arange(int(starts[0]), int(starts[-1]), dtype=np.int64)
    return read_floats(chunks, rows, starts - starts[0], reading, workspace)


def read_floats(chunks: ChunkTable, rows: I64, starts: I64, reading: Reading, workspace: Workspace) -> Samples:
    """The same of these chunk rows; starts: the first of them of each series."""
    decoded = decode_chunks(chunks, rows, workspace)
    # A downsampled counter holds its last time twice.
    doubled = bool((chunks.aggregate[rows] == COUNTER).any())
    bounds = chunks.first_ms[rows], chunks.last_ms[rows]
    return join_or_fold(decoded, starts, *bounds, reading, workspace, mode=reading.mode, is_plain=not doubled)


def join_or_fold(
    decoded: Samples,
    starts: I64,
    first_ms: I64,
    last_ms: I64,
    reading: Reading,
    workspace: Workspace,
    *,
    mode: int,
    is_plain: bool = True,
) -> Samples:
    """One sequence of each series from the sequences of its chunks, whose bounds are given.

    mode: of the kernels; is_plain: the times within each chunk ascend.
    """
    first_ms, last_ms = np.ascontiguousarray(first_ms), np.ascontiguousarray(last_ms)
    if not kernels.count_overlaps(starts, first_ms, last_ms):
        whole = Samples(decoded.ts_ms, decoded.values, decoded.offsets[starts])
        if is_plain and (not mode or not kernels.count_irregular(whole.values, whole.offsets)):
            # Samples outside the bounds lie outside every window, and nobody else's sample competes with them.
            return whole
        return _join(decoded, starts, reading, workspace, mode)
    if not reading.deduplicate:
        return _join(decoded, starts, reading, workspace, mode)
    return _deduplicate(decoded, starts, first_ms, last_ms, reading, workspace, mode)


def _join(decoded: Samples, starts: I64, reading: Reading, workspace: Workspace, mode: int) -> Samples:
    n = decoded.values.size
    ts, values = workspace.i64("dedup.ts", n), workspace.f64("dedup.values", n)
    offsets = np.empty(starts.size, np.int64)
    kept = kernels.join_sequences(
        starts, decoded.offsets, decoded.ts_ms, decoded.values,
        mode, reading.first_ms, reading.last_ms, ts, values, offsets,
    )  # fmt: skip
    return Samples(ts[:kept], values[:kept], offsets)


def _deduplicate(
    decoded: Samples, starts: I64, first_ms: I64, last_ms: I64, reading: Reading, workspace: Workspace, mode: int
) -> Samples:
    n = decoded.values.size
    most_chunks = int(np.diff(starts).max(initial=0))
    most_samples = int(np.diff(decoded.offsets[starts]).max(initial=0))
    ts, values = workspace.i64("dedup.ts", n), workspace.f64("dedup.values", n)
    offsets = np.empty(starts.size, np.int64)
    scratch = [workspace.i64(f"dedup.{name}", most_chunks) for name in ("ends", "position", "end")]
    kept = kernels.deduplicate(
        starts, first_ms, last_ms, decoded.offsets, decoded.ts_ms, decoded.values,
        mode, reading.first_ms, reading.last_ms,
        workspace.take("dedup.owner", most_chunks, np.int32), *scratch, workspace.f64("dedup.error", most_chunks),
        workspace.i64("dedup.leaf_ts", most_samples), workspace.f64("dedup.leaf_vs", most_samples),
        workspace.i64("dedup.node", most_chunks * kernels.NODE_FIELDS), ts, values, offsets,
    )  # fmt: skip
    return Samples(ts[:kept], values[:kept], offsets)
