# mypy: ignore-errors
"""CRC-32C (Castagnoli) and xxHash64, of one span and of many spans of an arena in one call.

CRC-32C: reflected polynomial 0x82F63B78, all ones before and after; sixteen bytes a step with sixteen tables.
xxHash64: seed 0, https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.bytes_kernels import le32, le64
from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import RI64, RU8, U32, U64, i64, u32, u64

POLYNOMIAL = 0x82F63B78


def _tables() -> np.ndarray:
    tables = np.zeros((16, 256), np.uint32)
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (POLYNOMIAL if value & 1 else 0)
        tables[0, byte] = value
    for k in range(1, 16):
        tables[k] = (tables[k - 1] >> 8) ^ tables[0, tables[k - 1] & 0xFF]
    return tables


TABLES = _tables()
BYTE = np.uint64(0xFF)


@inline
def _eight(word, first):
    """The tables first+7 .. first applied to the eight bytes of a word."""
    return (
        TABLES[first + 7, word & BYTE]
        ^ TABLES[first + 6, (word >> np.uint64(8)) & BYTE]
        ^ TABLES[first + 5, (word >> np.uint64(16)) & BYTE]
        ^ TABLES[first + 4, (word >> np.uint64(24)) & BYTE]
        ^ TABLES[first + 3, (word >> np.uint64(32)) & BYTE]
        ^ TABLES[first + 2, (word >> np.uint64(40)) & BYTE]
        ^ TABLES[first + 1, (word >> np.uint64(48)) & BYTE]
        ^ TABLES[first, word >> np.uint64(56)]
    )


@kernel(u32(RU8, i64, i64))
def crc32c(data, at, end_at):
    """The checksum of ``data[at:end_at]``; the caller has checked the bounds."""
    crc = np.uint64(0xFFFFFFFF)
    position = at
    while position + 16 <= end_at:
        crc = np.uint64(_eight(le64(data, position) ^ crc, 8) ^ _eight(le64(data, position + 8), 0))
        position += 16
    if position + 8 <= end_at:
        crc = np.uint64(_eight(le64(data, position) ^ crc, 0))
        position += 8
    while position < end_at:
        crc = np.uint64(TABLES[0, (crc ^ np.uint64(data[np.uint64(position)])) & BYTE]) ^ (crc >> np.uint64(8))
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
