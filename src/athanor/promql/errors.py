"""Errors of a query's text, with the place in line and column."""

from __future__ import annotations

from athanor.model.errors import AthanorError


def line_and_column(text: bytes, at: int) -> str:
    """`line:column` of a byte offset, both from 1; columns count bytes (prometheus promql/parser/posrange)."""
    if not text:
        return "unknown position"
    if at < 0 or at > len(text):
        return "invalid position"
    line = text.count(b"\n", 0, at) + 1
    column = at - text.rfind(b"\n", 0, at)
    return f"{line}:{column}"


class ParseError(AthanorError):
    """A query that is not valid PromQL. start, end: byte offsets in the text; reason: the message without place."""

    def __init__(self, reason: str, text: bytes, start: int, end: int) -> None:
        super().__init__(f"{line_and_column(text, start)}: parse error: {reason}")
        self.reason = reason
        self.start = start
        self.end = end


class QueryError(AthanorError):
    """A query that parses but cannot be prepared or evaluated; the text is part of the contract."""
