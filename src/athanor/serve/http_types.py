"""A request and its answer, as handlers see them: plain values, no event loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import parse_qs

from athanor.model.cancel import CancelToken

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"


@dataclass(frozen=True)
class HttpCall:
    """One request, read completely."""

    method: str
    path: str
    query_string: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in any case (the server gives a case-insensitive mapping)."""
    body: bytes = b""
    remote: str = ""
    route: Mapping[str, str] = field(default_factory=dict)
    """Values of the ``:name`` parts of the route's pattern, decoded."""

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """Parameters of the URL."""
        return parse_qs(self.query_string, keep_blank_values=True)

    @cached_property
    def params(self) -> dict[str, list[str]]:
        """Parameters of a form body, then those of the URL: what Go calls the request's Form."""
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if self.method not in ("POST", "PUT", "PATCH") or kind != "application/x-www-form-urlencoded":
            return self.query
        merged = parse_qs(self.body.decode("utf-8", "replace"), keep_blank_values=True)
        for name, values in self.query.items():
            merged.setdefault(name, []).extend(values)
        return merged

    def param(self, name: str, default: str = "") -> str:
        """The first value of a parameter."""
        values = self.params.get(name)
        return values[0] if values else default


@dataclass(frozen=True, slots=True)
class HttpReply:
    """One answer. A body of pieces is pulled one piece at a time while the client reads, off the event loop."""

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


Handler = Callable[[HttpCall, CancelToken], HttpReply]
"""Runs in a thread of the server's own; the token is cancelled when the client leaves or the grace period ends."""
