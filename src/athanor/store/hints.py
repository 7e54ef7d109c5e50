"""Hints of requests: a ``google.protobuf.Any`` that must hold one certain message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import DecodeError

from athanor.model.matchers import Matcher
from athanor.model.rpc import StatusError
from athanor.storeapi.matching import parse_matchers

BLOCK_ID_LABEL = "__block_id"


def block_matchers(request: Any, message_class: Any, what: str) -> tuple[Matcher, ...]:
    """The block matchers of a request's hints. what: ``series``, ``label names``, ``label values``, for the error."""
    if not request.HasField("hints"):
        return ()
    wanted = message_class.DESCRIPTOR.full_name
    got = request.hints.type_url.rpartition("/")[2]
    if got != wanted:
        raise StatusError(
            "INVALID_ARGUMENT",
            f'unmarshal {what} request hints: mismatched message type: got "{got}" want "{wanted}"',
        )
    try:
        hints = message_class.FromString(request.hints.value)
    except DecodeError:
        raise StatusError("INVALID_ARGUMENT", f"unmarshal {what} request hints: unexpected EOF") from None
    try:
        return parse_matchers(hints.block_matchers)
    except StatusError as error:
        raise StatusError(error.code, f"translate request hints labels matchers: {error.message}") from None


def accepts_block(matchers: Sequence[Matcher], ulid: str, labels: Sequence[tuple[str, str]]) -> bool:
    """Whether all block matchers accept a block: its external labels and its id; a missing label is empty."""
    values = {**dict(labels), BLOCK_ID_LABEL: ulid}
    return all(matcher.matches(values.get(matcher.name, "")) for matcher in matchers)
