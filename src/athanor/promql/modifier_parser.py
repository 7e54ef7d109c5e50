"""What may follow an operand: offset, @, anchored, smoothed, `[range]`, `[range:step]`."""

from __future__ import annotations

import math
from dataclasses import replace

from athanor.promql.ast import DurationExpr, MatrixSelector, Node, NumberLiteral, Subquery, VectorSelector
from athanor.promql.duration_parser import parse_duration, parse_offset, positive
from athanor.promql.durations import ms_of_seconds, ns_of_seconds
from athanor.promql.floats import plain
from athanor.promql.lexer import DURATION, NUMBER
from athanor.promql.tokens import TokenStream

MODIFIERS_OF_OPERANDS = frozenset({"offset", "@", "[", "anchored", "smoothed"})


def modified(tokens: TokenStream, node: Node, kind: str) -> Node:
    """The operand with the modifier that is next (kind) applied."""
    if kind == "[":
        return _bracketed(tokens, node)
    tokens.advance()
    if kind == "offset":
        return _with_offset(tokens, node)
    if kind == "@":
        return _with_timestamp(tokens, node)
    return _extended(tokens, node, kind)


def _with_offset(tokens: TokenStream, node: Node) -> Node:
    offset = parse_offset(tokens)
    target = _modifiable(tokens, node, "offset modifier")
    if target.offset_ns != 0 or target.offset_expr is not None:
        tokens.fail("offset may not be set multiple times", node.start, node.end)
    end = tokens.last_closing
    if isinstance(offset, NumberLiteral):
        return _changed(node, end, offset_ns=ns_of_seconds(offset.value))
    return _changed(node, end, offset_expr=offset)


def _with_timestamp(tokens: TokenStream, node: Node) -> Node:
    kind = tokens.peek()
    if kind in ("start", "end"):
        tokens.advance()
        for wanted in ("(", ")"):
            if tokens.peek() != wanted:
                tokens.unexpected("@", "timestamp")
            tokens.advance()
        _refuse_second_timestamp(tokens, node)
        return _changed(node, tokens.previous_end, start_or_end=kind)
    if kind in ("+", "-"):
        tokens.advance()
    if tokens.peek() not in (NUMBER, DURATION):
        tokens.unexpected("@", "timestamp")
    value = tokens.number_literal().value
    value = -value if kind == "-" else value
    if not -9223372036854775808.0 < value < 9223372036854775808.0:
        shown = f"{value:f}" if math.isfinite(value) else plain(value)
        tokens.fail(f"timestamp out of bounds for @ modifier: {shown}", node.start, node.end)
    _refuse_second_timestamp(tokens, node)
    return _changed(node, tokens.previous_end, timestamp_ms=ms_of_seconds(value))


def _refuse_second_timestamp(tokens: TokenStream, node: Node) -> None:
    target = _modifiable(tokens, node, "@ modifier")
    if target.timestamp_ms is not None or target.start_or_end is not None:
        tokens.fail("@ <timestamp> may not be set multiple times", node.start, node.end)


def _modifiable(tokens: TokenStream, node: Node, modifier: str) -> VectorSelector | Subquery:
    if isinstance(node, MatrixSelector):
        return node.selector
    if not isinstance(node, VectorSelector | Subquery):
        places = "an instant vector selector or range vector selector or a subquery"
        tokens.fail(f"{modifier} must be preceded by {places}", node.start, node.end)
    return node


def _extended(tokens: TokenStream, node: Node, word: str) -> Node:
    """anchored or smoothed; compat: the node's end does not move."""
    if not tokens.features.extended_range_selectors:
        tokens.fail(f"{word} modifier is experimental and not enabled", node.start, node.end)
    if isinstance(node, Subquery):
        tokens.fail(f"{word} modifier is not supported for subqueries", node.start, node.end)
    if not isinstance(node, VectorSelector | MatrixSelector):
        tokens.fail(f"{word} modifier not implemented", node.start, node.end)
    selector = node.selector if isinstance(node, MatrixSelector) else node
    if selector.smoothed if word == "anchored" else selector.anchored:
        tokens.fail("anchored and smoothed modifiers cannot be used together", node.start, node.end)
    selector = replace(selector, anchored=True) if word == "anchored" else replace(selector, smoothed=True)
    return replace(node, selector=selector) if isinstance(node, MatrixSelector) else selector


def _bracketed(tokens: TokenStream, node: Node) -> Node:
    """`[range]` or `[range:step]`."""
    words = tokens.duration_words
    bracket = tokens.advance()
    range_ns, range_expr = positive(tokens, parse_duration(tokens, "subquery or range selector", words))
    kind = tokens.peek()
    if kind == "]":
        tokens.advance()
        return _matrix(tokens, node, bracket, range_ns, range_expr)
    if kind != ":":
        tokens.unexpected("subquery or range", '":" or "]"')
    tokens.advance()
    step_ns, step_expr = 0, None
    if tokens.peek() != "]":
        glue = ", or " if tokens.features.since_3_10 else " or "
        expected = words.replace(", or ", ", " if tokens.features.since_3_10 else ", or ") + glue + '"]"'
        step_ns, step_expr = positive(tokens, parse_duration(tokens, "subquery selector", expected))
        if tokens.peek() != "]":
            tokens.unexpected("subquery selector", '"]"')
    tokens.advance()
    return Subquery(node, range_ns, node.start, tokens.previous_end, step_ns, range_expr, step_expr)


def _matrix(tokens: TokenStream, node: Node, bracket: int, range_ns: int, range_expr: DurationExpr | None) -> Node:
    end = tokens.previous_end
    if not isinstance(node, VectorSelector):
        tokens.fail("ranges only allowed for vector selectors", bracket, end)
    if node.offset_ns != 0 or node.offset_expr is not None:
        tokens.fail("no offset modifiers allowed before range", bracket, end)
    if node.timestamp_ms is not None or node.start_or_end is not None:
        tokens.fail("no @ modifiers allowed before range", bracket, end)
    return MatrixSelector(node, range_ns, node.start, end, range_expr)


def _changed(node: Node, end: int, **changes: object) -> Node:
    """The selector, range or subquery with a modifier applied and a new end."""
    if isinstance(node, MatrixSelector):
        return replace(node, selector=replace(node.selector, **changes), end=end)  # type: ignore[arg-type]
    assert isinstance(node, VectorSelector | Subquery)
    return replace(node, end=end, **changes)  # type: ignore[arg-type]
