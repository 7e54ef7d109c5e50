# mypy: ignore-errors
"""The check of label sets that came as columns: nothing is taken from a peer unread."""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import short_kernel
from athanor.kernel.types import RI64, RU8, i64
from athanor.storeapi.wire_kernels import canonical_label, short_span


@short_kernel(i64(RU8, RI64))
def first_not_canonical(arena, offsets):
    """The first label set, ``arena[offsets[i]:offsets[i + 1]]``, that is not in canonical form; -1 where all are.

    The caller has checked that offsets ascend from 0 to the arena's end.
    """
    for i in range(offsets.size - 1):
        at, end = offsets[i], offsets[i + 1]
        name_at, name_size = np.int64(-1), np.int64(0)
        while at < end:
            if arena[at] != 0x0A:
                return i
            start, stop = short_span(arena, at + 1, end)
            if stop < 0:
                return i
            fine, name_at, name_size = canonical_label(arena, start, stop, name_at, name_size)
            if not fine:
                return i
            at = stop
    return np.int64(-1)
