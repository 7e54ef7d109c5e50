# mypy: ignore-errors
"""Whether the bytes read of series entries hold them whole: the size of an entry is known only once it is read.

An entry is ``uvarint length``, ``length`` bytes, be32 checksum; its inside is decoded by ``athanor.block.series``.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import kernel
from athanor.kernel.types import I64, RI64, RU8, i64
from athanor.kernel.varint_kernels import read_uvarint

MAX_LENGTH_BYTES = 5
CHECKSUM_BYTES = 4


@kernel(i64(RU8, RI64, RI64, I64))
def measure_entries(data, at, end, needed):
    """needed[i]: bytes from ``at[i]`` on that entry i takes, 0 where ``end[i]`` leaves room for them.

    Where even the length is cut, needed is what a length takes at most. Returns 0, or -(i+1) for a broken length.
    """
    for i in range(at.size):
        needed[i] = 0
        if at[i] < 0 or end[i] > data.size or at[i] > end[i]:
            return -(i + 1)
        length, after = read_uvarint(data, at[i], end[i])
        if after < 0 or after - at[i] > MAX_LENGTH_BYTES:
            if end[i] - at[i] >= MAX_LENGTH_BYTES:
                return -(i + 1)
            needed[i] = MAX_LENGTH_BYTES
            continue
        size = np.int64(length) + CHECKSUM_BYTES
        if size > end[i] - after:
            needed[i] = after - at[i] + size
    return 0
