# mypy: ignore-errors
"""CRC-32C (Castagnoli) and xxHash64, of one span and of many spans of an arena in one call.

CRC-32C: all ones before and after; its steps are in ``crc_step_kernels``.
xxHash64: seed 0, https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.bytes_kernels import le32, le64
from athanor.kernel.compile import inline, kernel
from athanor.kernel.crc_step_kernels import crc_byte, crc_words, crc_words_by_tables
from athanor.kernel.types import RI64, RU8, U32, U64, i64, u32, u64


@kernel(u32(RU8, i64, i64))
def crc32c(data, at, end_at):
    """The checksum of ``data[at:end_at]``; the caller has checked the bounds."""
    crc, position = crc_words(data, at, end_at, np.uint64(0xFFFFFFFF))
    while position < end_at:
        crc = crc_byte(crc, data[np.uint64(position)])
        position += 1
    return np.uint32(crc ^ np.uint64(0xFFFFFFFF))


@kernel(u32(RU8, i64, i64))
def crc32c_by_tables(data, at, end_at):
    """The same for processors without the instruction; here so that tests hold both to each other."""
    crc, position = crc_words_by_tables(data, at, end_at, np.uint64(0xFFFFFFFF))
    while position < end_at:
        crc = crc_byte(crc, data[np.uint64(position)])
        position += 1
    return np.uint32(crc ^ np.uint64(0xFFFFFFFF))


@kernel(i64(RU8, RI64, RI64, U32))
def crc32c_spans(arena, at, size, out):
    """Checksums of spans. Returns -1, or the first span outside the arena (later ones are not computed)."""
    for i in range(at.size):
        if at[i] < 0 or size[i] < 0 or at[i] > arena.size - size[i]:
            return np.int64(i)
        out[i] = crc32c(arena, at[i], at[i] + size[i])
    return np.int64(-1)


P1 = np.uint64(0x9E3779B185EBCA87)
P2 = np.uint64(0xC2B2AE3D27D4EB4F)
P3 = np.uint64(0x165667B19E3779F9)
P4 = np.uint64(0x85EBCA77C2B2AE63)
P5 = np.uint64(0x27D4EB2F165667C5)


@inline
def _rotate(x, n):
    return (x << np.uint64(n)) | (x >> np.uint64(64 - n))


@inline
def _round(lane, word):
    return _rotate(lane + word * P2, 31) * P1


@inline
def _join(h, lane):
    return (h ^ _round(np.uint64(0), lane)) * P1 + P4


@kernel(u64(RU8, i64, i64))
def xxhash64(data, at, end_at):
    """xxHash64 with seed 0 of ``data[at:end_at]``; the caller has checked the bounds."""
    position = at
    if end_at - at >= 32:
        a, b, c, d = P1 + P2, P2, np.uint64(0), np.uint64(0) - P1
        while position + 32 <= end_at:
            a = _round(a, le64(data, position))
            b = _round(b, le64(data, position + 8))
            c = _round(c, le64(data, position + 16))
            d = _round(d, le64(data, position + 24))
            position += 32
        h = _rotate(a, 1) + _rotate(b, 7) + _rotate(c, 12) + _rotate(d, 18)
        h = _join(_join(_join(_join(h, a), b), c), d)
    else:
        h = P5
    h = h + np.uint64(end_at - at)
    while position + 8 <= end_at:
        h = _rotate(h ^ _round(np.uint64(0), le64(data, position)), 27) * P1 + P4
        position += 8
    if position + 4 <= end_at:
        h = _rotate(h ^ (le32(data, position) * P1), 23) * P2 + P3
        position += 4
    while position < end_at:
        h = _rotate(h ^ (np.uint64(data[np.uint64(position)]) * P5), 11) * P1
        position += 1
    h = (h ^ (h >> np.uint64(33))) * P2
    h = (h ^ (h >> np.uint64(29))) * P3
    return h ^ (h >> np.uint64(32))


@kernel(i64(RU8, RI64, RI64, U64))
def xxhash64_spans(arena, at, size, out):
    """Hashes of spans. Returns -1, or the first span outside the arena (later ones are not computed)."""
    for i in range(at.size):
        if at[i] < 0 or size[i] < 0 or at[i] > arena.size - size[i]:
            return np.int64(i)
        out[i] = xxhash64(arena, at[i], at[i] + size[i])
    return np.int64(-1)
