# mypy: ignore-errors
"""Loops over canonical label sets: compare, hash, project, look a column up, set a column.

A set is ``(0x0A len (0x0A len name) (0x12 len value))*`` as `model.tables.LabelTable` describes. These kernels trust
that: tables are checked where bytes enter the process (the wire kernel, the index kernel).
"""

from __future__ import annotations

import numpy as np

from athanor.kernel.compile import inline, short_kernel
from athanor.kernel.types import I32, I64, RI32, RI64, RU8, RU64, U8, U64, i64, tup, u64, void


@inline
def _length(arena, at):
    """A length prefix: value and the position after it."""
    byte = np.int64(arena[at])
    if byte < 0x80:
        return byte, at + 1
    value = byte & 0x7F
    shift = 7
    at += 1
    while True:
        byte = np.int64(arena[at])
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


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
        out[at] = np.uint8((n & 0x7F) | 0x80)
        n >>= 7
        at += 1
    out[at] = np.uint8(n)
    return at + 1


@inline
def _compare_bytes(a, a_at, a_size, b, b_at, b_size):
    shorter = min(a_size, b_size)
    for i in range(shorter):
        x = a[a_at + i]
        y = b[b_at + i]
        if x != y:
            return -1 if x < y else 1
    if a_size == b_size:
        return 0
    return -1 if a_size < b_size else 1


@inline
def _parse(arena, at):
    """One label: name at, name size, value at, value size, the next label's position."""
    inner, at = _length(arena, at + 1)
    name_size, name_at = _length(arena, at + 1)
    value_size, value_at = _length(arena, name_at + name_size + 1)
    return name_at, name_size, value_at, value_size, at + inner


@inline
def _equal_bytes(a, a_at, b, b_at, size):
    for i in range(size):
        if a[a_at + i] != b[b_at + i]:
            return False
    return True


@inline
def _compare_sets(a, a_at, a_end, b, b_at, b_end):
    """Prometheus' labels.Compare: name by name and value by value, then the shorter first."""
    while a_at < a_end and b_at < b_end:
        an, ans, av, avs, a_at = _parse(a, a_at)
        bn, bns, bv, bvs, b_at = _parse(b, b_at)
        order = _compare_bytes(a, an, ans, b, bn, bns)
        if order != 0:
            return order
        order = _compare_bytes(a, av, avs, b, bv, bvs)
        if order != 0:
            return order
    if a_at < a_end:
        return 1
    return -1 if b_at < b_end else 0


@short_kernel(i64(RU8, i64, i64, RU8, i64, i64))
def compare_labels(a, a_at, a_end, b, b_at, b_end):
    """-1, 0 or 1: the order of two sets in any two arenas."""
    return _compare_sets(a, a_at, a_end, b, b_at, b_end)


@short_kernel(i64(RU8, RI64))
def first_unsorted(arena, offsets):
    """The first row that is not greater than the row before it, or -1: equal neighbours count as unsorted."""
    for i in range(1, offsets.size - 1):
        if _compare_sets(arena, offsets[i - 1], offsets[i], arena, offsets[i], offsets[i + 1]) >= 0:
            return i
    return -1


@short_kernel(void(RU8, RI64, I64, I64))
def sort_rows(arena, offsets, order, scratch):
    """Stable merge sort of row numbers by label order; order holds the rows on entry and the sorted rows on exit."""
    n = order.size
    width = 1
    while width < n:
        start = 0
        while start < n:
            middle = min(start + width, n)
            end = min(start + 2 * width, n)
            i, j = start, middle
            for k in range(start, end):
                if i < middle and (
                    j >= end
                    or _compare_sets(
                        arena, offsets[order[i]], offsets[order[i] + 1], arena, offsets[order[j]], offsets[order[j] + 1]
                    )
                    <= 0
                ):
                    scratch[k] = order[i]
                    i += 1
                else:
                    scratch[k] = order[j]
                    j += 1
            start = end
        order[:] = scratch
        width *= 2


@inline
def _hash_span(arena, at, size):
    """A mixing hash of bytes for tables inside this process; never written anywhere."""
    value = np.uint64(size) * np.uint64(0x9E3779B97F4A7C15)
    end = at + size
    while at + 8 <= end:
        word = np.uint64(0)
        for i in range(8):
            word |= np.uint64(arena[at + i]) << np.uint64(8 * i)
        value = (value ^ word) * np.uint64(0xFF51AFD7ED558CCD)
        value ^= value >> np.uint64(32)
        at += 8
    word = np.uint64(0)
    shift = np.uint64(0)
    while at < end:
        word |= np.uint64(arena[at]) << shift
        shift += np.uint64(8)
        at += 1
    value = (value ^ word) * np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(29))


@short_kernel(void(RU8, RI64, RI64, U64))
def hash_spans(arena, at, size, out):
    for i in range(at.size):
        out[i] = _hash_span(arena, at[i], size[i])


@short_kernel(i64(RU8, RI64, RI64, RU64, I32, I32, I64))
def unique_spans(arena, at, size, hashes, slots, codes, firsts):
    """Number equal spans alike, in order of first appearance.

    slots: int32, a power of two at least twice as many as spans, filled with -1. codes: int32[n], out; firsts:
    int64[n], out: the row in which each code appeared first. Returns how many distinct spans there are.
    """
    mask = np.uint64(slots.size - 1)
    n = 0
    for i in range(at.size):
        slot = np.int64(hashes[i] & mask)
        while True:
            code = slots[slot]
            if code < 0:
                slots[slot] = n
                codes[i] = n
                firsts[n] = i
                n += 1
                break
            other = firsts[code]
            if hashes[other] == hashes[i] and size[other] == size[i]:
                if _equal_bytes(arena, at[other], arena, at[i], size[i]):
                    codes[i] = code
                    break
            slot = np.int64(np.uint64(slot + 1) & mask)
    return n


