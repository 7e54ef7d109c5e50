"""Rates of the StoreAPI's kernels on one core: reading frames, writing frames, hashing chunks, merging streams.

    python bench/storeapi.py [rounds]

Generated data, fixed seed: series of ten label pairs, chunks of 100 bytes; the best of the rounds counts. Run it on an
otherwise idle machine and state the machine beside the numbers.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from athanor.model.budget import Budget
from athanor.model.tables import ENCODING_XOR, ChunkTable, LabelTable, label_table
from athanor.storeapi.frames import SeriesFrame, read_series_frame, write_series_frames
from athanor.storeapi.hashes import fill_hashes
from athanor.storeapi.merge import merge_streams

CHUNK_BYTES = 100
FIRST_MS = 1_700_000_000_000


def series_tables(n_series: int, n_chunks: int, shift_ms: int = 0) -> tuple[LabelTable, ChunkTable]:
    """n series of ten label pairs with the same number of chunks each."""
    pairs = [(f"label{j}", f"value{j}") for j in range(9)]
    labels = label_table([[("__name__", f"metric_{i:06}"), *pairs] for i in range(n_series)])
    n = n_series * n_chunks
    random = np.random.default_rng(1 + shift_ms)
    first_ms = np.tile(np.arange(n_chunks) * 1_800_000 + FIRST_MS + shift_ms, n_series)
    chunks = ChunkTable(
        np.repeat(np.arange(n_series, dtype=np.int32), n_chunks),
        first_ms,
        first_ms + 1_785_000,
        np.full(n, ENCODING_XOR, np.uint8),
        np.zeros(n, np.uint8),
        random.integers(1, 2**63, n, dtype=np.uint64),
        np.arange(n) * CHUNK_BYTES,
        np.full(n, CHUNK_BYTES),
        random.integers(0, 256, n * CHUNK_BYTES, dtype=np.uint8),
    )
    return labels, chunks


class Frames:
    """A source of frames that are already there."""

    def __init__(self, frames: list[SeriesFrame]) -> None:
        self._frames = iter(frames)

    def next_frame(self) -> SeriesFrame | None:
        return next(self._frames, None)


def best_s(rounds: int, work: Callable[[], object]) -> float:
    """Seconds of the fastest round."""
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def merge_all(streams: list[list[SeriesFrame]]) -> None:
    budget = Budget(1 << 50)
    budget.take("frames that were read before", 1 << 40)
    for batch in merge_streams([Frames(frames) for frames in streams], budget):
        budget.give(batch.held_bytes)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    for n_series, n_chunks in ((10_000, 4), (10_000, 12), (1_000, 120)):
        labels, chunks = series_tables(n_series, n_chunks)
        written = list(write_series_frames(labels, chunks, 1000))
        unknown = replace(chunks, hash=np.zeros(len(chunks), np.uint64))
        streams = [
            [read_series_frame(f) for f in write_series_frames(*series_tables(n_series, n_chunks, shift), 1000)]
            for shift in (0, 7, 11)
        ]
        works: dict[str, tuple[int, Callable[[], object]]] = {
            "write frames": (1, lambda t=labels, c=chunks: list(write_series_frames(t, c, 1000))),
            "read frames": (1, lambda w=written: [read_series_frame(f) for f in w]),
            "hash chunks": (1, lambda u=unknown: fill_hashes(u)),
            "merge 1 stream": (1, lambda s=streams: merge_all(s[:1])),
            "merge 3 streams": (3, lambda s=streams: merge_all(s)),
        }
        for name, (times, work) in works.items():
            rate = times * len(chunks) / best_s(rounds, work) / 1e6
            print(f"{n_series:6} series x {n_chunks:3} chunks   {name:16} {rate:8.2f} M chunks/s")


if __name__ == "__main__":
    main()
