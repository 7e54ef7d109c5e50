"""Byte ranges coalesced into the requests that read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from athanor.model.arrays import I64
from athanor.store import partition_kernels as kernels

MAX_GAP_BYTES = 512 * 1024  # ranges nearer than this share one request (Thanos pkg/store/bucket.go)
NEAR_GAP_BYTES = 32 * 1024
MAX_WASTE_BYTES = 128 * 1024
FEW_PARTS = 4


@dataclass(frozen=True, slots=True)
class Parts:
    """Requests: start, end int64[p] (end excluded), and part_of int64[n], the request that covers each range."""

    start: I64
    end: I64
    part_of: I64

    @property
    def n_bytes(self) -> int:
        return int((self.end - self.start).sum())


def partition(start: I64, end: I64, max_gap_bytes: int = MAX_GAP_BYTES) -> Parts:
    """Ranges [start, end), sorted by start, joined where the gap between them is at most ``max_gap_bytes``."""
    n = start.size
    if n == 1:
        return Parts(start, end, np.zeros(1, np.int64))
    part_start, part_end, part_of = (np.empty(n, np.int64) for _ in range(3))
    n_parts = kernels.partition(start, end, max_gap_bytes, part_start, part_end, part_of)
    return Parts(part_start[:n_parts].copy(), part_end[:n_parts].copy(), part_of)


def frugal_partition(start: I64, end: I64) -> Parts:
    """Like ``partition``, but a few far ranges are read alone rather than with the half megabytes between them.

    The wide gap stands where it wastes little; else the narrow one where it still makes few requests.
    """
    wide = partition(start, end)
    if wide.n_bytes - int((end - start).sum()) <= MAX_WASTE_BYTES:
        return wide
    near = partition(start, end, NEAR_GAP_BYTES)
    return near if near.start.size <= max(FEW_PARTS, 2 * wide.start.size) else wide
