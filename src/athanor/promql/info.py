"""info(v, {selector}): series get the labels of the info metrics of their instance and job, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from athanor.kernel import labels
from athanor.model.arrays import B1, I64
from athanor.model.errors import DataError
from athanor.model.matchers import METRIC_NAME, Matcher, MatchType
from athanor.model.select import SelectHints, Selection
from athanor.model.tables import HISTOGRAM, LabelTable, Samples, StepBlock
from athanor.model.workspace import Workspace
from athanor.promql import info_kernels as kernels
from athanor.promql.ast import Call, Node, Subquery, VectorSelector, children
from athanor.promql.blocks import CELL_BYTES
from athanor.promql.errors import QueryError
from athanor.promql.matching import label_text
from athanor.promql.notes import Notes
from athanor.promql.rows import InstantRead, RowSource

IDENTIFYING = ("instance", "job")
_SPECIAL = frozenset("\\.+*?()|[]{}^$")


@dataclass(frozen=True, slots=True)
class InfoSelector:
    """names: which metrics are info metrics; data: conditions on their other labels, which also choose labels."""

    names: tuple[Matcher, ...]
    data: tuple[Matcher, ...]

    @property
    def keeps_unmatched(self) -> bool:
        """Whether a series without info metrics stays as it is."""
        return all(matcher.matches_empty() for matcher in self.data)


def info_selector(node: Call) -> InfoSelector:
    selector = node.args[1] if len(node.args) > 1 else None
    matchers = selector.matchers if isinstance(selector, VectorSelector) else ()
    names = tuple(m for m in matchers if m.name == METRIC_NAME)
    if not names:
        names = (Matcher(MatchType.EQ, METRIC_NAME, "target_info"),)
    elif all(m.is_negative for m in names):
        names = (*names, Matcher(MatchType.RE, METRIC_NAME, ".+_info"))
    return InfoSelector(names, tuple(m for m in matchers if m.name != METRIC_NAME))


def reference(node: Node) -> tuple[int | None, int]:
    """Where info series are looked for: at a fixed time (ms) or None, and how much before; the first selector and the
    subqueries around it say so."""
    stack: list[tuple[Node, int | None, int]] = [(node, None, 0)]
    while stack:
        inner, at_ms, offset_ms = stack.pop()
        if isinstance(inner, VectorSelector):
            if inner.timestamp_ms is not None:
                return inner.timestamp_ms, inner.offset_ms
            return at_ms, offset_ms + inner.offset_ms
        if isinstance(inner, Subquery):
            if inner.timestamp_ms is not None:
                at_ms, offset_ms = inner.timestamp_ms, inner.offset_ms
            else:
                offset_ms += inner.offset_ms
        stack.extend((kid, at_ms, offset_ms) for kid in reversed(children(inner)))
    return None, 0


def info_source(read: InstantRead, matchers: tuple[Matcher, ...], around_ms: tuple[int, int] | None) -> RowSource:
    """What reads the info series. around_ms: of the selections of the query."""
    last_ms = read.first_ms + (read.grid.n - 1) * read.step_ms
    hints = SelectHints(step_ms=read.grid.step_ms, func="info")
    selection = Selection(matchers, read.first_ms - read.lookback_ms + 1, last_ms, hints, around_ms)
    return RowSource(selection, partial(read_times, read), (), read.grid.n * CELL_BYTES)


def read_times(read: InstantRead, table: LabelTable, samples: Samples, workspace: Workspace, notes: Notes) -> StepBlock:
    """The times of info samples, in seconds. read: of times. Raises where a sample is a histogram."""
    if samples.kind is not None:
        values = InstantRead(read.grid, read.first_ms, read.step_ms, read.lookback_ms, "value")
        kind = values(table, samples, workspace, notes).kind
        for row in np.flatnonzero((kind == HISTOGRAM).any(axis=1))[:1]:
            raise QueryError(f"this should be an info metric, with float samples: {label_text(table, int(row))}")
    return read(table, samples, workspace, notes)


def are_info_series(table: LabelTable, selector: InfoSelector) -> B1:
    """bool[n]: series that are info metrics themselves."""
    names = labels.column(table, METRIC_NAME)
    texts = [name.decode("utf-8", "surrogateescape") for name in names.values]
    matched = np.array([all(m.matches(text) for m in selector.names) for text in texts], np.bool_)
    return matched[names.codes] if len(table) else np.zeros(0, np.bool_)


def info_matchers(table: LabelTable, selector: InfoSelector) -> tuple[Matcher, ...] | None:
    """What to select info series by; None where no series can have any."""
    found = []
    for name in IDENTIFYING:
        values = sorted(value for value in labels.column(table, name).values if value)
        if values:
            pattern = "|".join(_quoted(value.decode("utf-8", "surrogateescape")) for value in values)
            found.append(Matcher(MatchType.RE, name, pattern))
    return (*found, *selector.names, *selector.data) if found else None


def _quoted(text: str) -> str:
    return "".join(f"\\{char}" if char in _SPECIAL else char for char in text)


class Enrichment:
    """Series and the times of the info series that may belong to them."""

    def __init__(self, base: StepBlock, are_info: B1, infos: StepBlock, selector: InfoSelector) -> None:
        self._base, self._infos, self._selector = base, infos, selector
        keys, winners = self._newest()
        keys[are_info] = -1
        n_series, n_steps = base.kind.shape
        self._variant = np.empty((n_series, n_steps), np.int64)
        rep_rows, rep_steps = np.empty(0, np.int64), np.empty(0, np.int64)
        seen = np.empty(n_steps, np.int64)
        n = 2 * n_series
        while n > rep_rows.size:  # a second time where there are more combinations than expected
            rep_rows, rep_steps = np.empty(n, np.int64), np.empty(n, np.int64)
            n = kernels.combinations(base.kind, keys, winners, rep_rows, rep_steps, self._variant, seen)
        rep_rows, rep_steps = rep_rows[:n], rep_steps[:n]
        met = keys[rep_rows]
        members = np.where(met >= 0, winners[np.maximum(met, 0), rep_steps[:, None]], -1)
        kept = (members >= 0).any(axis=1) | are_info[rep_rows]
        if selector.keeps_unmatched:
            kept[:] = True
        self._new_rows = np.where(kept, np.cumsum(kept) - 1, -1)
        self._rows, self._members = rep_rows[kept], members[kept]

    @property
    def n_rows(self) -> int:
        return self._rows.size

    def block(self) -> StepBlock:
        """The enriched series: one for each combination of info series that a series meets."""
        base = self._base
        shape = (self.n_rows, base.kind.shape[1])
        values, kind = np.zeros(shape), np.zeros(shape, np.uint8)
        kernels.split(base.values, base.kind, self._variant, self._new_rows, values, kind)
        table = self._with_labels(labels.take(base.labels, self._rows))
        return StepBlock(base.grid, values, kind, table, base.drop_name[self._rows], base.histograms)

    def _newest(self) -> tuple[I64, I64]:
        """(keys int64[series, names]: row of the winners or -1; winners int64[keys, steps]: info series or -1)."""
        base, infos = self._base, self._infos
        names = labels.column(infos.labels, METRIC_NAME)
        index = labels.SetIndex(labels.keep(infos.labels, (METRIC_NAME, *IDENTIFYING)))
        winners = np.full((max(1, index.firsts.size), base.kind.shape[1]), -1, np.int64)
        there = base.kind.any(axis=0).astype(np.uint8)
        clash, first, second = kernels.newest(infos.values, infos.kind, index.codes, there, winners)
        if clash >= 0:
            at_ms = round(float(infos.values[first, clash]) * 1000)
            texts = label_text(infos.labels, first), label_text(infos.labels, second)
            raise QueryError(
                f"found duplicate series for info metric: existing {texts[0]} @ {at_ms}, new {texts[1]} @ {at_ms}"
            )
        identity = labels.keep(base.labels, IDENTIFYING)
        keys = np.empty((len(base.labels), len(names.values)), np.int64)
        for m in range(len(names.values)):
            wanted = labels.set_column(identity, METRIC_NAME, np.full(len(identity), m, np.int32), names.values)
            keys[:, m] = index.find(wanted)
        return keys, winners

    def _with_labels(self, table: LabelTable) -> LabelTable:
        chosen = {matcher.name for matcher in self._selector.data}
        bare = labels.drop(self._infos.labels, (METRIC_NAME,))
        for name in _label_names(bare):
            if chosen and name not in chosen:
                continue
            own = labels.column(table, name)
            free = np.array([not value for value in own.values], np.bool_)[own.codes]
            codes, values = self._label(name, free)
            table = labels.set_column(table, name, codes.astype(np.int32), values)
        return table

    def _label(self, name: str, free: B1) -> tuple[I64, Sequence[bytes]]:
        """A label's value for each combination that is free to take it, as its info series give it; -1 without any."""
        column = labels.column(self._infos.labels, name)
        given = np.array([code if value else -1 for code, value in enumerate(column.values)], np.int64)[column.codes]
        result = np.full(self.n_rows, -1, np.int64)
        for m in range(self._members.shape[1]):
            member = self._members[:, m]
            codes = np.where(free & (member >= 0), given[np.maximum(member, 0)], -1)
            if ((result >= 0) & (codes >= 0) & (result != codes)).any():
                raise QueryError(f"conflicting label: {name}")
            result = np.where(codes >= 0, codes, result)
        return result, column.values


def _label_names(table: LabelTable) -> list[str]:
    """Every name that stands in any set; one turn for each few names, not for each set."""
    names: list[str] = []
    while True:
        rows = np.flatnonzero(np.diff(table.offsets))
        if not rows.size:
            return names
        found = [name for name, _ in table.pairs(int(rows[0]))]
        table = labels.drop(table, found)
        if table.pairs(int(rows[0])):
            raise DataError(f"a label name of an info series is not UTF-8: {table.encoded(int(rows[0]))!r}")
        names += found
