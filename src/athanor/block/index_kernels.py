# mypy: ignore-errors
"""Decoding of series entries, many in one call: label pairs as symbol ordinals, chunks, label sets.

``count_series`` checks every bound and answers with a status and a position; the others trust what it has accepted.
Layout: ``series``.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.bytes_kernels import be32
from athanor.kernel.checksum_kernels import crc32c
from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import I64, RI64, RU8, RU32, U8, U32, i64, tup, void
from athanor.kernel.varint_kernels import read_uvarint

OK = -1
SHORT, CHECKSUM, VARINT, SYMBOL, LABEL_ORDER, CHUNK_TIMES, CHUNK_REF = 1, 2, 3, 4, 5, 6, 7


@inline
def _uvarint(data, at, end):
    """As int64 with the position after it; position -1 where the bytes end or the value is beyond 63 bits."""
    if at < end:
        byte = np.int64(data[np.uint64(at)])
        if byte < 0x80:
            return byte, at + 1
    value, after = read_uvarint(data, at, end)
    if value >> np.uint64(63) != np.uint64(0):
        return np.int64(0), np.int64(-1)
    return np.int64(value), after


@inline
def _chunk_time(data, at, end, last_ms):
    """(status, first_ms, last_ms, position): one chunk's times, after a chunk that ended at last_ms."""
    delta, at = read_uvarint(data, at, end)
    if at < 0:
        return VARINT, np.int64(0), np.int64(0), at
    first = np.int64(np.uint64(last_ms) + delta)
    span, at = read_uvarint(data, at, end)
    if at < 0:
        return VARINT, np.int64(0), np.int64(0), at
    last = np.int64(np.uint64(first) + span)
    if last < first:
        return CHUNK_TIMES, np.int64(0), np.int64(0), at
    return OK, first, last, at


@inline
def _unzigzag(raw):
    half = np.int64(raw >> np.uint64(1))
    return half if (raw & np.uint64(1)) == np.uint64(0) else ~half


@kernel(tup(i64, i64, i64)(RU8, RI64, RI64, i64, i64, i64, I64, I64))
def count_series(data, at, end, n_symbols, from_ms, to_ms, n_labels, n_chunks):
    """Check k series entries; count their labels, and their chunks that overlap [from_ms, to_ms].

    Entry i lies in ``data[at[i]:end[i]]``, which may be longer. Returns (-1, 0, 0), or (i, reason, position).
    """
    for i in range(at.size):
        limit = min(end[i], np.int64(data.size))
        length, body = _uvarint(data, at[i], limit) if at[i] >= 0 else (np.int64(0), np.int64(-1))
        if body < 0:
            return np.int64(i), np.int64(VARINT), at[i]
        if length > limit - body - 4:
            return np.int64(i), np.int64(SHORT), at[i]
        stop = body + length
        if np.int64(crc32c(data, body, stop)) != be32(data, stop):
            return np.int64(i), np.int64(CHECKSUM), stop
        count, position = _uvarint(data, body, stop)
        if position < 0:
            return np.int64(i), np.int64(VARINT), body
        if count > (stop - position) // 2:
            return np.int64(i), np.int64(SHORT), body
        n_labels[i] = count
        previous = np.int64(-1)
        for _ in range(count):
            here = position
            name, position = _uvarint(data, position, stop)
            if position < 0:
                return np.int64(i), np.int64(VARINT), here
            value, position = _uvarint(data, position, stop)
            if position < 0:
                return np.int64(i), np.int64(VARINT), here
            if name >= n_symbols or value >= n_symbols:
                return np.int64(i), np.int64(SYMBOL), here
            if name <= previous:
                return np.int64(i), np.int64(LABEL_ORDER), here
            previous = name
        here = position
        count, position = _uvarint(data, position, stop)
        if position < 0:
            return np.int64(i), np.int64(VARINT), here
        if count > (stop - position) // 3:
            return np.int64(i), np.int64(SHORT), here
        n_chunks[i] = 0
        last = np.int64(0)
        ref = np.int64(0)
        for j in range(count):
            here = position
            if j == 0:
                raw, position = read_uvarint(data, position, stop)
                first = _unzigzag(raw)
                span, position = read_uvarint(data, position, stop) if position >= 0 else (raw, position)
                raw, position = read_uvarint(data, position, stop) if position >= 0 else (raw, position)
                if position < 0:
                    return np.int64(i), np.int64(VARINT), here
                last = np.int64(np.uint64(first) + span)
                if last < first:
                    return np.int64(i), np.int64(CHUNK_TIMES), here
                ref = np.int64(raw)
            else:
                status, first, last, position = _chunk_time(data, position, stop, last)
                if status != OK:
                    return np.int64(i), np.int64(status), here
                raw, position = read_uvarint(data, position, stop)
                if position < 0:
                    return np.int64(i), np.int64(VARINT), here
                ref += _unzigzag(raw)
            if ref < 0:
                return np.int64(i), np.int64(CHUNK_REF), here
            if first <= to_ms and last >= from_ms:
                n_chunks[i] += 1
    return np.int64(-1), np.int64(0), np.int64(0)


