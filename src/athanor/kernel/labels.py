"""Operations on tables of label sets: every one takes a table and makes a new one, or arrays about its rows.

Orders are Prometheus' (`labels.Compare`). A *column* is the value of one label in every set, as int32 codes into the
distinct values, so that grouping, matching and regular expressions decide once for each distinct value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from athanor.kernel import label_kernels as kernels
from athanor.model.arrays import I32, I64, U8, U64, as_bytes
from athanor.model.tables import LabelTable

METRIC_NAME = "__name__"


@dataclass(frozen=True, slots=True)
class Column:
    """codes: int32[n]; values: the distinct values as bytes, in order of first appearance, b"" where the label is
    missing."""

    codes: I32
    values: tuple[bytes, ...]


def empty_sets(n: int) -> LabelTable:
    """n empty label sets."""
    return LabelTable(np.empty(0, np.uint8), np.zeros(n + 1, np.int64))


def compare(a: LabelTable, row_a: int, b: LabelTable, row_b: int) -> int:
    """-1, 0 or 1."""
    spans = int(a.offsets[row_a]), int(a.offsets[row_a + 1]), int(b.offsets[row_b]), int(b.offsets[row_b + 1])
    return int(kernels.compare_labels(a.arena, spans[0], spans[1], b.arena, spans[2], spans[3]))


def is_strictly_sorted(table: LabelTable) -> bool:
    return bool(kernels.first_unsorted(table.arena, table.offsets) < 0)


def sort_order(table: LabelTable) -> I64:
    """Rows in label order, stable; int64[n]."""
    order = np.arange(len(table), dtype=np.int64)
    if not is_strictly_sorted(table):
        kernels.sort_rows(table.arena, table.offsets, order, np.empty_like(order))
    return order


def hashes(table: LabelTable) -> U64:
    """uint64[n], equal for equal sets; meaningful inside this process only."""
    out = np.empty(len(table), np.uint64)
    kernels.hash_spans(table.arena, table.offsets[:-1].copy(), np.diff(table.offsets), out)
    return out


def _unique(arena: U8, at: I64, size: I64) -> tuple[I32, I64]:
    """Codes of equal spans and the row in which each code appears first."""
    n = at.size
    span_hashes = np.empty(n, np.uint64)
    kernels.hash_spans(arena, at, size, span_hashes)
    slots = np.full(1 << max(3, (2 * n).bit_length()), -1, np.int32)
    codes = np.empty(n, np.int32)
    firsts = np.empty(n, np.int64)
    count = kernels.unique_spans(arena, at, size, span_hashes, slots, codes, firsts)
    return codes, firsts[:count].copy()


def unique(table: LabelTable) -> tuple[I32, I64]:
    """(codes int32[n], firsts int64[g]): equal sets share a code; codes count up in order of first appearance."""
    return _unique(table.arena, np.ascontiguousarray(table.offsets[:-1]), np.diff(table.offsets))


def has_duplicates(table: LabelTable) -> bool:
    return unique(table)[1].size < len(table)


def _name_arena(names: Sequence[str]) -> tuple[U8, I64]:
    encoded = [name.encode() for name in names]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(e) for e in encoded], out=offsets[1:])
    return as_bytes(b"".join(encoded)), offsets


def _project(table: LabelTable, names: Sequence[str], keep: int) -> LabelTable:
    arena, offsets = _name_arena(names)
    # A table may begin inside its arena; the room needed is that of its own bytes.
    out = np.empty(int(table.offsets[-1] - table.offsets[0]), np.uint8)
    out_offsets = np.empty(len(table) + 1, np.int64)
    used = kernels.project(table.arena, table.offsets, arena, offsets, keep, out, out_offsets)
    return LabelTable(out[:used], out_offsets)


def keep(table: LabelTable, names: Sequence[str]) -> LabelTable:
    """Every set with only these labels (aggregation `by`, matching `on`)."""
    return _project(table, names, 1)


def drop(table: LabelTable, names: Sequence[str]) -> LabelTable:
    """Every set without these labels (aggregation `without`, matching `ignoring`, removal of the metric name)."""
    return _project(table, names, 0)


def group(table: LabelTable, names: Sequence[str], by: bool) -> tuple[I32, LabelTable]:
    """Aggregation groups: (group of each row int32[n], the groups' label sets), groups in order of first appearance.

    `without` also drops the metric name, as PromQL does.
    """
    if by and not names and len(table):
        return np.zeros(len(table), np.int32), empty_sets(1)
    projected = keep(table, names) if by else drop(table, [*names, METRIC_NAME])
    codes, firsts = unique(projected)
    return codes, take(projected, firsts)


def take(table: LabelTable, rows: I64) -> LabelTable:
    """The sets of these rows, in this order."""
    rows = np.ascontiguousarray(rows, np.int64)
    at = table.offsets[rows]
    size = table.offsets[rows + 1] - at
    offsets = np.zeros(rows.size + 1, np.int64)
    np.cumsum(size, out=offsets[1:])
    out = np.empty(int(offsets[-1]), np.uint8)
    kernels.take_spans(table.arena, at, size, out, offsets)
    return LabelTable(out, offsets)


def concat(tables: Sequence[LabelTable]) -> LabelTable:
    if len(tables) == 1:
        return tables[0]
    arenas = [t.arena[t.offsets[0] : t.offsets[-1]] for t in tables]
    sizes = [np.diff(t.offsets) for t in tables]
    offsets = np.zeros(sum(s.size for s in sizes) + 1, np.int64)
    if sizes:
        np.cumsum(np.concatenate(sizes), out=offsets[1:])
    return LabelTable(np.concatenate(arenas) if arenas else np.empty(0, np.uint8), offsets)


def column(table: LabelTable, name: str) -> Column:
    """The values of one label, dictionary-encoded."""
    at = np.empty(len(table), np.int64)
    size = np.empty(len(table), np.int64)
    kernels.find_column(table.arena, table.offsets, as_bytes(name.encode()), at, size)
    codes, firsts = _unique(table.arena, at, size)
    values = tuple(table.arena[at[i] : at[i] + size[i]].tobytes() for i in firsts.tolist())
    return Column(codes, values)


def set_column(table: LabelTable, name: str, codes: I32, values: Sequence[bytes]) -> LabelTable:
    """Give each set the value ``values[codes[i]]`` of a label; b"" removes the label; code -1 leaves the set as it
    is."""
    offsets = np.zeros(len(values) + 1, np.int64)
    np.cumsum([len(v) for v in values], out=offsets[1:])
    encoded_name = name.encode()
    # Three length prefixes and three tags around name and value take at most 33 bytes.
    used = codes[codes >= 0]
    extra = int(np.diff(offsets)[used].sum()) + used.size * (len(encoded_name) + 33)
    out = np.empty(int(table.offsets[-1] - table.offsets[0]) + extra, np.uint8)
    out_offsets = np.empty(len(table) + 1, np.int64)
    end = kernels.set_column(
        table.arena, table.offsets, as_bytes(encoded_name), as_bytes(b"".join(values)), offsets,
        np.ascontiguousarray(codes, np.int32), out, out_offsets,
    )  # fmt: skip
    # The unused room is given back where it is worth a copy.
    return LabelTable(out[:end] if end > out.size - out.size // 8 else out[:end].copy(), out_offsets)


class SetIndex:
    """A hash index of a table's distinct sets: finds the code of other sets without Python objects."""

    def __init__(self, table: LabelTable) -> None:
        self._table = table
        at = np.ascontiguousarray(table.offsets[:-1])
        size = np.diff(table.offsets)
        self._slots = np.full(1 << max(3, (2 * at.size).bit_length()), -1, np.int32)
        firsts = np.empty(at.size, np.int64)
        self.codes = np.empty(at.size, np.int32)
        count = kernels.unique_spans(table.arena, at, size, hashes(table), self._slots, self.codes, firsts)
        self.firsts = firsts[:count].copy()

    def find(self, probe: LabelTable) -> I64:
        """int64[n]: the code of each probe set in this index, or -1."""
        out = np.empty(len(probe), np.int64)
        kernels.find_sets(
            self._table.arena,
            self._table.offsets,
            self._slots,
            probe.arena,
            probe.offsets,
            hashes(probe),
            self.firsts,
            out,
        )
        return out
