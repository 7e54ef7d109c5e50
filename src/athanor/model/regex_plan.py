"""What a regular expression asks for, where simple text comparison can answer it.

Most expressions in queries are sets (`a|b|c`), prefixes (`a.*`), suffixes, infixes (`.*a.*`) or pieces with gaps
(`a.*b`); columns of label values decide these without a regular-expression engine. Everything else is GENERAL and needs
one. The meaning is that of matchers: the whole value, `.` matches a newline, RE2 syntax.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

MAX_LITERALS = 4096  # a larger set would cost more to write out than an automaton saves
_SPECIAL = frozenset("\\.+*?()[]{}|^$")


class RegexKind(Enum):
    SET = "set"
    PIECES = "pieces"
    GENERAL = "general"


@dataclass(frozen=True, slots=True)
class RegexPlan:
    """SET: the value is one of `literals`.

    PIECES: literals[0], gap, literals[1], gap, ..., literals[-1] with n - 1 gaps of at least gaps[i] (0 or 1)
    characters; literals[0] is a prefix and literals[-1] a suffix, either may be empty: `a.*` is ("a", ""), gaps (0,).
    GENERAL: literals[0] is a prefix that every match has ("" if unknown); the expression decides.
    """

    kind: RegexKind
    literals: tuple[str, ...]
    gaps: tuple[int, ...] = ()

    def matches(self, value: str) -> bool:
        """Decides SET and PIECES, in linear time; a GENERAL plan cannot decide."""
        if self.kind is RegexKind.SET:
            return value in self.literals
        if self.kind is RegexKind.GENERAL:
            raise AssertionError("BUG: a general expression needs a regular-expression engine")
        first, last = self.literals[0], self.literals[-1]
        if not value.startswith(first):
            return False
        at, end = len(first), len(value) - len(last)
        for gap, piece in zip(self.gaps, self.literals[1:-1], strict=False):
            at = value.find(piece, at + gap, end if end >= 0 else 0)
            if at < 0:
                return False
            at += len(piece)
        return end >= at + self.gaps[-1] and value.endswith(last)


def analyse(pattern: str) -> RegexPlan:
    """The plan of a valid expression."""
    literals = _Expander(pattern).whole()
    if literals is not None:
        return RegexPlan(RegexKind.SET, literals)
    pieces = _pieces(pattern)
    if pieces is not None:
        return RegexPlan(RegexKind.PIECES, *pieces)
    return RegexPlan(RegexKind.GENERAL, (_prefix(pattern),))


def _without_anchors(pattern: str) -> str:
    """`^` and `$` at the ends say nothing new, unless an alternative could escape them."""
    if "|" in pattern:
        return pattern
    if pattern.startswith("^"):
        pattern = pattern[1:]
    if pattern.endswith("$") and not pattern.endswith("\\$"):
        pattern = pattern[:-1]
    return pattern


def _pieces(pattern: str) -> tuple[tuple[str, ...], tuple[int, ...]] | None:
    """Literals with `.*` and `.+` between them, in one group or none."""
    pattern = _without_anchors(pattern)
    literals, gaps = [""], list[int]()
    i, n = 0, len(pattern)
    while i < n:
        char = pattern[i]
        if char == ".":
            following = pattern[i + 1 : i + 2]
            if following not in ("*", "+") or pattern[i + 2 : i + 3] in ("*", "+", "?", "{"):
                return None
            gap = 1 if following == "+" else 0
            if gaps and not literals[-1]:
                if gaps[-1] and gap:  # two characters at least: not a plain gap any more
                    return None
                gaps[-1] |= gap
            else:
                gaps.append(gap)
                literals.append("")
            i += 2
            continue
        literal = _literal_at(pattern, i)
        if literal is None:
            return None
        char, i = literal
        if pattern[i : i + 1] in ("*", "+", "?", "{"):
            return None
        literals[-1] += char
    return (tuple(literals), tuple(gaps)) if gaps else None


def _literal_at(pattern: str, at: int) -> tuple[str, int] | None:
    """A plain or escaped character and where it ends."""
    char = pattern[at]
    if char not in _SPECIAL:
        return char, at + 1
    if char == "\\" and at + 1 < len(pattern):
        escaped = pattern[at + 1]
        if escaped.isascii() and not escaped.isalnum() and escaped != "_":
            return escaped, at + 2
    return None


def _prefix(pattern: str) -> str:
    """Characters that every match begins with; "" where an alternative or an option makes it unsure."""
    if "|" in pattern or "(?" in pattern or "\\Q" in pattern:
        return ""
    out = ""
    at = 1 if pattern.startswith("^") else 0
    while at < len(pattern):
        literal = _literal_at(pattern, at)
        if literal is None:
            break
        char, end = literal
        following = pattern[end : end + 1]
        if following in ("*", "?", "{"):
            break
        out += char
        if following == "+":
            break
        at = end
    return out


class _Expander:
    """Writes out expressions made of literals, `|`, groups and small character classes."""

    def __init__(self, pattern: str) -> None:
        self.pattern = _without_anchors(pattern)
        self.at = 0

    def whole(self) -> tuple[str, ...] | None:
        """All values, in order without repetition, or None."""
        found = self.alternatives(0)
        if found is None or self.at < len(self.pattern):
            return None
        return tuple(dict.fromkeys(found))

    def alternatives(self, depth: int) -> list[str] | None:
        if depth > 20:
            return None
        out: list[str] = []
        while True:
            branch = self.sequence(depth)
            if branch is None or len(out) + len(branch) > MAX_LITERALS:
                return None
            out += branch
            if self.peek() != "|":
                return out
            self.at += 1

    def sequence(self, depth: int) -> list[str] | None:
        heads, literal = [""], ""
        while True:
            char = self.peek()
            if char in ("", "|", ")"):
                return [head + literal for head in heads]
            if char in ("(", "["):
                choices = self.group(depth) if char == "(" else self.char_class()
                if choices is None or len(heads) * len(choices) > MAX_LITERALS:
                    return None
                heads = [head + literal + choice for head in heads for choice in choices]
                literal = ""
            else:
                found = _literal_at(self.pattern, self.at)
                if found is None:
                    return None
                literal += found[0]
                self.at = found[1]
            if self.peek() in ("*", "+", "?", "{"):
                return None

    def peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def group(self, depth: int) -> list[str] | None:
        if self.pattern.startswith("(?", self.at):
            if not self.pattern.startswith("(?:", self.at):
                return None
            self.at += 3
        else:
            self.at += 1
        inner = self.alternatives(depth + 1)
        if inner is None or self.peek() != ")":
            return None
        self.at += 1
        return inner

    def char_class(self) -> list[str] | None:
        """`[abc0-9]`; negated and named classes are not written out."""
        at, out = self.at + 1, list[str]()
        pattern = self.pattern
        while at < len(pattern) and pattern[at] != "]":
            char = pattern[at]
            if char in "\\[^-":
                return None
            if pattern[at + 1 : at + 2] == "-" and pattern[at + 2 : at + 3] not in ("", "]", "\\", "["):
                first, last = ord(char), ord(pattern[at + 2])
                if not 0 <= last - first < 128:
                    return None
                out += map(chr, range(first, last + 1))
                at += 3
            else:
                out.append(char)
                at += 1
        if at >= len(pattern) or not out:
            return None
        self.at = at + 1
        return out
