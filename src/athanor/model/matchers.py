"""A condition on one label of a series.

Regular expressions have RE2's syntax and linear time, match the whole value and let `.` match a newline
(prometheus model/labels/regexp.go). A label that a series lacks has the empty value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any

import re2

from athanor.model.errors import AthanorError

METRIC_NAME = "__name__"
MAX_NESTING = 1000  # Go's regexp/syntax refuses deeper expressions
# RE2's own words -> Go's words for the same mistake (regexp/syntax); the argument after the colon is the same in both.
_GO_WORDS = {
    "invalid escape sequence": "invalid escape sequence",
    "invalid character class": "invalid character class",
    "invalid character class range": "invalid character class range",
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "unexpected )": "unexpected )",
    "no argument for repetition operator": "missing argument to repetition operator",
    "invalid repetition size": "invalid repeat count",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid UTF-8": "invalid UTF-8",
    "invalid named capture group": "invalid named capture",
}


class RegexError(AthanorError):
    """A regular expression that Go's regexp/syntax refuses, with its text."""


class MatchType(Enum):
    """The value is the operator as PromQL writes it."""

    EQ = "="
    NEQ = "!="
    RE = "=~"
    NRE = "!~"


def _options() -> Any:
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    options.max_mem = 32 << 20
    return options


_OPTIONS = _options()


class _Alternatives:
    """Literals between bars. compat: these are never parsed, so they need not be UTF-8 (model/labels/regexp.go)."""

    def __init__(self, literals: frozenset[bytes]) -> None:
        self._literals = literals

    def fullmatch(self, value: bytes) -> bool | None:
        return True if value in self._literals else None


_SPECIAL = re.compile(r"[\\.+*?()\[\]{}^$]")


def _is_utf8(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


@lru_cache(maxsize=1024)
def compile_regex(pattern: str) -> Any:
    """The compiled expression, to be used with `fullmatch` on UTF-8 bytes; raises RegexError with Go's text."""
    if not _is_utf8(pattern) and not _SPECIAL.search(pattern):
        return _Alternatives(frozenset(pattern.encode("utf-8", "surrogateescape").split(b"|")))
    _refuse_what_go_refuses(pattern)
    try:
        return re2.compile(pattern.encode("utf-8", "surrogateescape"), _OPTIONS)
    except re2.error as error:
        raise RegexError(_go_text(pattern, error)) from None


def _go_text(pattern: str, error: Exception) -> str:
    raw = error.args[0] if error.args else b""
    words = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
    if words.startswith("trailing \\"):
        return "error parsing regexp: trailing backslash at end of expression: ``"
    if words.startswith("invalid UTF-8"):
        return f"error parsing regexp: invalid UTF-8: `{pattern}`"
    code, colon, argument = words.partition(": ")
    if colon and code in _GO_WORDS:
        return f"error parsing regexp: {_GO_WORDS[code]}: `{argument}`"
    return f"error parsing regexp: expression too large: `{pattern}`"


def _refuse_what_go_refuses(pattern: str) -> None:
    """`\\C` and deep nesting, which RE2 takes."""
    if "\\C" not in pattern and len(pattern) <= MAX_NESTING:
        return
    depth, i, n = 0, 0, len(pattern)
    while i < n:
        char = pattern[i]
        if char == "\\":
            if pattern.startswith("\\Q", i):
                end = pattern.find("\\E", i)
                i = n if end < 0 else end + 2
                continue
            if pattern.startswith("\\C", i):
                raise RegexError("error parsing regexp: invalid escape sequence: `\\C`")
            i += 2
            continue
        depth += (char == "(") - (char == ")")
        if depth > MAX_NESTING:
            raise RegexError(f"error parsing regexp: expression nests too deeply: `{pattern}`")
        i += 1


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition; raises RegexError when the value of a regular-expression matcher is none."""

    type: MatchType
    name: str
    value: str
    _regex: Any = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if self.type is MatchType.RE or self.type is MatchType.NRE:
            object.__setattr__(self, "_regex", compile_regex(self.value))

    @property
    def is_regex(self) -> bool:
        return self._regex is not None

    @property
    def is_negative(self) -> bool:
        return self.type is MatchType.NEQ or self.type is MatchType.NRE

    def matches(self, value: str) -> bool:
        """Whether a label of this value fulfils the condition; "" for a missing label."""
        if self._regex is None:
            return (value == self.value) is (self.type is MatchType.EQ)
        found = self._regex.fullmatch(value.encode("utf-8", "surrogateescape")) is not None
        return found is (self.type is MatchType.RE)

    def matches_empty(self) -> bool:
        return self.matches("")
