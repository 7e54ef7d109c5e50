"""Vertical sharding: which series belong to a shard (sheet of the StoreAPI, 3.6).

The hash is xxHash64 (seed 0) over name 0xFF value 0xFF of every selected label of the complete label set, in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xxhash

from athanor.kernel import labels as label_tables
from athanor.model.arrays import I64, U64
from athanor.model.tables import LabelTable, decode_label_set
from athanor.storeapi.frames import SeriesFrame
from athanor.storeapi.rows import reorder


@dataclass(frozen=True, slots=True)
class Shard:
    """One of ``total`` shards. by: the labels that decide, else the labels that do not."""

    index: int
    total: int
    by: bool
    labels: tuple[str, ...]


def shard_of(info: Any) -> Shard | None:
    """The shard that a ``ShardInfo`` message names; None where it matches everything."""
    if info.total_shards < 1:
        return None
    return Shard(info.shard_index, info.total_shards, info.by, tuple(info.labels))


def shard_hashes(table: LabelTable, shard: Shard) -> U64:
    """uint64[n]. Equal projections are hashed once: sharding is by few labels."""
    project = label_tables.keep if shard.by else label_tables.drop
    projected = project(table, shard.labels)
    codes, firsts = label_tables.unique(projected)
    distinct = np.empty(firsts.size, np.uint64)
    for i, row in enumerate(firsts.tolist()):
        pairs = decode_label_set(projected.encoded(row))
        text = b"".join(name.encode() + b"\xff" + value.encode() + b"\xff" for name, value in pairs)
        distinct[i] = xxhash.xxh64_intdigest(text)
    return distinct[codes]


def matching_rows(table: LabelTable, shard: Shard) -> I64:
    """The rows that belong to the shard, ascending."""
    return np.flatnonzero(shard_hashes(table, shard) % np.uint64(shard.total) == np.uint64(shard.index))


def keep_shard(frame: SeriesFrame, shard: Shard) -> SeriesFrame:
    """The series of a frame that belong to the shard."""
    return SeriesFrame(*reorder(frame.labels, frame.chunks, matching_rows(frame.labels, shard)))
