"""Duration arithmetic: what stands inside `[...]` and after `offset`."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

from athanor.promql.ast import DurationExpr, DurationNode, NumberLiteral
from athanor.promql.durations import literal_out_of_range, ns_of_seconds
from athanor.promql.lexer import DURATION, NUMBER
from athanor.promql.tokens import TokenStream

_PRECEDENCE = {"+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "^": 6}
_MAX_DEPTH = 200_000


class _Frame:
    """An unfinished sign, operator, parenthesis or max_of/min_of."""

    __slots__ = ("at", "kind", "lhs", "op", "precedence", "start")

    def __init__(self, kind: str, op: str, start: int, precedence: int = 0, lhs: DurationNode | None = None) -> None:
        self.kind = kind
        self.op = op
        self.start = start
        self.precedence = precedence
        self.lhs = lhs
        self.at = start


def positive(tokens: TokenStream, node: DurationNode) -> tuple[int, DurationExpr | None]:
    """A range or step as (ns, None) or (0, expression); literals must be above zero."""
    if isinstance(node, DurationExpr):
        return 0, node
    if node.value <= 0:
        tokens.fail("duration must be greater than 0", node.start, node.end)
    return ns_of_seconds(node.value), None


def parse_offset(tokens: TokenStream) -> DurationNode:
    """What `offset` takes: one signed literal, call or parenthesis; otherwise, greedily, a whole expression."""
    parser = _DurationParser(tokens, "offset", tokens.duration_words)
    kind = tokens.peek()
    if kind == "(":
        return parser.expression()
    sign = None
    if kind in ("+", "-"):
        if tokens.peek_second() in ("+", "-"):
            return parser.expression()
        sign = (kind, tokens.advance())
        kind = tokens.peek()
        if kind == "(":
            return parser.signed_parenthesis(*sign)
    if kind in (NUMBER, DURATION):
        return parser.signed_literal(*sign) if sign else parser.literal()
    node = parser.call_or_fail(kind, checked=sign is None)
    if sign is None:
        return node
    # compat: the sign stays a node even when it is a plus (generated_parser.y offset_duration_expr)
    signed = DurationExpr(sign[0], None, node, sign[1], node.end)
    parser.check_enabled(signed)
    return signed


def parse_duration(tokens: TokenStream, context: str, expected: str) -> DurationNode:
    """A whole duration expression; context and expected are the words of a syntax error."""
    return _DurationParser(tokens, context, expected).expression()


class _DurationParser:
    def __init__(self, tokens: TokenStream, context: str, expected: str) -> None:
        self.tokens = tokens
        self.context = context
        self.expected = expected
        self.frames: list[_Frame] = []

    def unexpected(self) -> NoReturn:
        self.tokens.unexpected(self.context, self.expected)

    def check_enabled(self, node: DurationNode) -> None:
        if not self.tokens.features.duration_expressions:
            self.tokens.fail("experimental duration expression is not enabled", node.start, node.end)

    def literal(self) -> NumberLiteral:
        node = self.tokens.number_literal()
        if literal_out_of_range(node.value):
            self.tokens.fail("duration out of range", node.start, node.end)
        return node

    def signed_literal(self, sign: str, start: int) -> NumberLiteral:
        node = self.tokens.number_literal()
        value = -node.value if sign == "-" else node.value
        if literal_out_of_range(value):
            self.tokens.fail("duration out of range", start, start + 1)
        return NumberLiteral(value, start, node.end, node.duration)

    def signed_parenthesis(self, sign: str, start: int) -> DurationNode:
        """compat: the only place where an expression is not checked for being enabled."""
        self.tokens.advance()
        inner = self.expression()
        self.close()
        wrapped = _wrapped(inner, inner.start)
        return DurationExpr("-", None, wrapped, start, wrapped.end) if sign == "-" else wrapped

    def close(self) -> None:
        if self.tokens.peek() != ")":
            self.unexpected()
        self.tokens.advance()

    def call_or_fail(self, kind: str, *, checked: bool = True) -> DurationExpr:
        """step(), range(), max_of(a, b), min_of(a, b)."""
        tokens = self.tokens
        words = ("step", "range", "max_of", "min_of") if tokens.features.since_3_10 else ("step", "min", "max")
        if kind not in words:
            self.unexpected()
        start = tokens.advance()
        if tokens.peek() != "(":
            self.unexpected()
        tokens.advance()
        if kind in ("step", "range"):
            self.close()
            node = DurationExpr(kind, None, None, start, tokens.previous_end)
        else:
            lhs = _DurationParser(tokens, self.context, self.expected).expression()
            if tokens.peek() != ",":
                self.unexpected()
            tokens.advance()
            rhs = _DurationParser(tokens, self.context, self.expected).expression()
            self.close()
            node = _pair(kind, lhs, rhs)
        if checked:
            self.check_enabled(node)
        return node

    def expression(self) -> DurationNode:
        """Operators by precedence, with a stack of its own."""
        bottom = len(self.frames)
        while True:
            node = self.operand()
            if node is None:
                continue
            done = self.after_operand(node, bottom)
            if done is not None:
                return done

    def operand(self) -> DurationNode | None:
        tokens = self.tokens
        kind = tokens.peek()
        if kind in (NUMBER, DURATION):
            return self.literal()
        if kind == "(":
            self.push(_Frame("paren", "(", tokens.advance()))
            return None
        if kind in ("+", "-"):
            self.push(_Frame("unary", kind, tokens.advance(), 5))
            return None
        if kind in ("max_of", "min_of") and tokens.features.since_3_10:
            self.push(_Frame("pair", kind, tokens.advance()))
            if tokens.peek() != "(":
                self.unexpected()
            tokens.advance()
            return None
        return self.call_or_fail(kind)

    def push(self, frame: _Frame) -> None:
        if len(self.frames) >= _MAX_DEPTH:
            self.tokens.fail(f"duration expression is nested more than {_MAX_DEPTH} levels deep", frame.start)
        self.frames.append(frame)

    def after_operand(self, node: DurationNode, bottom: int) -> DurationNode | None:
        tokens, frames = self.tokens, self.frames
        while True:
            kind = tokens.peek()
            precedence = _PRECEDENCE.get(kind, 0)
            while len(frames) > bottom and (top := frames[-1]).precedence > 0:
                if precedence > top.precedence or (precedence == 6 and top.precedence == 6):
                    break
                frames.pop()
                node = self.reduce(top, node)
            if precedence:
                frame = _Frame("binary", kind, node.start, precedence, node)
                frame.at = tokens.advance()
                self.push(frame)
                return None
            if len(frames) == bottom:
                return node
            top = frames[-1]
            if kind == "," and top.kind == "pair" and top.lhs is None:
                tokens.advance()
                top.lhs = node
                return None
            if kind != ")" or (top.kind == "pair" and top.lhs is None):
                self.unexpected()
            frames.pop()
            tokens.advance()
            if top.kind == "pair":
                assert top.lhs is not None
                node = _pair(top.op, top.lhs, node)
                self.check_enabled(node)
            else:
                self.check_enabled(node)
                node = _wrapped(node, top.start)

    def reduce(self, frame: _Frame, node: DurationNode) -> DurationNode:
        if frame.kind == "unary":
            return self.signed(frame, node)
        lhs = frame.lhs
        assert lhs is not None
        self.check_enabled(lhs)
        if isinstance(node, NumberLiteral) and node.value == 0 and frame.op in ("/", "%"):
            reason = "division by zero" if frame.op == "/" else "modulo by zero"
            self.tokens.fail(reason, frame.at, frame.at + 1)
        return DurationExpr(frame.op, lhs, node, lhs.start, node.end)

    def signed(self, frame: _Frame, node: DurationNode) -> DurationNode:
        if isinstance(node, DurationExpr):
            return DurationExpr("-", None, node, frame.start, node.end) if frame.op == "-" else node
        value = -node.value if frame.op == "-" else node.value
        if literal_out_of_range(value):
            self.tokens.fail("duration out of range", frame.start, frame.start + 1)
        return NumberLiteral(value, frame.start, node.end, node.duration)


def _pair(op: str, lhs: DurationNode, rhs: DurationNode) -> DurationExpr:
    # compat: its place is that of its operands, without the word (ast.go DurationExpr.PositionRange)
    return DurationExpr(op, lhs, rhs, lhs.start, rhs.end)


def _wrapped(node: DurationNode, start: int) -> DurationExpr:
    """In parentheses; a literal becomes a plus sign that remembers them. compat: the end is that of what is inside."""
    if isinstance(node, DurationExpr):
        return replace(node, wrapped=True)
    return DurationExpr("+", None, node, start, node.end, wrapped=True)
