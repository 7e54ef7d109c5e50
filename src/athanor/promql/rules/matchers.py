"""Conditions on one side of a binary operator hold for the other side, where labels are matched: fewer series are read.

``a{job="x"} and on (job) b`` needs no series of ``b`` but those of the job x. A condition goes over only where nothing
else can depend on the series that it keeps away: they must have no part in an error (many series for one match group),
and no operator on their way may have something to note about them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from athanor.model.matchers import METRIC_NAME, Matcher
from athanor.model.select import Selection
from athanor.promql.ast import (
    SET_OPERATORS,
    Aggregation,
    Binary,
    Call,
    Matching,
    MatrixSelector,
    Node,
    Paren,
    StepInvariant,
    Subquery,
    Unary,
    VectorSelector,
    fold,
)
from athanor.promql.functions import ROWWISE
from athanor.promql.windows import WINDOW_FUNCTIONS

NAME_LABELS = frozenset({METRIC_NAME, "__type__", "__unit__"})
HiddenOf = Callable[[Selection], frozenset[str]]
# Calls whose rows have the labels of their argument's rows, but for the name.
KEEPS_LABELS = (frozenset(WINDOW_FUNCTIONS) | ROWWISE) - {"absent_over_time"}
# Without an annotation, whatever the samples are; the first also keep the name, so that no two series become equal.
_QUIET_CALLS = frozenset({"first_over_time", "last_over_time"})
_QUIET_REDUCTIONS = frozenset({"count", "group"})
_EVERYTHING = frozenset({".*", ".+"})


@dataclass(frozen=True, slots=True)
class _Labels:
    """These labels, or all but these."""

    names: frozenset[str]
    but: bool = False

    def __contains__(self, name: str) -> bool:
        return (name in self.names) is not self.but

    def is_within(self, other: _Labels) -> bool:
        if self.but:
            return other.but and other.names <= self.names
        return all(name in other for name in self.names)

    def both(self, other: _Labels) -> _Labels:
        """Those that are in both."""
        if self.but and other.but:
            return _Labels(self.names | other.names, but=True)
        some, limits = (other, self) if self.but else (self, other)
        return _Labels(frozenset(name for name in some.names if name in limits))


ALL = _Labels(frozenset(), but=True)


@dataclass(frozen=True, slots=True)
class _Rows:
    """What is known of the series that a node gives.

    conditions: hold for all of them. target: the selector that reads them, where a condition on a label in `passed`
    keeps away just the series that it does not hold for. key: labels that tell any two of them apart, None unknown.
    """

    conditions: tuple[Matcher, ...] = ()
    target: VectorSelector | None = None
    passed: _Labels = ALL
    key: _Labels | None = None


_UNKNOWN = _Rows()


def with_conditions(
    root: Node, selections: Mapping[VectorSelector, Selection], hidden: HiddenOf
) -> dict[VectorSelector, Selection]:
    """The selections with the conditions that the rest of the query implies.

    hidden: labels that matchers may name and that the series of a selection are answered without.
    """
    added: dict[VectorSelector, list[Matcher]] = {}

    def combine(node: Node, kids: list[_Rows]) -> _Rows:
        if isinstance(node, Binary) and node.matching is not None:
            for rows, conditions in _transfers(node.op, node.matching, *kids):
                assert rows.target is not None
                concealed = hidden(selections[rows.target])
                added.setdefault(rows.target, []).extend(c for c in conditions if c.name not in concealed)
        return _rows(node, kids, selections, hidden)

    fold(root, combine)
    readers = Counter(selections.values())
    changed = dict(selections)
    for selector, matchers in added.items():
        selection = selections[selector]
        new = tuple(m for m in dict.fromkeys(matchers) if m not in selection.matchers)
        if new and readers[selection] == 1:  # what is read once for several places stays so
            changed[selector] = replace(selection, matchers=(*selection.matchers, *new))
    return changed


def _transfers(op: str, matching: Matching, left: _Rows, right: _Rows) -> list[tuple[_Rows, tuple[Matcher, ...]]]:
    """Which side gets which conditions of the other."""
    if op == "or" or matching.fill_lhs is not None or matching.fill_rhs is not None:
        return []
    if op not in SET_OPERATORS:
        one = left if matching.card == "one-to-many" else right
        if one.key is None or not one.key.is_within(_signature(matching)):
            return []  # that several series of it are in one match group is an error, also of those kept away
    found = []
    for rows, other in ((right, left), *(() if op == "unless" else ((left, right),))):
        if rows.target is not None:
            signature = _signature(matching)
            conditions = tuple(c for c in other.conditions if c.name in signature and c.name in rows.passed)
            found.append((rows, conditions))
    return found


def _signature(matching: Matching) -> _Labels:
    """The labels by which series are matched."""
    if matching.on:
        return _Labels(frozenset(matching.labels))
    return _Labels(frozenset({*matching.labels, METRIC_NAME}), but=True)


def _rows(node: Node, kids: list[_Rows], selections: Mapping[VectorSelector, Selection], hidden: HiddenOf) -> _Rows:
    match node:
        case VectorSelector():
            return _selected(node, selections[node], hidden(selections[node]))
        case Paren() | StepInvariant() | MatrixSelector() | Subquery():
            return kids[0]
        case Unary():
            return _named(kids[0]) if node.op == "-" else kids[0]
        case Aggregation():
            return _aggregated(node, kids[0])
        case Call() if node.function.name in KEEPS_LABELS:
            rows = next(
                (kid for arg, kid in zip(node.args, kids, strict=True) if arg.type in ("vector", "matrix")), None
            )
            if rows is None:
                return _UNKNOWN
            return rows if node.function.name in _QUIET_CALLS else _named(rows)
        case Binary():
            return _combined(node, *kids)
        case _:
            return _UNKNOWN


def _named(rows: _Rows) -> _Rows:
    """Rows that have lost their name: their conditions hold, what is known of equal ones and annotations does not."""
    return _Rows(rows.conditions)


def _selected(node: VectorSelector, selection: Selection, hidden: frozenset[str]) -> _Rows:
    conditions = tuple(m for m in selection.matchers if _selects(m) and m.name not in hidden | NAME_LABELS)
    target = None if node.anchored or node.smoothed else node
    key = _Labels(frozenset({METRIC_NAME}), but=True) if selection.has_one_name else None
    return _Rows(conditions, target, _Labels(NAME_LABELS, but=True), key)


def _selects(matcher: Matcher) -> bool:
    """Whether it asks for few values: a condition that most series fulfil costs more than it saves."""
    if matcher.is_negative or matcher.matches_empty():
        return False
    return not (matcher.is_regex and matcher.value in _EVERYTHING)


def _aggregated(node: Aggregation, inner: _Rows) -> _Rows:
    """Series of a group that a condition keeps away take their whole group along."""
    grouping = _Labels(frozenset(node.grouping) | (NAME_LABELS if node.without else frozenset()), but=node.without)
    if node.op in ("topk", "bottomk", "limitk", "limit_ratio"):
        return _Rows(inner.conditions)
    conditions = tuple(c for c in inner.conditions if c.name in grouping)
    if node.op == "count_values":
        return _Rows()
    if inner.target is None or node.op not in _QUIET_REDUCTIONS:
        return _Rows(conditions, key=grouping)
    return _Rows(conditions, inner.target, grouping.both(inner.passed), grouping)


def _combined(node: Binary, left: _Rows, right: _Rows) -> _Rows:
    """Conditions of a binary operator's result; nothing may be kept away below it."""
    matching = node.matching
    if matching is None:
        return _Rows((*left.conditions, *right.conditions))
    if node.op == "or" or matching.fill_lhs is not None or matching.fill_rhs is not None:
        return _UNKNOWN
    if node.op == "unless":
        return _Rows(left.conditions)
    many, one = (right, left) if matching.card == "one-to-many" else (left, right)
    signature = _signature(matching)
    shared = tuple(c for c in one.conditions if c.name in signature)
    if node.op != "and" and matching.card == "one-to-one":
        own = tuple(c for c in many.conditions if c.name in signature)
    else:
        own = many.conditions
    return _Rows(tuple(c for c in (*own, *shared) if c.name not in matching.include))
