"""Tokens -> tree.

An operator-precedence parser with a stack of its own, so that depth costs memory, not recursion. It raises at the first
mistake, with the text and place of the original, whose grammar is LALR (prometheus promql/parser/generated_parser.y): a
mistake is described in the terms of the innermost construct that has words for it, so only aggregations, groupings,
matchers, brackets, offset and @ speak of themselves.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NoReturn

from athanor.model.matchers import METRIC_NAME, Matcher, MatchType, RegexError
from athanor.promql.ast import (
    AGGREGATORS,
    AGGREGATORS_WITH_PARAMETER,
    EXPERIMENTAL_AGGREGATORS,
    SET_OPERATORS,
    Aggregation,
    Binary,
    Call,
    Cardinality,
    DurationExpr,
    Matching,
    MatrixSelector,
    Node,
    NumberLiteral,
    Paren,
    StringLiteral,
    Subquery,
    Unary,
    VectorSelector,
)
from athanor.promql.duration_parser import parse_duration, parse_offset, positive
from athanor.promql.durations import ms_of_seconds, ns_of_seconds
from athanor.promql.errors import ParseError
from athanor.promql.features import Features
from athanor.promql.floats import plain
from athanor.promql.gostrings import quote
from athanor.promql.lexer import DURATION, EOF, IDENTIFIER, METRIC, MODIFIERS, NUMBER, STRING, WORD_OPERATORS
from athanor.promql.signatures import find_function
from athanor.promql.tokens import TokenStream, is_label_name
from athanor.promql.typecheck import check_types

# differs: the original has no limit but its stack and memory. A part is an operand, operator, parenthesis or matcher; a
# regular expression counts for five. So many are parsed in about a second.
MAX_PARTS = 150_000
_PRECEDENCE = {
    "or": 1,
    "and": 2,
    "unless": 2,
    **dict.fromkeys(("==", "!=", "<=", "<", ">=", ">", "</", ">/"), 3),
    "+": 4,
    "-": 4,
    **dict.fromkeys(("*", "/", "%", "atan2"), 5),
    "^": 6,
}
_UNARY_PRECEDENCE = 5
_CALLABLE = frozenset({"start", "end", "step", "range", "max_of", "min_of"})
_NAMES = (
    frozenset({IDENTIFIER, METRIC, "and", "or", "unless", "by", "without", "offset", "anchored", "smoothed"})
    | frozenset({"fill", "fill_left", "fill_right"})
    | _CALLABLE
    | AGGREGATORS
)
_LABEL_WORDS = frozenset({IDENTIFIER, METRIC}) | (MODIFIERS - {"without"}) | WORD_OPERATORS | AGGREGATORS | _CALLABLE
_MATCH_TYPES = {kind.value: kind for kind in MatchType}
_POSTFIX = frozenset({"offset", "@", "[", "anchored", "smoothed"})


class _Frame:
    """An unfinished construct: what has been read of a paren, call, aggregation, sign or operator."""

    __slots__ = ("args", "grouping", "kind", "lhs", "matching", "op", "precedence", "return_bool", "start", "without")

    def __init__(self, kind: str, op: str, start: int, precedence: int = 0) -> None:
        self.kind = kind
        self.op = op
        self.start = start
        self.precedence = precedence
        self.args: list[Node] = []
        self.lhs: Node | None = None
        self.matching = _PLAIN_MATCHING
        self.return_bool = False
        self.grouping: tuple[str, ...] | None = None
        self.without = False


_PLAIN_MATCHING = Matching()


def parse(text: str | bytes, features: Features | None = None) -> Node:
    """The tree of a query whose types fit; raises ParseError at the first mistake."""
    raw = _encode(text)
    node = _Parser(TokenStream(raw, features or Features())).expression()
    check_types(node, raw)
    return node


def parse_selector(text: str | bytes, features: Features | None = None) -> tuple[Matcher, ...]:
    """The matchers of a plain selector, as `match[]` takes it; the empty selector is allowed."""
    return _Parser(TokenStream(_encode(text), features or Features())).lone_selector().matchers


def parse_metric(text: str | bytes, features: Features | None = None) -> dict[str, str]:
    """The labels of `name{a="b"}`, the name under `__name__`."""
    return _Parser(TokenStream(_encode(text), features or Features())).metric()


def _encode(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


class _Parser:
    def __init__(self, tokens: TokenStream) -> None:
        self.tokens = tokens
        self.features = tokens.features
        self.frames: list[_Frame] = []
        self.n_parts = 0
        self.n_aggregations = 0  # frames that give a syntax error the words "in aggregation"

    def unexpected(self) -> NoReturn:
        self.tokens.unexpected("aggregation" if self.n_aggregations else "")

    def count(self, n_parts: int) -> None:
        self.n_parts += n_parts
        if self.n_parts > MAX_PARTS:
            self.tokens.fail(f"query has more than {MAX_PARTS} parts; split it", self.tokens.start())

    # ---- expressions

    def expression(self) -> Node:
        tokens = self.tokens
        if tokens.peek() == EOF:
            raise ParseError("no expression found in input", tokens.text, 0, 0)
        while True:
            node = self.operand()
            if node is None:
                continue
            done = self.after_operand(node)
            if done is not None:
                return done

    def operand(self) -> Node | None:
        """One operand, or None when a construct was opened whose operand follows."""
        tokens = self.tokens
        self.count(1)
        kind = tokens.peek()
        if kind in (NUMBER, DURATION):
            return tokens.number_literal()
        if kind in _NAMES:
            return self.named(kind)
        if kind == "{":
            return self.selector("", tokens.start())
        if kind == "(":
            self.frames.append(_Frame("paren", "(", tokens.advance()))
            return None
        if kind in ("+", "-"):
            self.frames.append(_Frame("unary", kind, tokens.advance(), _UNARY_PRECEDENCE))
            return None
        if kind == STRING:
            start, end, value = tokens.string()
            return StringLiteral(value, start, end)
        self.unexpected()

    def named(self, kind: str) -> Node | None:
        """An aggregation, a call or a selector by name."""
        tokens = self.tokens
        start, name = tokens.start(), tokens.source()
        tokens.advance()
        following = tokens.peek()
        if kind in AGGREGATORS and following in ("(", "by", "without"):
            return self.open_aggregation(kind, start)
        if following == "(" and (kind == IDENTIFIER or (kind in _CALLABLE and self.may_call(kind))):
            return self.open_call(name, start)
        return self.selector(name, start, tokens.previous_end)

    def may_call(self, kind: str) -> bool:
        return self.features.since_3_10 or kind == "step"

    def open_call(self, name: str, start: int) -> Node | None:
        tokens = self.tokens
        tokens.advance()
        frame = _Frame("call", name, start)
        if tokens.peek() == ")":
            return self.finish_call(frame)
        self.frames.append(frame)
        return None

    def open_aggregation(self, op: str, start: int) -> Node | None:
        tokens = self.tokens
        frame = _Frame("aggregation", op, start)
        self.frames.append(frame)
        self.n_aggregations += 1
        if tokens.peek() != "(":
            self.grouping(frame)
            if tokens.peek() != "(":
                self.unexpected()
        tokens.advance()
        if tokens.peek() == ")":
            self.frames.pop()
            return self.finish_aggregation(frame)
        return None

    def grouping(self, frame: _Frame) -> None:
        frame.without = self.tokens.peek() == "without"
        self.tokens.advance()
        frame.grouping = self.labels()

    # ---- after an operand: modifiers, operators, ends

    def after_operand(self, node: Node) -> Node | None:
        """Applies what follows; the whole tree at the end of the text, None when the next operand is due."""
        tokens, frames = self.tokens, self.frames
        while True:
            kind = tokens.peek()
            if kind in _POSTFIX:
                node = self.modified(node, kind)
                continue
            precedence = _PRECEDENCE.get(kind, 0)
            while frames and (top := frames[-1]).precedence > 0:
                if precedence > top.precedence or (precedence == 6 and top.precedence == 6):
                    break
                frames.pop()
                node = self.reduce(top, node)
            if precedence:
                self.open_binary(kind, precedence, node)
                return None
            if not frames:
                if kind != EOF:
                    self.unexpected()
                return node
            top = frames[-1]
            if kind == ")":
                node = self.close(top, node)
                continue
            if kind == "," and top.kind != "paren":
                top.args.append(node)
                comma = tokens.advance()
                if not self.starts_operand(tokens.peek()):
                    tokens.fail("trailing commas not allowed in function call args", comma)
                return None
            self.unexpected()

    @staticmethod
    def starts_operand(kind: str) -> bool:
        return kind in _NAMES or kind in (NUMBER, DURATION, STRING, "{", "(", "+", "-")

    def close(self, frame: _Frame, node: Node) -> Node:
        tokens = self.tokens
        self.frames.pop()
        if frame.kind == "paren":
            tokens.advance()
            return Paren(node, node.type, frame.start, tokens.previous_end)
        frame.args.append(node)
        return self.finish_call(frame) if frame.kind == "call" else self.finish_aggregation(frame)

    def finish_call(self, frame: _Frame) -> Node:
        """At the closing parenthesis of a call."""
        tokens = self.tokens
        tokens.advance()
        name, end = frame.op, frame.start + len(frame.op.encode())
        if not self.features.since_3_10 and name.lower() == "step":
            if frame.args:  # Prometheus 3.9 knows step() only as a duration
                tokens.fail("unexpected " + quote(name), frame.start)
            return DurationExpr("step", None, None, frame.start, tokens.previous_end)
        function = find_function(name, self.features)
        if function is None:
            tokens.fail(f"unknown function with name {quote(name)}", frame.start, end)
        if function.experimental and not self.features.experimental_functions:
            tokens.fail(f"function {quote(name)} is not enabled", frame.start, end)
        if name == "info" and len(frame.args) > 1:
            selector = frame.args[1]
            if isinstance(selector, VectorSelector) and not selector.name:
                frame.args[1] = replace(selector, any_series=True)
        return Call(function, tuple(frame.args), frame.start, tokens.previous_end)

    def finish_aggregation(self, frame: _Frame) -> Node:
        """At the closing parenthesis of an aggregation; its labels may still follow."""
        tokens, op, args = self.tokens, frame.op, frame.args
        tokens.advance()
        end = tokens.previous_end
        if frame.grouping is None and tokens.peek() in ("by", "without"):
            self.grouping(frame)
            end = tokens.previous_end
        self.n_aggregations -= 1
        if not args:
            tokens.fail("no arguments for aggregate expression provided", frame.start, end)
        n_wanted = 1
        if op in AGGREGATORS_WITH_PARAMETER:
            n_wanted = 2
            if op in EXPERIMENTAL_AGGREGATORS and not self.features.experimental_functions:
                flag = "--enable-feature=promql-experimental-functions"
                tokens.fail(f"{op}() is experimental and must be enabled with {flag}", frame.start, end)
        if len(args) != n_wanted:
            counts = f"expected {n_wanted}, got {len(args)}"
            tokens.fail(f"wrong number of arguments for aggregate expression provided, {counts}", frame.start, end)
        parameter = args[0] if n_wanted == 2 else None
        return Aggregation(op, args[-1], parameter, frame.grouping or (), frame.without, frame.start, end)

    def reduce(self, frame: _Frame, node: Node) -> Node:
        """A sign or operator with its right operand."""
        if frame.kind == "unary":
            if isinstance(node, NumberLiteral):
                value = -node.value if frame.op == "-" else node.value
                return NumberLiteral(value, frame.start, node.end, node.duration)
            return Unary(frame.op, node, node.type, frame.start, node.end)
        lhs, matching = frame.lhs, frame.matching
        assert lhs is not None
        if (matching.fill_lhs is not None or matching.fill_rhs is not None) and not self.features.fill_modifiers:
            self.tokens.fail("binop fill modifiers are experimental and not enabled", lhs.start, node.end)
        scalars = lhs.type == "scalar" and node.type == "scalar"
        return Binary(
            frame.op,
            lhs,
            node,
            _effective_matching(frame.op, lhs, node, matching),
            frame.return_bool,
            "scalar" if scalars else "vector",
            lhs.start,
            node.end,
        )

    # ---- operators and their modifiers

    def open_binary(self, op: str, precedence: int, lhs: Node) -> None:
        tokens = self.tokens
        frame = _Frame("binary", op, lhs.start, precedence)
        frame.lhs = lhs
        self.count(1)
        tokens.advance()
        self.frames.append(frame)
        kind = tokens.peek()
        if kind not in MODIFIERS:
            return
        if kind == "bool":
            frame.return_bool = True
            tokens.advance()
            kind = tokens.peek()
        if kind in ("on", "ignoring"):
            tokens.advance()
            frame.matching = Matching(on=kind == "on", labels=self.labels())
            kind = tokens.peek()
            if kind in ("group_left", "group_right"):
                tokens.advance()
                include = self.optional_labels()
                card: Cardinality = "many-to-one" if kind == "group_left" else "one-to-many"
                frame.matching = replace(frame.matching, card=card, include=include)
        self.fills(frame)

    def optional_labels(self) -> tuple[str, ...]:
        """Labels of group_left or group_right; none when an operand or fill follows. A parenthesis is always taken."""
        kind = self.tokens.peek()
        if kind != "(" and (self.starts_operand(kind) or kind in ("fill", "fill_left", "fill_right")):
            return ()
        return self.labels()

    def fills(self, frame: _Frame) -> None:
        tokens = self.tokens
        kind = tokens.peek()
        if kind not in ("fill", "fill_left", "fill_right"):
            return
        tokens.advance()
        value = self.fill_value()
        matching = frame.matching
        if kind != "fill_right":
            matching = replace(matching, fill_lhs=value)
        if kind != "fill_left":
            matching = replace(matching, fill_rhs=value)
        other = {"fill_left": "fill_right", "fill_right": "fill_left"}.get(kind)
        if other is not None and tokens.peek() == other:
            tokens.advance()
            value = self.fill_value()
            matching = replace(matching, fill_rhs=value) if other == "fill_right" else replace(matching, fill_lhs=value)
        frame.matching = matching

    def fill_value(self) -> float:
        tokens = self.tokens
        self.expect("(")
        sign = tokens.peek()
        if sign in ("+", "-"):
            tokens.advance()
        if tokens.peek() not in (NUMBER, DURATION):
            self.unexpected()
        value = tokens.number_literal().value
        self.expect(")")
        return -value if sign == "-" else value

    def expect(self, kind: str) -> None:
        if self.tokens.peek() != kind:
            self.unexpected()
        self.tokens.advance()

    def labels(self) -> tuple[str, ...]:
        """`(a, "b c", by)`; one trailing comma."""
        tokens = self.tokens
        if tokens.peek() != "(":
            tokens.unexpected("grouping opts", '"("')
        tokens.advance()
        names: list[str] = []
        if tokens.peek() == ")":
            tokens.advance()
            return ()
        while True:
            names.append(self.grouping_label())
            kind = tokens.peek()
            if kind not in (",", ")"):
                tokens.unexpected("grouping opts", '"," or ")"')
            tokens.advance()
            if kind == ",":
                kind = tokens.peek()
                if kind == ")":
                    tokens.advance()
            if kind == ")":
                return tuple(names)

    def grouping_label(self) -> str:
        tokens = self.tokens
        kind = tokens.peek()
        if kind == STRING:
            start, end, name = tokens.string()
        elif kind in _LABEL_WORDS:
            name = tokens.source()
            start = tokens.advance()
            end = tokens.previous_end
        else:
            tokens.unexpected("grouping opts", "label")
        if not is_label_name(name):
            tokens.fail(f"invalid label name for grouping: {quote(name)}", start, end)
        return name

    # ---- modifiers of selectors

    def modified(self, node: Node, kind: str) -> Node:
        if kind == "[":
            return self.bracketed(node)
        self.tokens.advance()
        if kind == "offset":
            return self.with_offset(node)
        if kind == "@":
            return self.with_timestamp(node)
        return self.extended(node, kind)

    def with_offset(self, node: Node) -> Node:
        tokens = self.tokens
        offset = parse_offset(tokens)
        target = self.modifiable(node, "offset modifier")
        if target.offset_ns != 0 or target.offset_expr is not None:
            tokens.fail("offset may not be set multiple times", node.start, node.end)
        end = tokens.last_closing
        if isinstance(offset, NumberLiteral):
            return _changed(node, end, offset_ns=ns_of_seconds(offset.value))
        return _changed(node, end, offset_expr=offset)

    def with_timestamp(self, node: Node) -> Node:
        tokens = self.tokens
        kind = tokens.peek()
        if kind in ("start", "end"):
            tokens.advance()
            for wanted in ("(", ")"):
                if tokens.peek() != wanted:
                    tokens.unexpected("@", "timestamp")
                tokens.advance()
            self.refuse_second_timestamp(node)
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
        self.refuse_second_timestamp(node)
        return _changed(node, tokens.previous_end, timestamp_ms=ms_of_seconds(value))

    def refuse_second_timestamp(self, node: Node) -> None:
        target = self.modifiable(node, "@ modifier")
        if target.timestamp_ms is not None or target.start_or_end is not None:
            self.tokens.fail("@ <timestamp> may not be set multiple times", node.start, node.end)

    def modifiable(self, node: Node, modifier: str) -> VectorSelector | Subquery:
        if isinstance(node, MatrixSelector):
            return node.selector
        if not isinstance(node, VectorSelector | Subquery):
            places = "an instant vector selector or range vector selector or a subquery"
            self.tokens.fail(f"{modifier} must be preceded by {places}", node.start, node.end)
        return node

    def extended(self, node: Node, word: str) -> Node:
        """anchored or smoothed; compat: the node's end does not move."""
        tokens = self.tokens
        if not self.features.extended_range_selectors:
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

    def bracketed(self, node: Node) -> Node:
        """`[range]` or `[range:step]`."""
        tokens = self.tokens
        words = tokens.duration_words
        bracket = tokens.advance()
        range_ns, range_expr = positive(tokens, parse_duration(tokens, "subquery or range selector", words))
        kind = tokens.peek()
        if kind == "]":
            tokens.advance()
            return self.matrix(node, bracket, range_ns, range_expr)
        if kind != ":":
            tokens.unexpected("subquery or range", '":" or "]"')
        tokens.advance()
        step_ns, step_expr = 0, None
        if tokens.peek() != "]":
            glue = ", or " if self.features.since_3_10 else " or "
            expected = words.replace(", or ", ", " if self.features.since_3_10 else ", or ") + glue + '"]"'
            step_ns, step_expr = positive(tokens, parse_duration(tokens, "subquery selector", expected))
            if tokens.peek() != "]":
                tokens.unexpected("subquery selector", '"]"')
        tokens.advance()
        return Subquery(node, range_ns, node.start, tokens.previous_end, step_ns, range_expr, step_expr)

    def matrix(self, node: Node, bracket: int, range_ns: int, range_expr: DurationExpr | None) -> Node:
        tokens = self.tokens
        end = tokens.previous_end
        if not isinstance(node, VectorSelector):
            tokens.fail("ranges only allowed for vector selectors", bracket, end)
        if node.offset_ns != 0 or node.offset_expr is not None:
            tokens.fail("no offset modifiers allowed before range", bracket, end)
        if node.timestamp_ms is not None or node.start_or_end is not None:
            tokens.fail("no @ modifiers allowed before range", bracket, end)
        return MatrixSelector(node, range_ns, node.start, end, range_expr)

    # ---- selectors

    def selector(self, name: str, start: int, end: int = 0) -> VectorSelector:
        tokens = self.tokens
        matchers: list[Matcher] = []
        if tokens.peek() == "{":
            self.matchers(matchers)
            end = tokens.previous_end
        if name:
            matchers.append(Matcher(MatchType.EQ, METRIC_NAME, name))
        return VectorSelector(name, tuple(matchers), start, end)

    def matchers(self, matchers: list[Matcher]) -> None:
        tokens = self.tokens
        tokens.advance()
        if tokens.peek() == "}":
            tokens.advance()
            return
        while True:
            matchers.append(self.matcher())
            kind = tokens.peek()
            if kind not in (",", "}"):
                tokens.unexpected("label matching", '"," or "}"')
            tokens.advance()
            if kind == "," and tokens.peek() == "}":
                tokens.advance()
                return
            if kind == "}":
                return

    def matcher(self) -> Matcher:
        tokens = self.tokens
        kind = tokens.peek()
        if kind == STRING:
            start, _, name = tokens.string()
            if tokens.peek() not in _MATCH_TYPES:
                return Matcher(MatchType.EQ, METRIC_NAME, name)
        elif kind == IDENTIFIER:
            name = tokens.source()
            start = tokens.advance()
            if tokens.peek() not in _MATCH_TYPES:
                tokens.unexpected("label matching", "label matching operator")
        else:
            tokens.unexpected("label matching", 'identifier or "}"')
        match_type = _MATCH_TYPES[tokens.peek()]
        self.count(1 if match_type in (MatchType.EQ, MatchType.NEQ) else 5)
        tokens.advance()
        if tokens.peek() != STRING:
            tokens.unexpected("label matching", "string")
        _, end, value = tokens.string()
        try:
            return Matcher(match_type, name, value)
        except RegexError as error:
            tokens.fail(str(error), start, end)

    def lone_selector(self) -> VectorSelector:
        tokens = self.tokens
        kind, start, name = tokens.peek(), tokens.start(), ""
        if kind in _NAMES:
            name = tokens.source()
            tokens.advance()
        elif kind != "{":
            tokens.unexpected()
        selector = self.selector(name, start, tokens.previous_end)
        if tokens.peek() != EOF:
            tokens.unexpected()
        return selector

    # ---- metric descriptions

    def metric(self) -> dict[str, str]:
        tokens = self.tokens
        labels: dict[str, str] = {}
        name = None
        if tokens.peek() in _NAMES:
            name = tokens.source()
            tokens.advance()
        if tokens.peek() == "{":
            tokens.advance()
            while tokens.peek() != "}":
                key, value = self.metric_label()
                labels[key] = value
                if tokens.peek() == ",":
                    tokens.advance()
                elif tokens.peek() != "}":
                    tokens.unexpected("label set", '"," or "}"')
            tokens.advance()
        if tokens.peek() != EOF:
            tokens.unexpected()
        if name is not None:
            labels[METRIC_NAME] = name
        return {key: labels[key] for key in sorted(labels) if labels[key]}

    def metric_label(self) -> tuple[str, str]:
        tokens = self.tokens
        kind = tokens.peek()
        if kind == STRING:
            _, _, key = tokens.string()
            if tokens.peek() != "=":
                return METRIC_NAME, key
        elif kind == IDENTIFIER:
            key = tokens.source()
            tokens.advance()
            if tokens.peek() != "=":
                tokens.unexpected("label set", '"="')
        else:
            tokens.unexpected("label set", 'identifier or "}"')
        tokens.advance()
        if tokens.peek() != STRING:
            tokens.unexpected("label set", "string")
        return key, tokens.string()[2]


def _changed(node: Node, end: int, **changes: object) -> Node:
    """The selector, range or subquery with a modifier applied and a new end."""
    if isinstance(node, MatrixSelector):
        return replace(node, selector=replace(node.selector, **changes), end=end)  # type: ignore[arg-type]
    assert isinstance(node, VectorSelector | Subquery)
    return replace(node, end=end, **changes)  # type: ignore[arg-type]


def _effective_matching(op: str, lhs: Node, rhs: Node, written: Matching) -> Matching | None:
    """None beside a scalar, many-to-many for set operators; what the type check will refuse stays as written."""
    if lhs.type != "vector" or rhs.type != "vector":
        refused = written.labels or written.fill_lhs is not None or written.fill_rhs is not None
        return written if refused else None
    if op in SET_OPERATORS and written.card == "one-to-one":
        return replace(written, card="many-to-many")
    return written
