"""Which parts of a query read and compute the same, wherever they stand: they are evaluated once.

differs: an annotation of such a part has its first place in the query where Prometheus, which evaluates each, tells the
last. Thanos, and so our API, shows no places.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from athanor.model.select import Selection
from athanor.promql.ast import (
    Aggregation,
    Binary,
    Call,
    MatrixSelector,
    Node,
    NumberLiteral,
    Paren,
    StringLiteral,
    Subquery,
    Unary,
    VectorSelector,
    fold,
)


def structures(
    root: Node, selections: Mapping[VectorSelector, Selection], shifts: Mapping[Node, int]
) -> dict[Node, int]:
    """Numbers of nodes, equal for nodes that read and compute the same, wherever they stand in the text. shifts: see
    ``at_times``."""
    numbers: dict[tuple[Any, ...], int] = {}
    found: dict[Node, int] = {}

    def combine(node: Node, kids: list[int]) -> int:
        if isinstance(node, Paren):
            number = kids[0]
        else:
            key = (type(node), shifts.get(node, 0), *_own(node, selections), *kids)
            number = numbers.setdefault(key, len(numbers))
        found[node] = number
        return number

    fold(root, combine)
    return found


def _own(node: Node, selections: Mapping[VectorSelector, Selection]) -> tuple[Any, ...]:
    match node:
        case NumberLiteral():
            return (node.value.hex(),)
        case StringLiteral():
            return (node.value,)
        case VectorSelector():
            kept = node.anchored, node.smoothed, node.skip_buckets
            return (selections[node], node.offset_ns, node.timestamp_ms, *kept)
        case MatrixSelector():
            return (node.range_ns,)
        case Subquery():
            return (node.range_ns, node.step_ns, node.offset_ns, node.timestamp_ms)
        case Call():
            return (node.function.name,)
        case Aggregation():
            return (node.op, node.grouping, node.without)
        case Binary():
            return (node.op, node.matching, node.return_bool)
        case Unary():
            return (node.op,)
        case _:
            return ()
