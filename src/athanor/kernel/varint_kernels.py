# mypy: ignore-errors
"""Unsigned and zigzag variable-length integers (LEB128), as TSDB files and protobuf write them.

Seven bits a byte, low group first, the high bit says that more follow; at most ten bytes. ``varint`` is zigzag
(``(n << 1) ^ (n >> 63)``) and then ``uvarint``. Source of the format: Go's encoding/binary, protobuf's encoding guide.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import kernel
from athanor.kernel.types import RU8, U8, i64, tup, u64

MAX_VARINT_BYTES = 10


@kernel(tup(u64, i64)(RU8, i64, i64))
def read_uvarint(data, at, end_at):
    """Value and the position after it, or position -1 where the bytes end first or the value passes 64 bits."""
    value = np.uint64(0)
    shift = np.uint64(0)
    position = at
    while position < end_at and position - at < 10:
        byte = data[position]
        position += 1
        if position - at == 10 and byte > 1:
            return np.uint64(0), np.int64(-1)
        value |= np.uint64(byte & 0x7F) << shift
        if byte < 0x80:
            return value, np.int64(position)
        shift += np.uint64(7)
    return np.uint64(0), np.int64(-1)


@kernel(tup(i64, i64)(RU8, i64, i64))
def read_varint(data, at, end_at):
    """Signed value and the position after it, or position -1."""
    raw, after = read_uvarint(data, at, end_at)
    half = np.int64(raw >> np.uint64(1))
    return (half if (raw & np.uint64(1)) == np.uint64(0) else ~half), after


@kernel(i64(U8, i64, u64))
def write_uvarint(out, at, value):
    """Write; returns the position after. The caller has left ten bytes of room."""
    position = at
    while value >= np.uint64(0x80):
        out[position] = np.uint8((value & np.uint64(0x7F)) | np.uint64(0x80))
        value >>= np.uint64(7)
        position += 1
    out[position] = np.uint8(value)
    return position + 1


@kernel(i64(U8, i64, i64))
def write_varint(out, at, value):
    return write_uvarint(out, at, (np.uint64(value) << np.uint64(1)) ^ np.uint64(value >> np.int64(63)))


@kernel(i64(u64))
def uvarint_size(value):
    size = 1
    while value >= np.uint64(0x80):
        value >>= np.uint64(7)
        size += 1
    return size