@short_kernel(void(RU8, RI64, RI32, RU8, RI64, RU64, RI64, I64))
def find_sets(arena, offsets, slots, probe_arena, probe_offsets, probe_hashes, firsts, out):
    """For each probe set its code in a table of unique spans (built by unique_spans over whole sets), or -1."""
    mask = np.uint64(slots.size - 1)
    for i in range(probe_offsets.size - 1):
        start = probe_offsets[i]
        size = probe_offsets[i + 1] - start
        slot = np.int64(probe_hashes[i] & mask)
        found = np.int64(-1)
        while True:
            code = slots[slot]
            if code < 0:
                break
            row = firsts[code]
            if offsets[row + 1] - offsets[row] == size and _equal_bytes(arena, offsets[row], probe_arena, start, size):
                found = np.int64(code)
                break
            slot = np.int64(np.uint64(slot + 1) & mask)
        out[i] = found


@inline
def _is_kept(arena, name_at, name_size, names, name_offsets, keep):
    for j in range(name_offsets.size - 1):
        size = name_offsets[j + 1] - name_offsets[j]
        if size == name_size and _equal_bytes(arena, name_at, names, name_offsets[j], size):
            return keep
    return not keep


@short_kernel(i64(RU8, RI64, RU8, RI64, i64, U8, I64))
def project(arena, offsets, names, name_offsets, keep, out, out_offsets):
    """Keep only (keep = 1) or drop (keep = 0) the named labels of each set. out has room for all of arena."""
    position = np.int64(0)
    out_offsets[0] = 0
    for i in range(offsets.size - 1):
        at = offsets[i]
        end = offsets[i + 1]
        while at < end:
            name_at, name_size, _, _, after = _parse(arena, at)
            if _is_kept(arena, name_at, name_size, names, name_offsets, keep == 1):
                for k in range(at, after):
                    out[position + k - at] = arena[k]
                position += after - at
            at = after
        out_offsets[i + 1] = position
    return position


@short_kernel(void(RU8, RI64, RU8, I64, I64))
def find_column(arena, offsets, name, value_at, value_size):
    """Where each set's value of one label is; size 0 where it lacks the label."""
    for i in range(offsets.size - 1):
        at = offsets[i]
        end = offsets[i + 1]
        value_at[i] = 0
        value_size[i] = 0
        while at < end:
            name_at, name_size, v_at, v_size, at = _parse(arena, at)
            order = _compare_bytes(arena, name_at, name_size, name, 0, name.size)
            if order == 0:
                value_at[i] = v_at
                value_size[i] = v_size
            if order >= 0:
                break


@inline
def _put_label(out, at, name, values, value_at, value_size):
    name_field = 1 + _length_size(name.size) + name.size
    value_field = 1 + _length_size(value_size) + value_size
    out[at] = 0x0A
    at = _put_length(out, at + 1, name_field + value_field)
    out[at] = 0x0A
    at = _put_length(out, at + 1, name.size)
    for k in range(name.size):
        out[at + k] = name[k]
    at += name.size
    out[at] = 0x12
    at = _put_length(out, at + 1, value_size)
    for k in range(value_size):
        out[at + k] = values[value_at + k]
    return at + value_size


@short_kernel(i64(RU8, RI64, RU8, RU8, RI64, RI32, U8, I64))
def set_column(arena, offsets, name, values, value_offsets, codes, out, out_offsets):
    """Give each set the value ``values[codes[i]]`` of one label; an empty value removes it; code -1 leaves the set
    alone.

    out has room for arena plus, for each set, the label's longest form.
    """
    position = np.int64(0)
    out_offsets[0] = 0
    for i in range(offsets.size - 1):
        at = offsets[i]
        end = offsets[i + 1]
        code = codes[i]
        done = code < 0
        while at < end:
            name_at, name_size, _, _, after = _parse(arena, at)
            if not done:
                order = _compare_bytes(arena, name_at, name_size, name, 0, name.size)
                if order >= 0:
                    size = value_offsets[code + 1] - value_offsets[code]
                    if size > 0:
                        position = _put_label(out, position, name, values, value_offsets[code], size)
                    done = True
                    if order == 0:
                        at = after
                        continue
            for k in range(at, after):
                out[position + k - at] = arena[k]
            position += after - at
            at = after
        if not done:
            size = value_offsets[code + 1] - value_offsets[code]
            if size > 0:
                position = _put_label(out, position, name, values, value_offsets[code], size)
        out_offsets[i + 1] = position
    return position


@short_kernel(void(RU8, RI64, RI64, U8, RI64))
def take_spans(arena, at, size, out, out_offsets):
    """Gather spans into one arena; out_offsets are already the running sum of sizes."""
    for i in range(at.size):
        start = at[i]
        target = out_offsets[i]
        for k in range(size[i]):
            out[target + k] = arena[start + k]


@short_kernel(tup(i64, u64)(RU8, RI64))
def count_labels(arena, offsets):
    """How many labels all sets have together, and the longest set in bytes."""
    total = np.int64(0)
    longest = np.int64(0)
    for i in range(offsets.size - 1):
        at = offsets[i]
        longest = max(longest, offsets[i + 1] - at)
        while at < offsets[i + 1]:
            _, _, _, _, at = _parse(arena, at)
            total += 1
    return total, np.uint64(longest)
