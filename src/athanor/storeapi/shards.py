"""Vertical sharding: which series belong to a shard (sheet of the StoreAPI, 3.6).

The hash is xxHash64 (seed 0) over name 0xFF value 0xFF of every selected label of the complete label set, in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from athanor.kernel import labels as label_tables
from athanor.model.arrays import I64, U64
from athanor.model.tables import LabelTable
from athanor.storeapi import shard_kernels as kernels
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
    """uint64[n]: the hash of the labels that decide."""
    project = label_tables.keep if shard.by else label_tables.drop
    projected = project(table, shard.labels)
    longest = int(np.diff(projected.offsets).max(initial=0))
    out = np.empty(len(projected), np.uint64)
    kernels.hash_sets(projected.arena, projected.offsets, np.empty(longest, np.uint8), out)
    return out


def matching_rows(table: LabelTable, shard: Shard) -> I64:
    """The rows that belong to the shard, ascending."""
    return np.flatnonzero(shard_hashes(table, shard) % np.uint64(shard.total) == np.uint64(shard.index))


def keep_shard(frame: SeriesFrame, shard: Shard) -> SeriesFrame:
    """The series of a frame that belong to the shard."""
    return SeriesFrame(*reorder(frame.labels, frame.chunks, matching_rows(frame.labels, shard)))
