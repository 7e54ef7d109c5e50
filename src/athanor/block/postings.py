"""Postings: sets of series as ascending uint32 references.

A reference of index version 2 is the byte offset of the series entry divided by 16, of version 1 the offset itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from athanor.block import postings_kernels as kernels
from athanor.model.arrays import I64, U8, U32
from athanor.model.errors import DataError

EMPTY: U32 = np.empty(0, np.uint32)


def read_lists(data: U8, at: I64, end: I64, where: str) -> tuple[U32, I64]:
    """Decode k lists of a buffer in one call: (references, offsets int64[k+1]).

    at, end: int64[k], where each list's count field begins and the position that it must not pass; data need not be the
    whole file. Raises DataError (``where`` names block and file) for a list that is cut or does not ascend.
    """
    offsets = np.empty(at.size + 1, np.int64)
    bad = kernels.count_entries(data, at, end, offsets)
    if bad:
        i = -bad - 1
        raise DataError(f"{where}: postings list of {int(end[i] - at[i])} bytes is shorter than its count says")
    refs = np.empty(int(offsets[-1]), np.uint32)
    bad = kernels.decode_entries(data, at, offsets, refs)
    if bad:
        raise DataError(f"{where}: postings list {-bad - 1} of {at.size} read together does not ascend")
    return refs, offsets


def union(refs: U32, offsets: I64) -> U32:
    """References in any of the lists ``refs[offsets[i]:offsets[i+1]]``; one list alone is returned without a copy."""
    if offsets.size <= 2:
        return refs[offsets[0] : offsets[-1]]
    merged = refs.copy()
    n = kernels.union_in_place(merged, offsets.copy(), np.empty_like(merged))
    return merged[:n]


def intersection(sets: Sequence[U32]) -> U32:
    """References in all sets; of no set: empty."""
    if not sets:
        return EMPTY
    ordered = sorted(sets, key=lambda refs: refs.size)
    found = ordered[0]
    for other in ordered[1:]:
        if not found.size:
            return EMPTY
        out = np.empty(found.size, np.uint32)
        found = out[: kernels.intersect(found, other, out)]
    return found


def difference(refs: U32, removed: U32) -> U32:
    """References of the first set that the second lacks."""
    if not refs.size or not removed.size:
        return refs
    out = np.empty(refs.size, np.uint32)
    return out[: kernels.subtract(refs, removed, out)]
