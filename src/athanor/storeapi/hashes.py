"""xxHash64 of chunk data: what the ``hash`` field of a chunk carries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from athanor.kernel.checksum_kernels import xxhash64_spans
from athanor.model.tables import ChunkTable


def fill_hashes(chunks: ChunkTable) -> ChunkTable:
    """The same table with every unknown hash (0) of a chunk that has data computed."""
    unknown = np.flatnonzero((chunks.hash == 0) & (chunks.encoding != 0))
    if unknown.size == 0:
        return chunks
    found = np.empty(unknown.size, np.uint64)
    outside = xxhash64_spans(chunks.arena, chunks.at[unknown], chunks.size[unknown], found)
    if outside >= 0:
        raise AssertionError(f"BUG: chunk row {unknown[outside]} lies outside its arena of {chunks.arena.size} bytes")
    hashes = chunks.hash.copy()
    hashes[unknown] = found
    return replace(chunks, hash=hashes)
