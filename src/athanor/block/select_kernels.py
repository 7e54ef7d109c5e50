# mypy: ignore-errors
"""Decisions about many label values in one call. Values are spans of one arena, sorted bytewise and distinct."""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import B1, I64, RI64, RU8, i64, void


@inline
def _compare(a, a_at, a_size, b, b_at, b_size):
    """-1, 0 or 1: bytewise order."""
    for i in range(min(a_size, b_size)):
        x = a[a_at + i]
        y = b[b_at + i]
        if x != y:
            return -1 if x < y else 1
    if a_size == b_size:
        return 0
    return -1 if a_size < b_size else 1


@inline
def _lower_bound(arena, at, size, first, end, key, key_at, key_size):
    low = first
    high = end
    while low < high:
        middle = (low + high) >> 1
        if _compare(arena, at[middle], size[middle], key, key_at, key_size) < 0:
            low = middle + 1
        else:
            high = middle
    return low


@kernel(i64(RU8, RI64, RI64, i64, i64, RU8, RI64, I64))
def find_values(arena, at, size, first, end, keys, key_offsets, out):
    """Rows of [first, end) whose values are among the keys, in the order of the keys. Returns their number."""
    n = 0
    for k in range(key_offsets.size - 1):
        key_at = key_offsets[k]
        key_size = key_offsets[k + 1] - key_at
        row = _lower_bound(arena, at, size, first, end, keys, key_at, key_size)
        if row < end and _compare(arena, at[row], size[row], keys, key_at, key_size) == 0:
            out[n] = row
            n += 1
    return n


@inline
def _starts_with(arena, at, size, key, key_at, key_size):
    if size < key_size:
        return False
    for i in range(key_size):
        if arena[at + i] != key[key_at + i]:
            return False
    return True


@kernel(void(RU8, RI64, RI64, i64, i64, RU8, I64))
def prefix_rows(arena, at, size, first, end, prefix, out):
    """out[0], out[1]: the rows of [first, end) whose value starts with the prefix; they lie together."""
    low = _lower_bound(arena, at, size, first, end, prefix, np.int64(0), np.int64(prefix.size))
    out[0] = low
    high = end
    while low < high:
        middle = (low + high) >> 1
        if _starts_with(arena, at[middle], size[middle], prefix, 0, prefix.size):
            low = middle + 1
        else:
            high = middle
    out[1] = low


@inline
def _find(arena, at, end, key, key_at, key_size):
    """First position of the key in [at, end), or -1."""
    head = key[key_at]
    for i in range(at, end - key_size + 1):
        if arena[i] == head:
            same = True
            for j in range(1, key_size):
                if arena[i + j] != key[key_at + j]:
                    same = False
                    break
            if same:
                return i
    return np.int64(-1)


@kernel(void(RU8, RI64, RI64, i64, i64, RU8, RI64, RI64, B1))
def match_pieces(arena, at, size, first, end, pieces, piece_offsets, gaps, out):
    """out[i]: whether value first+i is piece 0, a gap, piece 1, ..., the last piece; see ``RegexPlan``.

    Inner pieces are not empty. Gaps count bytes: a gap of one character is a gap of at least one byte, because pieces
    begin and end between characters.
    """
    n = piece_offsets.size - 1
    head_size = piece_offsets[1] - piece_offsets[0]
    tail_at = piece_offsets[n - 1]
    tail_size = piece_offsets[n] - tail_at
    for row in range(first, end):
        start = at[row]
        stop = start + size[row]
        out[row - first] = False
        if not _starts_with(arena, start, size[row], pieces, piece_offsets[0], head_size):
            continue
        position = start + head_size
        limit = stop - tail_size
        found = True
        for k in range(1, n - 1):
            key_size = piece_offsets[k + 1] - piece_offsets[k]
            position = _find(arena, position + gaps[k - 1], limit, pieces, piece_offsets[k], key_size)
            if position < 0:
                found = False
                break
            position += key_size
        if not found or limit < position + gaps[n - 2]:
            continue
        out[row - first] = _starts_with(arena, limit, tail_size, pieces, tail_at, tail_size)
