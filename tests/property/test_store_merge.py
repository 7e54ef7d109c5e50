"""Blocks merged row by row give what the general merge gives."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from athanor.model.budget import Budget
from athanor.model.tables import ChunkTable, label_table
from athanor.store.align import merge_block_sets
from athanor.storeapi.frames import SeriesFrame
from athanor.storeapi.merge import merge_streams


class Source:
    """Frames at hand, reserved in a budget as a block's are."""

    def __init__(self, frames, budget):
        self._frames = list(frames)
        self._budget = budget

    def next_frame(self):
        if not self._frames:
            return None
        frame = self._frames.pop(0)
        self._budget.take("test", frame.n_bytes)
        return frame


def frame(names, block, n_chunks):
    """Series with chunks of block's own hour; the data says where a chunk comes from."""
    n = len(names) * n_chunks
    data = b"".join(f"{name}/{block}/{c};".encode().ljust(12, b".") for name in names for c in range(n_chunks))
    first_ms = np.tile(np.arange(n_chunks, dtype=np.int64) * 10, len(names)) + 1000 * block
    return SeriesFrame(
        label_table([[("__name__", name)] for name in names]),
        ChunkTable(
            np.repeat(np.arange(len(names), dtype=np.int32), n_chunks), first_ms, first_ms + 5, np.ones(n, np.uint8),
            np.zeros(n, np.uint8), np.zeros(n, np.uint64), np.arange(n, dtype=np.int64) * 12, np.full(n, 12),
            np.frombuffer(data, np.uint8),
        ),
    )  # fmt: skip


def rows(batches, budget):
    found = []
    for batch in batches:
        for i in range(len(batch)):
            chunks = np.flatnonzero(batch.chunks.series == i)
            data = [
                batch.chunks.arena[a : a + s].tobytes()
                for a, s in zip(batch.chunks.at[chunks].tolist(), batch.chunks.size[chunks].tolist(), strict=True)
            ]
            found.append((batch.labels.encoded(i), data))
        budget.give(batch.held_bytes)
    return found


NAMES = st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1).map(sorted)
BLOCKS = st.lists(st.tuples(NAMES, st.integers(1, 3), st.integers(1, 4)), min_size=1, max_size=4)


def sources(blocks, hour, budget):
    made = []
    for i, (names, n_chunks, cut) in enumerate(blocks):
        pieces = [names[a : a + cut] for a in range(0, len(names), cut)]
        made.append(Source([frame(piece, hour(i), n_chunks) for piece in pieces], budget))
    return made


@given(BLOCKS, BLOCKS, st.booleans(), st.booleans())
def test_the_merge_of_blocks_is_the_general_merge(first, second, same_names, same_hours):
    if same_names:
        first = [(first[0][0], n_chunks, cut) for _, n_chunks, cut in first]
    budget = Budget(1 << 30)

    def both():
        return (
            sources(first, lambda i: 9 - i, budget),
            sources(second, lambda i: 9 - i if same_hours else 20 + i, budget),
        )

    expected = rows(merge_streams([s for one in both() for s in one], budget), budget)
    assert rows(merge_block_sets(both(), budget), budget) == expected
    assert budget.held_bytes == 0
    assert rows(merge_block_sets(both()[:1], budget), budget) == rows(merge_streams(both()[0], budget), budget)
    assert budget.held_bytes == 0
