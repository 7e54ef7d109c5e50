# mypy: ignore-errors
"""The sections of an index header: symbol table and postings offset table, to spans.

Symbol table content: be32 n, n times ``uvarint length, bytes``, ascending. Postings offset table content: be32 n, n
times ``byte 2, uvarint length, name, uvarint length, value, uvarint list offset``, ascending by name and value
(Prometheus tsdb/docs/format/index.md).
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import I64, RU8, U32, i64
from athanor.kernel.varint_kernels import read_uvarint

MIN_ENTRY_BYTES = 4  # key count, two empty strings, one byte of offset


@inline
def _compare(data, a_at, a_size, b_at, b_size):
    for i in range(min(a_size, b_size)):
        x = data[a_at + i]
        y = data[b_at + i]
        if x != y:
            return -1 if x < y else 1
    if a_size == b_size:
        return 0
    return -1 if a_size < b_size else 1


@kernel(i64(RU8, i64, i64, U32, U32))
def symbol_spans(data, at, end, out_at, out_size):
    """Spans of as many symbols as the outputs have room for; ``end`` is where they must end. 0 or -(position+1)."""
    start = np.int64(0)
    size = np.int64(-1)
    position = np.int64(at)
    for i in range(out_at.size):
        length, after = read_uvarint(data, position, end)
        if after < 0 or length > np.uint64(end - after):
            return -(position + 1)
        if size >= 0 and _compare(data, start, size, after, np.int64(length)) >= 0:
            return -(position + 1)
        start, size = after, np.int64(length)
        out_at[i] = np.uint32(start)
        out_size[i] = np.uint32(size)
        position = start + size
    return 0 if position == end else -(position + 1)


@kernel(i64(RU8, i64, i64, I64, I64, I64, I64))
def table_rows(data, at, end, value_at, value_size, list_at, name_span):
    """Rows of a postings offset table: as many as the outputs have room for. 0 or -(position+1).

    name_span[2*i], name_span[2*i+1]: position and size of row i's label name.
    """
    position = np.int64(at)
    for i in range(value_at.size):
        if position >= end or data[position] != 2:
            return -(position + 1)
        length, name = read_uvarint(data, position + 1, end)
        if name < 0 or length > np.uint64(end - name):
            return -(position + 1)
        name_size = np.int64(length)
        length, value = read_uvarint(data, name + name_size, end)
        if value < 0 or length > np.uint64(end - value):
            return -(position + 1)
        offset, after = read_uvarint(data, value + np.int64(length), end)
        if after < 0 or offset >= np.uint64(1) << np.uint64(40):
            return -(position + 1)
        if i > 0:
            order = _compare(data, name_span[2 * i - 2], name_span[2 * i - 1], name, name_size)
            if order > 0 or (
                order == 0 and _compare(data, value_at[i - 1], value_size[i - 1], value, np.int64(length)) >= 0
            ):
                return -(position + 1)
        name_span[2 * i] = name
        name_span[2 * i + 1] = name_size
        value_at[i] = value
        value_size[i] = np.int64(length)
        list_at[i] = np.int64(offset)
        position = after
    return 0 if position == end else -(position + 1)


@kernel(i64(RU8, I64, I64))
def name_starts(data, name_span, out):
    """The first row of each label name, in order, and the number of rows after them. Returns the number of names."""
    n = 0
    rows = name_span.size // 2
    for i in range(rows):
        if i == 0 or _compare(
            data, name_span[2 * i - 2], name_span[2 * i - 1], name_span[2 * i], name_span[2 * i + 1]
        ) != 0:
            out[n] = i
            n += 1
    out[n] = rows
    return n
