"""Which labels of a selector its query looks at: ``sum by (job) (rate(x[5m]))`` needs the job alone.

A store that leaves out the others tells series apart by a hash of all labels. It passes through every operator below
the aggregation as one more label, so only those may stand there that give each series of theirs a row of its own,
whatever the others are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from athanor.model.select import Selection
from athanor.promql.aggregate import REDUCTIONS
from athanor.promql.ast import (
    Aggregation,
    Binary,
    Call,
    MatrixSelector,
    Node,
    Paren,
    StepInvariant,
    Subquery,
    Unary,
    VectorSelector,
    children,
)
from athanor.promql.rules.matchers import KEEPS_LABELS, NAME_LABELS

_OF_VALUES = REDUCTIONS | {"quantile", "count_values"}


def with_projections(root: Node, selections: Mapping[VectorSelector, Selection]) -> dict[VectorSelector, Selection]:
    """The selections with the labels that the query needs of them, where it does not need all."""
    readers = Counter(selections.values())
    projected = dict(selections)
    stack: list[tuple[Node, frozenset[str] | None]] = [(root, None)]
    while stack:
        node, needed = stack.pop()
        if isinstance(node, VectorSelector):
            selection = selections[node]
            # What is read once for several places stays so; and series of several names may become equal without it.
            if needed is not None and readers[selection] == 1 and selection.has_one_name:
                hints = replace(selection.hints, projection=tuple(sorted(needed | NAME_LABELS)))
                projected[node] = replace(selection, hints=hints)
            continue
        inner = _needed_below(node, needed)
        stack.extend((kid, inner) for kid in children(node))
    return projected


def _needed_below(node: Node, needed: frozenset[str] | None) -> frozenset[str] | None:
    """The labels that matter of the rows below a node; None: all of them."""
    match node:
        case Aggregation() if node.op in _OF_VALUES and not node.without:
            return frozenset(node.grouping)
        case Paren() | StepInvariant() | MatrixSelector() | Subquery() | Unary():
            return needed
        case Call() if node.function.name in KEEPS_LABELS:
            return needed
        case Binary() if node.matching is None:
            return needed
        case _:
            return None
