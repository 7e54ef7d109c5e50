# mypy: ignore-errors
"""Which byte ranges share a request: the gap rule of Thanos pkg/store/bucket.go (gapBasedPartitioner)."""

from __future__ import annotations

from athanor.kernel.compile import kernel
from athanor.kernel.types import I64, RI64, i64


@kernel(i64(RI64, RI64, i64, I64, I64, I64))
def partition(start, end, max_gap, part_start, part_end, part_of):
    """Parts of ranges sorted by start: a range joins the part whose end is at most ``max_gap`` before its start.

    part_of: int64[n], the part of each range. Returns the number of parts; all outputs have room for n.
    """
    n_parts = 0
    for i in range(start.size):
        if n_parts == 0 or part_end[n_parts - 1] + max_gap < start[i]:
            part_start[n_parts] = start[i]
            part_end[n_parts] = end[i]
            n_parts += 1
        elif end[i] > part_end[n_parts - 1]:
            part_end[n_parts - 1] = end[i]
        part_of[i] = n_parts - 1
    return n_parts
