"""A cursor over the tokens of one query, which raises what goes wrong in the original's words."""

from __future__ import annotations

import re
from typing import NoReturn

from athanor.promql.ast import AGGREGATORS, COMPARISONS, TRIMS, NumberLiteral
from athanor.promql.durations import duration_ns, seconds
from athanor.promql.errors import ParseError
from athanor.promql.features import Features
from athanor.promql.gostrings import quote, unquote
from athanor.promql.lexer import (
    DURATION,
    EOF,
    ERROR,
    IDENTIFIER,
    METRIC,
    MODIFIERS,
    NUMBER,
    STRING,
    WORD_OPERATORS,
    tokenize,
)

_OPERATORS = WORD_OPERATORS | COMPARISONS | TRIMS | {"@", "=~", "!~", "+", "-", "*", "/", "%", "^"}
_CLOSING = frozenset({"}", ")", "]", DURATION, NUMBER})
_CLASS_NAMES = {
    IDENTIFIER: "identifier",
    METRIC: "metric identifier",
    STRING: "string",
    NUMBER: "number",
    DURATION: "duration",
}

# differs: the original has no limit but its stack and memory. A part is an operand, operator, parenthesis, label or
# matcher; a regular expression counts for five. So many are parsed in about a second.
MAX_PARTS = 120_000

_DIGITS = r"[0-9]+(?:_[0-9]+)*"
_HEXADECIMAL = re.compile(r"0[xX]_?[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*")
_OCTAL = re.compile(r"0(?:_?[0-7]+)*")
_DECIMAL = re.compile(r"[1-9][0-9]*(?:_[0-9]+)*")
_FLOAT = re.compile(rf"(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?")


def number_value(text: str) -> float:
    """A base-prefixed int64, otherwise a float, as Go parses both; raises ValueError with Go's text."""
    lower = text.lower()
    if lower == "nan":
        return float("nan")
    if lower == "inf":
        return float("inf")
    value: int | None = None
    if _HEXADECIMAL.fullmatch(text):
        value = int(text.replace("_", ""), 16)
    elif _OCTAL.fullmatch(text):
        value = int(text.replace("_", ""), 8)
    elif _DECIMAL.fullmatch(text):
        # why: Python refuses to turn more than 4300 digits into an int; the float is the same beyond int64
        value = int(text.replace("_", "")) if len(text) < 40 else None
    if value is not None and value < 1 << 63:
        return float(value)
    if not _FLOAT.fullmatch(text):
        raise ValueError(f"error parsing number: strconv.ParseFloat: parsing {quote(text)}: invalid syntax")
    result = float(text.replace("_", ""))
    if result == float("inf"):
        raise ValueError(f"error parsing number: strconv.ParseFloat: parsing {quote(text)}: value out of range")
    return result


def is_label_name(name: str) -> bool:
    """Any text but the empty one and what is no UTF-8."""
    return bool(name) and (name.isascii() or not any("\ud800" <= char <= "\udfff" for char in name))


class TokenStream:
    """One token of lookahead, read only when asked for: its error must not come before the errors of what precedes."""

    def __init__(self, text: bytes, features: Features) -> None:
        self.text = text
        self.features = features
        self._tokens = tokenize(text, features)
        self._kinds = self._tokens.kinds
        self._at = 0
        self._n_parts = 0
        self.previous_end = 0  # end of the last token that was consumed
        self.last_closing = 0  # end of the last closing bracket or number that was looked at or consumed

    @property
    def duration_words(self) -> str:
        return "number, duration, step(), or range()" if self.features.since_3_10 else "number, duration, or step()"

    def peek(self) -> str:
        """The kind of the next token; raises the lexer's error if there is one."""
        kind = self._kinds[self._at]
        if kind in _CLOSING:
            self.last_closing = self._tokens.ends[self._at]
        elif kind == ERROR:
            raise ParseError(self._tokens.error, self.text, self._tokens.starts[self._at], len(self.text))
        return kind

    def peek_second(self) -> str:
        """The kind after the next token, without raising its error."""
        return self._kinds[self._at + 1] if self._at + 1 < len(self._kinds) else EOF

    def start(self) -> int:
        return self._tokens.starts[self._at]

    def source(self) -> str:
        """The next token as it was written."""
        return self._tokens.source(self._at).decode("utf-8", "surrogateescape")

    def advance(self) -> int:
        """Consumes a token that was looked at; where it started."""
        start = self._tokens.starts[self._at]
        self.previous_end = self._tokens.ends[self._at]
        if self._at + 1 < len(self._kinds):
            self._at += 1
        return start

    def string(self) -> tuple[int, int, str]:
        """Start, end and value of the string that is next."""
        value = unquote(self._tokens.source(self._at))
        return self.advance(), self.previous_end, value

    def number_literal(self) -> NumberLiteral:
        """The number or duration that is next."""
        kind, source, start = self.peek(), self.source(), self.start()
        self.advance()
        try:
            if kind == NUMBER:
                return NumberLiteral(number_value(source), start, self.previous_end)
            return NumberLiteral(seconds(duration_ns(source)), start, self.previous_end, duration=True)
        except ValueError as error:
            self.fail(str(error), start, self.previous_end)

    def count(self, n_parts: int) -> None:
        """Raises when the query has become too large."""
        self._n_parts += n_parts
        if self._n_parts > MAX_PARTS:
            self.fail(f"query has more than {MAX_PARTS} parts; split it", self.start())

    def fail(self, reason: str, start: int, end: int | None = None) -> NoReturn:
        raise ParseError(reason, self.text, start, self.previous_end if end is None else end)

    def unexpected(self, context: str = "", expected: str = "") -> NoReturn:
        """The next token stands where it may not."""
        reason = f"unexpected {self._description()}"
        if context:
            reason += f" in {context}"
        if expected:
            reason += f", expected {expected}"
        raise ParseError(reason, self.text, self.start(), self._tokens.ends[self._at])

    def _description(self) -> str:
        kind = self.peek()
        if kind == EOF:
            return "end of input"
        source = self.source()
        if kind in MODIFIERS:
            return f"<{source}>"
        if kind in _OPERATORS:
            return f"<op:{source}>"
        if kind in AGGREGATORS:
            return f"<aggr:{source}>"
        words = _CLASS_NAMES.get(kind, "")
        shown = quote(source)
        if kind not in (IDENTIFIER, METRIC) and len(source.encode("utf-8", "surrogateescape")) > 10:
            shown = quote(source[:10]) + "..."
        return f"{words} {shown}" if words else shown
