"""Tree -> text in normal form: lower-case keywords, single spaces, sorted matchers (promql/parser/printer.go)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

from athanor.model.matchers import METRIC_NAME, Matcher, MatchType
from athanor.promql.ast import (
    Aggregation,
    Binary,
    Call,
    DurationExpr,
    Matching,
    MatrixSelector,
    Node,
    NumberLiteral,
    Paren,
    StepInvariant,
    StringLiteral,
    Subquery,
    Unary,
    VectorSelector,
)
from athanor.promql.durations import NS_PER_S, duration_text, int64
from athanor.promql.floats import general, plain
from athanor.promql.gostrings import quote

Piece: TypeAlias = "str | Node"
_LEGACY_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")


def text(node: Node) -> str:
    """The normal form, on one line."""
    out: list[str] = []
    stack: list[Piece] = [node]
    while stack:
        piece = stack.pop()
        if isinstance(piece, str):
            out.append(piece)
        else:
            stack.extend(reversed(pieces(piece)))
    return "".join(out)


def pieces(node: Node) -> list[Piece]:
    """A node's text with its operands left in place."""
    match node:
        case NumberLiteral():
            return [number(node)]
        case VectorSelector():
            return [*_selector_head(node), *_at(node), _extension(node), *_offset(node)]
        case MatrixSelector():
            inner = node.selector
            window = node.range_expr or duration_text(node.range_ns)
            return [*_selector_head(inner), "[", window, "]", _extension(inner), *_at(inner), *_offset(inner)]
        case Binary():
            return [node.lhs, f" {node.op}{' bool' if node.return_bool else ''}{matching(node.matching)} ", node.rhs]
        case Call():
            return [f"{node.function.name}(", *_joined(node.args), ")"]
        case Aggregation():
            parameter: list[Piece] = [] if node.parameter is None else [node.parameter, ", "]
            return [aggregation_head(node), "(", *parameter, node.expr, ")"]
        case Paren():
            return ["(", node.expr, ")"]
        case Unary():
            return [node.op, node.expr]
        case Subquery():
            return [node.expr, *subquery_suffix(node)]
        case StringLiteral():
            return [quote(node.value)]
        case StepInvariant():
            return [node.expr]
        case DurationExpr():
            return _duration(node)


def _joined(nodes: Sequence[Node]) -> list[Piece]:
    out: list[Piece] = []
    for node in nodes:
        if out:
            out.append(", ")
        out.append(node)
    return out


def number(node: NumberLiteral) -> str:
    if not node.duration:
        return plain(node.value)
    # compat: the length goes through a float, so 1s1ms prints as 1s (printer.go)
    if node.value < 0:
        return "-" + duration_text(int64(-node.value * NS_PER_S))
    return duration_text(int64(node.value * NS_PER_S))


def label_name(name: str) -> str:
    return name if _LEGACY_NAME.match(name) else quote(name)


def labels(names: Sequence[str]) -> str:
    return "(" + ", ".join(map(label_name, names)) + ")"


def matcher(condition: Matcher) -> str:
    return f"{label_name(condition.name)}{condition.type.value}{quote(condition.value)}"


def matchers(conditions: Sequence[Matcher], name: str = "") -> str:
    """`{a="b",c="d"}`, sorted; without the matcher that only repeats the name; "" if nothing remains."""
    shown = [
        matcher(condition)
        for condition in conditions
        if not (name and condition.name == METRIC_NAME and condition.type is MatchType.EQ and condition.value == name)
    ]
    shown.sort(key=lambda one: one.encode("utf-8", "surrogateescape"))
    return "{" + ",".join(shown) + "}" if shown else ""


def matching(matching: Matching | None) -> str:
    """The modifiers of an operator, each with a space before it."""
    if matching is None:
        return ""
    grouped = matching.card in ("many-to-one", "one-to-many")
    parts: list[str] = []
    if matching.labels or matching.on or grouped:
        parts.append(f" {'on' if matching.on else 'ignoring'} {labels(matching.labels)}")
    if grouped:
        parts.append(f" group_{'left' if matching.card == 'many-to-one' else 'right'} {labels(matching.include)}")
    left, right = matching.fill_lhs, matching.fill_rhs
    if left is not None and left == right:
        return "".join(parts) + f" fill ({general(left)})"
    if left is not None:
        parts.append(f" fill_left ({general(left)})")
    if right is not None:
        parts.append(f" fill_right ({general(right)})")
    return "".join(parts)


def aggregation_head(node: Aggregation) -> str:
    """`sum by (a) `; compat: `by ()` prints as nothing."""
    if node.without:
        return f"{node.op} without {labels(node.grouping)} "
    return f"{node.op} by {labels(node.grouping)} " if node.grouping else node.op


def subquery_suffix(node: Subquery) -> list[Piece]:
    window = node.range_expr or duration_text(node.range_ns)
    step: Piece = ""
    if node.step_ns:
        step = duration_text(node.step_ns)
    elif node.step_expr is not None:
        step = node.step_expr
    return ["[", window, ":", step, "]", *_at(node), *_offset(node)]


def _selector_head(node: VectorSelector) -> list[Piece]:
    return [node.name, matchers(node.matchers, node.name)]


def _at(node: VectorSelector | Subquery) -> list[Piece]:
    if node.timestamp_ms is not None:
        return [f" @ {float(node.timestamp_ms) / 1000.0:.3f}"]
    return [f" @ {node.start_or_end}()"] if node.start_or_end is not None else []


def _extension(node: VectorSelector) -> str:
    return " anchored" if node.anchored else " smoothed" if node.smoothed else ""


def _offset(node: VectorSelector | Subquery) -> list[Piece]:
    if node.offset_expr is not None:
        return [" offset ", node.offset_expr]
    if node.offset_ns == 0:
        return []
    return [f" offset {'-' if node.offset_ns < 0 else ''}{duration_text(abs(node.offset_ns))}"]


def _duration(node: DurationExpr) -> list[Piece]:
    out: list[Piece]
    if node.op in ("step", "range"):
        out = [f"{node.op}()"]
    elif node.op in ("max_of", "min_of"):
        assert node.lhs is not None and node.rhs is not None
        out = [f"{node.op}(", node.lhs, ", ", node.rhs, ")"]
    elif node.lhs is None:
        assert node.rhs is not None
        out = [node.rhs] if node.op == "+" else [node.op, node.rhs]
    else:
        assert node.rhs is not None
        out = [node.lhs, f" {node.op} ", node.rhs]
    return ["(", *out, ")"] if node.wrapped else out
