"""xxHash64 of chunk data: what the ``hash`` field of a chunk carries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xxhash

from athanor.model.tables import ChunkTable


def fill_hashes(chunks: ChunkTable) -> ChunkTable:
    """The same table with every unknown hash (0) of a chunk that has data computed."""
    unknown = np.flatnonzero((chunks.hash == 0) & (chunks.encoding != 0))
    if unknown.size == 0:
        return chunks
    hashes = chunks.hash.copy()
    arena = np.ascontiguousarray(chunks.arena).data
    spans = zip(unknown.tolist(), chunks.at[unknown].tolist(), chunks.size[unknown].tolist(), strict=True)
    for row, at, size in spans:
        hashes[row] = xxhash.xxh64_intdigest(arena[at : at + size])
    return replace(chunks, hash=hashes)
