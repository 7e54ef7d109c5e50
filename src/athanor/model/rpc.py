"""Remote calls as a role offers them: methods over raw bytes, without a word about the transport.

A role describes its services with these values; a server carries them over gRPC, and inside one process they are called
directly. A handler ends a call early by raising ``StatusError``; ``Cancelled`` and other errors are translated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from athanor.model.cancel import CancelToken
from athanor.model.errors import AthanorError

CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""gRPC status codes, each at its number."""


class StatusError(AthanorError):
    """A call ends with this status; ``code`` is one of CODES."""

    def __init__(self, code: str, message: str) -> None:
        if code not in CODES:
            raise AssertionError(f"BUG: {code} is no status code")
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler knows of its call."""

    cancel: CancelToken
    """Cancelled when the caller leaves; carries the caller's deadline."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Lower-case names; of several values the last."""
    peer: str = ""


@dataclass(frozen=True, slots=True)
class UnaryMethod:
    """One message in, one out."""

    name: str
    handler: Callable[[bytes, Call], bytes]


@dataclass(frozen=True, slots=True)
class StreamMethod:
    """One message in, many out. ``limited`` methods share the cap on calls that are served at once."""

    name: str
    handler: Callable[[bytes, Call], Iterator[bytes]]
    limited: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """Methods under one full name, such as ``thanos.Store``."""

    name: str
    methods: tuple[UnaryMethod | StreamMethod, ...]
