"""Tokens -> tree.

An operator-precedence parser with a stack of its own, so that depth costs memory, not recursion. It raises at the first
mistake, with the text and place of the original, whose grammar is LALR (prometheus promql/parser/generated_parser.y): a
mistake is described in the terms of the innermost construct that has words for it, so only aggregations, groupings,
matchers, brackets, offset and @ speak of themselves.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import NoReturn

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
    Node,
    NumberLiteral,
    Paren,
    StringLiteral,
    Unary,
    VectorSelector,
)
from athanor.promql.errors import ParseError
from athanor.promql.features import Features
from athanor.promql.gostrings import quote
from athanor.promql.label_parser import METRIC_NAMES, encode, labels, parse_metric, parse_selector, selector
from athanor.promql.lexer import DURATION, EOF, IDENTIFIER, MODIFIERS, NUMBER, PREPROCESSORS, STRING
from athanor.promql.modifier_parser import MODIFIERS_OF_OPERANDS, modified
from athanor.promql.signatures import find_function
from athanor.promql.tokens import MAX_PARTS, TokenStream
from athanor.promql.typecheck import check_types

__all__ = ["MAX_PARTS", "parse", "parse_metric", "parse_selector"]

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
MAX_KNOWN, MAX_KNOWN_BYTES = 256, 1024


def parse(text: str | bytes, features: Features | None = None) -> Node:
    """The tree of a query whose types fit; raises ParseError at the first mistake."""
    raw = encode(text)
    return (_known if len(raw) <= MAX_KNOWN_BYTES else _parsed)(raw, features or Features())


def _parsed(raw: bytes, features: Features) -> Node:
    node = _Parser(TokenStream(raw, features)).expression()
    check_types(node, raw)
    return node


_known = lru_cache(MAX_KNOWN)(_parsed)
"""Panels and rules ask the same again and again. Trees are frozen: many queries may hold one."""


class _Parser:
    def __init__(self, tokens: TokenStream) -> None:
        self.tokens = tokens
        self.features = tokens.features
        self.frames: list[_Frame] = []
        self.n_aggregations = 0  # frames that give a syntax error the words "in aggregation"

    def unexpected(self) -> NoReturn:
        self.tokens.unexpected("aggregation" if self.n_aggregations else "")

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
        self.tokens.count(1)
        kind = tokens.peek()
        if kind in (NUMBER, DURATION):
            return tokens.number_literal()
        if kind in METRIC_NAMES:
            return self.named(kind)
        if kind == "{":
            return selector(tokens, "", tokens.start())
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
        if following == "(" and (kind == IDENTIFIER or (kind in PREPROCESSORS and self.may_call(kind))):
            return self.open_call(name, start)
        return selector(tokens, name, start, tokens.previous_end)

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
        frame.grouping = labels(self.tokens)

    # ---- after an operand: modifiers, operators, ends

    def after_operand(self, node: Node) -> Node | None:
        """Applies what follows; the whole tree at the end of the text, None when the next operand is due."""
        tokens, frames = self.tokens, self.frames
        while True:
            kind = tokens.peek()
            if kind in MODIFIERS_OF_OPERANDS:
                node = modified(tokens, node, kind)
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
        return kind in METRIC_NAMES or kind in (NUMBER, DURATION, STRING, "{", "(", "+", "-")

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
        self.tokens.count(1)
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
            frame.matching = Matching(on=kind == "on", labels=labels(self.tokens))
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
        return labels(self.tokens)

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


def _effective_matching(op: str, lhs: Node, rhs: Node, written: Matching) -> Matching | None:
    """None beside a scalar, many-to-many for set operators; what the type check will refuse stays as written."""
    if lhs.type != "vector" or rhs.type != "vector":
        refused = written.labels or written.fill_lhs is not None or written.fill_rhs is not None
        return written if refused else None
    if op in SET_OPERATORS and written.card == "one-to-one":
        return replace(written, card="many-to-many")
    return written
