# mypy: ignore-errors
"""The hash that decides which shard a label set belongs to: xxHash64 over name 0xFF value 0xFF of each label."""

from __future__ import annotations

import numpy as np

from athanor.kernel.checksum_kernels import xxhash64
from athanor.kernel.compile import kernel
from athanor.kernel.types import RI64, RU8, U8, U64, void
from athanor.kernel.varint_kernels import read_uvarint


@kernel(void(RU8, RI64, U8, U64))
def hash_sets(arena, offsets, scratch, out):
    """Hashes of canonical label sets; scratch has room for the longest one."""
    for i in range(offsets.size - 1):
        at = offsets[i]
        end = offsets[i + 1]
        used = np.int64(0)
        while at < end:
            _, at = read_uvarint(arena, at + 1, end)
            for _ in range(2):
                raw, at = read_uvarint(arena, at + 1, end)
                size = np.int64(raw)
                scratch[used : used + size] = arena[at : at + size]
                used += size
                at += size
                scratch[used] = 0xFF
                used += 1
        out[i] = xxhash64(scratch, 0, used)
