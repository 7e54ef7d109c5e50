"""Which posting lists answer a set of matchers: posting groups (thanos pkg/store/bucket.go, toPostingGroup).

The label values of a block are rows of its postings offset table: sorted by name and value, one row a posting list, row
0 the list of all series. A matcher is decided once for each distinct value, by kernels where its expression is a set or
pieces with gaps, by RE2 otherwise; no Python string is made for a value that a kernel decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from athanor.block import select_kernels as kernels
from athanor.model.arrays import I64, U8, as_bytes
from athanor.model.matchers import Matcher, compile_regex
from athanor.model.regex_plan import RegexKind, RegexPlan, analyse

NO_ROWS: I64 = np.empty(0, np.int64)
ALL_SERIES_ROW = 0


class ValueTable(Protocol):
    """The label values of a block: value i is ``value_arena[value_at[i]:value_at[i]+value_size[i]]``."""

    @property
    def value_arena(self) -> U8: ...

    @property
    def value_at(self) -> I64: ...

    @property
    def value_size(self) -> I64: ...

    def rows_of(self, name: str) -> tuple[int, int]:
        """The rows [first, end) of a label name, in the order of values; (0, 0) where the block lacks it."""
        ...


@dataclass(frozen=True, slots=True)
class PostingGroup:
    """All matchers of one label name: series in the lists ``add`` (all series with ``add_all``) and not in ``remove``.

    add, remove: int64 rows, ascending; ``add`` is empty with ``add_all``, ``remove`` without it.
    """

    name: str
    add_all: bool
    add: I64
    remove: I64

    @property
    def is_empty(self) -> bool:
        """Whether no series can be in the group."""
        return not self.add_all and not self.add.size


@dataclass(frozen=True, slots=True)
class PostingPlan:
    """Series in every one of ``groups`` (the union of its rows) and in none of the rows ``remove``."""

    groups: tuple[I64, ...]
    remove: I64


def plan_postings(table: ValueTable, matchers: Iterable[Matcher]) -> PostingPlan | None:
    """The lists to read; None where no series can match (and for no matcher at all)."""
    groups = posting_groups(table, matchers)
    if not groups:
        return None
    wanted = [group.add for group in groups if not group.add_all]
    removed = [group.remove for group in groups if group.add_all]
    if not wanted:
        wanted = [np.array([ALL_SERIES_ROW], np.int64)]
    return PostingPlan(tuple(wanted), np.unique(np.concatenate(removed)) if removed else NO_ROWS)


def posting_groups(table: ValueTable, matchers: Iterable[Matcher]) -> list[PostingGroup]:
    """One group for each label name, sorted by name; an empty list where no series can match."""
    by_name: dict[str, PostingGroup] = {}
    for matcher in dict.fromkeys(matchers):
        group = _group(table, matcher)
        known = by_name.get(matcher.name)
        by_name[matcher.name] = group = group if known is None else _merged(known, group)
        if group.is_empty:
            return []
    return [by_name[name] for name in sorted(by_name)]


def _merged(a: PostingGroup, b: PostingGroup) -> PostingGroup:
    if a.add_all and b.add_all:
        return PostingGroup(a.name, True, NO_ROWS, np.union1d(a.remove, b.remove))
    if a.add_all or b.add_all:
        adding, removing = (b, a) if a.add_all else (a, b)
        return PostingGroup(a.name, False, np.setdiff1d(adding.add, removing.remove, assume_unique=True), NO_ROWS)
    return PostingGroup(a.name, False, np.intersect1d(a.add, b.add, assume_unique=True), NO_ROWS)


def _group(table: ValueTable, matcher: Matcher) -> PostingGroup:
    """The rule behind the decision table of the original.

    A matcher that accepts the empty value, which a series without the label has, takes all series less those whose
    value it refuses; any other takes those whose value it accepts.
    """
    first, end = table.rows_of(matcher.name)
    accepted = accepted_rows(table, first, end, matcher)
    if matcher.matches_empty():
        return PostingGroup(matcher.name, True, NO_ROWS, _others(first, end, accepted))
    return PostingGroup(matcher.name, False, accepted, NO_ROWS)


def _others(first: int, end: int, rows: I64) -> I64:
    return np.setdiff1d(np.arange(first, end, dtype=np.int64), rows, assume_unique=True)


def accepted_rows(table: ValueTable, first: int, end: int, matcher: Matcher) -> I64:
    """Rows of [first, end) whose value the matcher accepts, ascending."""
    if first == end:
        return NO_ROWS
    if matcher.is_regex:
        rows = _regex_rows(table, first, end, matcher.value)
    else:
        rows = _literal_rows(table, first, end, (matcher.value,))
    return _others(first, end, rows) if matcher.is_negative else rows


@lru_cache(maxsize=1024)
def _plan(pattern: str) -> RegexPlan:
    return analyse(pattern)


def _regex_rows(table: ValueTable, first: int, end: int, pattern: str) -> I64:
    plan = _plan(pattern)
    if plan.kind is RegexKind.SET:
        return _literal_rows(table, first, end, plan.literals)
    if plan.kind is RegexKind.PIECES:
        return _piece_rows(table, first, end, plan)
    if plan.literals[0]:
        bounds = np.empty(2, np.int64)
        prefix = as_bytes(_encoded(plan.literals[0]))
        kernels.prefix_rows(table.value_arena, table.value_at, table.value_size, first, end, prefix, bounds)
        first, end = bounds.tolist()
    return _searched_rows(table, first, end, pattern)


def _searched_rows(table: ValueTable, first: int, end: int, pattern: str) -> I64:
    """The general case: RE2 on each distinct value."""
    accepts = compile_regex(pattern).fullmatch
    arena = table.value_arena
    starts, sizes = table.value_at[first:end].tolist(), table.value_size[first:end].tolist()
    spans = zip(range(first, end), starts, sizes, strict=True)
    found = [row for row, at, size in spans if accepts(arena[at : at + size].tobytes()) is not None]
    return np.array(found, np.int64)


def _literal_rows(table: ValueTable, first: int, end: int, literals: Sequence[str]) -> I64:
    keys, offsets = _packed(literals)
    out = np.empty(len(literals), np.int64)
    arrays = (table.value_arena, table.value_at, table.value_size)
    return np.unique(out[: kernels.find_values(*arrays, first, end, keys, offsets, out)])


def _piece_rows(table: ValueTable, first: int, end: int, plan: RegexPlan) -> I64:
    arrays = (table.value_arena, table.value_at, table.value_size)
    pieces, offsets = _packed(plan.literals)
    if plan.literals[0]:
        bounds = np.empty(2, np.int64)
        kernels.prefix_rows(*arrays, first, end, as_bytes(_encoded(plan.literals[0])), bounds)
        first, end = bounds.tolist()
    accepted = np.empty(end - first, np.bool_)
    kernels.match_pieces(*arrays, first, end, pieces, offsets, np.array(plan.gaps, np.int64), accepted)
    return np.flatnonzero(accepted) + first


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _packed(texts: Sequence[str]) -> tuple[U8, I64]:
    encoded = [_encoded(text) for text in texts]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(e) for e in encoded], out=offsets[1:])
    return as_bytes(b"".join(encoded) or b"\0"), offsets