@kernel(void(RU8, RI64, i64, i64, RI64, RI64, U32, U32, I64, I64, I64))
def read_series(data, at, from_ms, to_ms, label_at, chunk_at, names, values, first_ms, last_ms, refs):
    """Decode entries that count_series has accepted; label_at, chunk_at: where each one's labels and chunks begin."""
    size = np.int64(data.size)
    for i in range(at.size):
        _, position = _uvarint(data, at[i], size)
        _, position = _uvarint(data, position, size)
        for j in range(label_at[i], label_at[i + 1]):
            name, position = _uvarint(data, position, size)
            value, position = _uvarint(data, position, size)
            names[j] = np.uint32(name)
            values[j] = np.uint32(value)
        count, position = _uvarint(data, position, size)
        last = np.int64(0)
        ref = np.int64(0)
        out = chunk_at[i]
        for j in range(count):
            if j == 0:
                raw, position = read_uvarint(data, position, size)
                first = _unzigzag(raw)
                span, position = read_uvarint(data, position, size)
                last = np.int64(np.uint64(first) + span)
                raw, position = read_uvarint(data, position, size)
                ref = np.int64(raw)
            else:
                _, first, last, position = _chunk_time(data, position, size, last)
                raw, position = read_uvarint(data, position, size)
                ref += _unzigzag(raw)
            if first <= to_ms and last >= from_ms:
                first_ms[out] = first
                last_ms[out] = last
                refs[out] = ref
                out += 1


@inline
def _length_size(n):
    size = 1
    while n >= 0x80:
        n >>= 7
        size += 1
    return size


@inline
def _put_length(out, at, n):
    while n >= 0x80:
        out[np.uint64(at)] = np.uint8((n & 0x7F) | 0x80)
        n >>= 7
        at += 1
    out[np.uint64(at)] = np.uint8(n)
    return at + 1


@kernel(i64(RU32, RU32, RU32, RI64, I64))
def label_set_sizes(symbol_size, names, values, label_at, offsets):
    """Where each canonical label set ends (offsets int64[k+1]); -1, or the first series with an empty label name."""
    offsets[0] = 0
    for i in range(label_at.size - 1):
        total = np.int64(0)
        for j in range(label_at[i], label_at[i + 1]):
            name_size = np.int64(symbol_size[names[j]])
            value_size = np.int64(symbol_size[values[j]])
            if name_size == 0:
                return np.int64(i)
            if value_size > 0:  # a label without value is no label
                inner = 2 + _length_size(name_size) + name_size + _length_size(value_size) + value_size
                total += 1 + _length_size(inner) + inner
        offsets[i + 1] = offsets[i] + total
    return np.int64(-1)


@kernel(void(RU8, RU32, RU32, RU32, RU32, RI64, U8))
def write_label_sets(data, symbol_at, symbol_size, names, values, label_at, out):
    """The sets that label_set_sizes measured, one after the other."""
    at = np.int64(0)
    for i in range(label_at.size - 1):
        for j in range(label_at[i], label_at[i + 1]):
            name_at, name_size = np.int64(symbol_at[names[j]]), np.int64(symbol_size[names[j]])
            value_at, value_size = np.int64(symbol_at[values[j]]), np.int64(symbol_size[values[j]])
            if value_size == 0:
                continue
            out[np.uint64(at)] = 0x0A
            inner = 2 + _length_size(name_size) + name_size + _length_size(value_size) + value_size
            at = _put_length(out, at + 1, inner)
            out[np.uint64(at)] = 0x0A
            at = _put_length(out, at + 1, name_size)
            for k in range(name_size):
                out[np.uint64(at + k)] = data[np.uint64(name_at + k)]
            at += name_size
            out[np.uint64(at)] = 0x12
            at = _put_length(out, at + 1, value_size)
            for k in range(value_size):
                out[np.uint64(at + k)] = data[np.uint64(value_at + k)]
            at += value_size
