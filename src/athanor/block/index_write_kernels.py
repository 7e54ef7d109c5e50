# mypy: ignore-errors
"""Writing of index sections: symbols, series entries, postings lists, postings offsets. Layout: ``index_format``."""

from __future__ import annotations

import numpy as np

from athanor.kernel.bytes_kernels import put_be32
from athanor.kernel.checksum_kernels import crc32c
from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import I64, RI64, RU8, RU32, U8, i64, void
from athanor.kernel.varint_kernels import uvarint_size, write_uvarint, write_varint

# A series entry beside its labels and chunks: padding, length, two counts, checksum.
MAX_ENTRY_EXTRA_BYTES = 15 + 5 + 10 + 4
MAX_LABEL_BYTES = 10
MAX_CHUNK_BYTES = 30


@inline
def _length(arena, at):
    """A length prefix of a canonical label set: value and the position after it."""
    byte = np.int64(arena[np.uint64(at)])
    at += 1
    if byte < 0x80:
        return byte, at
    value = byte & 0x7F
    shift = 7
    while True:
        byte = np.int64(arena[np.uint64(at)])
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


@kernel(void(RU8, RI64, I64, I64, I64))
def label_spans(arena, offsets, label_at, at, size):
    """Spans of the names and values of all labels, alternating; label_at: where each set's labels begin."""
    n = np.int64(0)
    for i in range(offsets.size - 1):
        label_at[i] = n
        position = offsets[i]
        while position < offsets[i + 1]:
            _, position = _length(arena, position + 1)
            for part in range(2):
                length, begin = _length(arena, position + 1)
                at[2 * n + part] = begin
                size[2 * n + part] = length
                position = begin + length
            n += 1
    label_at[offsets.size - 1] = n


@inline
def _greater(arena, a_at, a_size, b_at, b_size):
    for i in range(min(a_size, b_size)):
        x = arena[np.uint64(a_at + i)]
        y = arena[np.uint64(b_at + i)]
        if x != y:
            return x > y
    return a_size > b_size


@kernel(void(RU8, RI64, RI64, I64, I64))
def sort_spans(arena, at, size, order, scratch):
    """Merge sort of span numbers by their bytes; order holds the numbers on entry and the sorted numbers on exit."""
    n = order.size
    width = 1
    while width < n:
        begin = 0
        while begin < n:
            middle = min(begin + width, n)
            end = min(begin + 2 * width, n)
            i, j, k = begin, middle, begin
            while i < middle and j < end:
                a, b = order[i], order[j]
                if _greater(arena, at[a], size[a], at[b], size[b]):
                    scratch[k] = b
                    j += 1
                else:
                    scratch[k] = a
                    i += 1
                k += 1
            while i < middle:
                scratch[k] = order[i]
                i += 1
                k += 1
            while j < end:
                scratch[k] = order[j]
                j += 1
                k += 1
            begin = end
        for k in range(n):
            order[k] = scratch[k]
        width *= 2


@inline
def _put_text(arena, at, size, out, position):
    position = write_uvarint(out, position, np.uint64(size))
    for k in range(size):
        out[np.uint64(position + k)] = arena[np.uint64(at + k)]
    return position + size


@kernel(i64(RU8, RI64, RI64, RI64, U8))
def write_texts(arena, at, size, order, out):
    """Texts with length prefixes, in this order; returns how many bytes."""
    position = np.int64(0)
    for i in range(order.size):
        position = _put_text(arena, at[order[i]], size[order[i]], out, position)
    return position


@kernel(i64(i64, RU32, RU32, RI64, RI64, RI64, RI64, RI64, U8, I64))
def write_series(file_at, names, values, label_at, chunk_at, first_ms, last_ms, refs, out, entry_at):
    """Series entries, each padded to a multiple of 16 of its position in the file, which begins at file_at.

    entry_at: out, where each entry begins in the file. Returns how many bytes.
    """
    position = np.int64(0)
    body = np.empty(0, np.uint8)
    for i in range(label_at.size - 1):
        while (file_at + position) & 15 != 0:
            out[np.uint64(position)] = 0
            position += 1
        entry_at[i] = file_at + position
        n_labels = label_at[i + 1] - label_at[i]
        n_chunks = chunk_at[i + 1] - chunk_at[i]
        room = 20 + n_labels * MAX_LABEL_BYTES + n_chunks * MAX_CHUNK_BYTES
        if body.size < room:
            body = np.empty(2 * room, np.uint8)
        at = write_uvarint(body, np.int64(0), np.uint64(n_labels))
        for j in range(label_at[i], label_at[i + 1]):
            at = write_uvarint(body, at, np.uint64(names[j]))
            at = write_uvarint(body, at, np.uint64(values[j]))
        at = write_uvarint(body, at, np.uint64(n_chunks))
        for j in range(chunk_at[i], chunk_at[i + 1]):
            if j == chunk_at[i]:
                at = write_varint(body, at, first_ms[j])
            else:
                at = write_uvarint(body, at, np.uint64(first_ms[j] - last_ms[j - 1]))
            at = write_uvarint(body, at, np.uint64(last_ms[j] - first_ms[j]))
            if j == chunk_at[i]:
                at = write_uvarint(body, at, np.uint64(refs[j]))
            else:
                at = write_varint(body, at, refs[j] - refs[j - 1])
        position = write_uvarint(out, position, np.uint64(at))
        for k in range(at):
            out[np.uint64(position + k)] = body[np.uint64(k)]
        position = put_be32(out, position + at, np.int64(crc32c(body, np.int64(0), at)))
    return position


@kernel(i64(i64, RI64, RU32, U8, I64))
def write_lists(file_at, bounds, refs, out, list_at):
    """Postings lists ``refs[bounds[i]:bounds[i+1]]``, each padded to a multiple of 4 of its position in the file.

    list_at: out, where each list begins in the file. Returns how many bytes.
    """
    position = np.int64(0)
    for i in range(bounds.size - 1):
        while (file_at + position) & 3 != 0:
            out[np.uint64(position)] = 0
            position += 1
        list_at[i] = file_at + position
        n = bounds[i + 1] - bounds[i]
        position = put_be32(out, position, 4 + 4 * n)
        begin = position
        position = put_be32(out, position, n)
        for j in range(bounds[i], bounds[i + 1]):
            position = put_be32(out, position, np.int64(refs[j]))
        position = put_be32(out, position, np.int64(crc32c(out, begin, position)))
    return position


@kernel(i64(RI64, RI64, RI64, RI64))
def table_bytes(size, names, values, list_at):
    """How many bytes the entries of a postings offset table take."""
    total = np.int64(0)
    for i in range(names.size):
        n, v = size[names[i]], size[values[i]]
        total += 1 + uvarint_size(np.uint64(n)) + n + uvarint_size(np.uint64(v)) + v
        total += uvarint_size(np.uint64(list_at[i]))
    return total


@kernel(i64(RU8, RI64, RI64, RI64, RI64, RI64, U8))
def write_table(arena, at, size, names, values, list_at, out):
    """Entries of a postings offset table: names, values are numbers of texts. Returns how many bytes."""
    position = np.int64(0)
    for i in range(names.size):
        out[np.uint64(position)] = 2
        position = _put_text(arena, at[names[i]], size[names[i]], out, position + 1)
        position = _put_text(arena, at[values[i]], size[values[i]], out, position)
        position = write_uvarint(out, position, np.uint64(list_at[i]))
    return position
