# mypy: ignore-errors
"""Series of one block as canonical label sets: symbols resolved, external labels overlaid, replica labels left out.

Symbols are sorted, so their numbers compare as their texts do. An external label k comes with ``ext_rank[k]``, the
number of the first symbol that is not below its name; ``ext_known[k]`` says that this symbol *is* its name: a stored
label of that name is replaced. ``dropped`` holds symbol numbers of label names to leave out. A set is written as
``model.tables.LabelTable`` describes: (0x0A len (0x0A len name) (0x12 len value))*.
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline, kernel
from athanor.kernel.types import I64, RB1, RI64, RU8, RU32, U8, i64


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
        out[at] = np.uint8(n & 0x7F | 0x80)
        n >>= 7
        at += 1
    out[at] = np.uint8(n)
    return at + 1


@inline
def _label_body(name_size, value_size):
    return 2 + _length_size(name_size) + name_size + _length_size(value_size) + value_size


@inline
def _copy(out, at, data, start, size):
    for i in range(size):
        out[at + i] = data[start + i]
    return at + size


@inline
def _put_label(out, at, name_data, name_at, name_size, value_data, value_at, value_size):
    out[at] = 0x0A
    at = _put_length(out, at + 1, _label_body(name_size, value_size))
    out[at] = 0x0A
    at = _copy(out, _put_length(out, at + 1, name_size), name_data, name_at, name_size)
    out[at] = 0x12
    return _copy(out, _put_length(out, at + 1, value_size), value_data, value_at, value_size)


@inline
def _is_dropped(symbol, dropped):
    for i in range(dropped.size):
        if np.int64(symbol) == dropped[i]:
            return True
    return False


@kernel(i64(RU32, RU32, RI64, RU32, RI64, RI64, RI64, RB1, RI64, I64))
def size_labels(names, values, label_at, symbol_size, ext_names, ext_values, ext_rank, ext_known, dropped, offsets):
    """Byte offsets int64[n+1] of the sets that ``write_labels`` writes; 0, or -(i+1) where series i is broken.

    names, values: symbol numbers; series i has those from ``label_at[i]`` to ``label_at[i+1]``. symbol_size:
    uint32[s]. ext_names, ext_values: int64[e+1], offsets in their arenas. Broken: a number beyond the symbols, names
    that do not ascend, an empty name.
    """
    n_symbols = symbol_size.size
    n_ext = ext_rank.size
    ext_bytes = np.int64(0)
    for k in range(n_ext):
        body = _label_body(ext_names[k + 1] - ext_names[k], ext_values[k + 1] - ext_values[k])
        ext_bytes += 1 + _length_size(body) + body
    total = np.int64(0)
    offsets[0] = 0
    for i in range(label_at.size - 1):
        total += ext_bytes
        previous = np.int64(-1)
        k = 0
        for j in range(label_at[i], label_at[i + 1]):
            name = np.int64(names[j])
            value = np.int64(values[j])
            if name >= n_symbols or value >= n_symbols or name <= previous:
                return -(i + 1)
            previous = name
            name_size = np.int64(symbol_size[name])
            value_size = np.int64(symbol_size[value])
            if name_size == 0:
                return -(i + 1)
            if value_size == 0 or _is_dropped(name, dropped):
                continue
            while k < n_ext and ext_rank[k] < name:
                k += 1
            # Several external names may rank before the same symbol; only the last of them can be that symbol.
            replaced = False
            m = k
            while m < n_ext and ext_rank[m] == name:
                replaced = replaced or ext_known[m]
                m += 1
            if replaced:
                continue
            body = _label_body(name_size, value_size)
            total += 1 + _length_size(body) + body
        offsets[i + 1] = total
    return 0


@kernel(i64(RU32, RU32, RI64, RU8, RU32, RU32, RU8, RI64, RU8, RI64, RI64, RB1, RI64, RI64, I64, I64, U8))
def write_labels(
    names, values, label_at, arena, symbol_at, symbol_size, ext_name_arena, ext_names, ext_value_arena, ext_values,
    ext_rank, ext_known, dropped, offsets, label_start, label_ext, out,
):  # fmt: skip
    """Write the sets that ``size_labels`` measured. Returns the bytes written, -1 where they are not as measured.

    Neighbours share most labels: a run of labels that the set before has at the same places is copied from there.
    label_start, label_ext: scratch with one more element than the longest set has labels; where each label of the set
    before begins in ``out``, and how many external labels stand before it. Places from the current label on are still
    those of the set before.
    """
    n_ext = ext_rank.size
    at = np.int64(0)
    n_before = np.int64(0)
    before = np.int64(0)
    for i in range(label_at.size - 1):
        first = label_at[i]
        n = label_at[i + 1] - first
        k = np.int64(0)
        j = np.int64(0)
        while j < n:
            m = j
            while (
                m < n_before
                and m < n
                and names[first + m] == names[before + m]
                and values[first + m] == values[before + m]
            ):
                m += 1
            if m > j and label_ext[j] == k:
                source = label_start[j]
                size = label_start[m] - source
                for b in range(size):
                    out[at + b] = out[source + b]
                for c in range(j, m):
                    label_start[c] += at - source
                k = label_ext[m]
                at += size
                j = m
                continue
            name = np.int64(names[first + j])
            value = np.int64(values[first + j])
            label_start[j] = at
            label_ext[j] = k
            replaced = False
            while k < n_ext and ext_rank[k] <= name:
                replaced = replaced or (ext_rank[k] == name and ext_known[k])
                at = _put_label(
                    out, at, ext_name_arena, ext_names[k], ext_names[k + 1] - ext_names[k],
                    ext_value_arena, ext_values[k], ext_values[k + 1] - ext_values[k],
                )  # fmt: skip
                k += 1
            value_size = np.int64(symbol_size[value])
            if not (replaced or value_size == 0 or _is_dropped(name, dropped)):
                at = _put_label(
                    out, at, arena, np.int64(symbol_at[name]), np.int64(symbol_size[name]),
                    arena, np.int64(symbol_at[value]), value_size,
                )  # fmt: skip
            j += 1
        label_start[n] = at
        label_ext[n] = k
        while k < n_ext:
            at = _put_label(
                out, at, ext_name_arena, ext_names[k], ext_names[k + 1] - ext_names[k],
                ext_value_arena, ext_values[k], ext_values[k + 1] - ext_values[k],
            )  # fmt: skip
            k += 1
        if at != offsets[i + 1]:
            return np.int64(-1)
        n_before, before = n, first
    return at
