"""Routes: which handler answers a path, and what is said where none does."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from athanor.serve.http_types import TEXT, Handler, HttpReply

NOSNIFF = (("X-Content-Type-Options", "nosniff"),)
NOT_FOUND = HttpReply(404, b"404 page not found\n", TEXT, NOSNIFF)


@dataclass(frozen=True, slots=True)
class Route:
    """One pattern: literal parts, ``:name`` for one part, ``*name`` at the end for the rest."""

    pattern: str
    methods: tuple[str, ...]
    handler: Handler
    name: str
    """The ``handler`` label of the metrics; "" leaves the route out of them."""
    api: bool
    """API answers carry CORS headers and may be compressed."""


@dataclass(frozen=True, slots=True)
class Match:
    """A route with the values of its named parts."""

    route: Route
    values: dict[str, str]


class Routes:
    """The routes of one server, in the order added; literal patterns win."""

    def __init__(self) -> None:
        self._literal: dict[str, list[Route]] = {}
        self._patterns: list[tuple[list[str], Route]] = []
        self.api_roots: list[str] = []
        """Below these every OPTIONS is answered."""

    def add(self, route: Route) -> None:
        """A further route."""
        if ":" in route.pattern or "*" in route.pattern:
            self._patterns.append((route.pattern.split("/"), route))
        else:
            self._literal.setdefault(route.pattern, []).append(route)

    def find(self, method: str, path: str) -> Match | HttpReply:
        """The match, or the answer of the original's router: 404, 405 or a redirect."""
        candidates = self._candidates(path)
        for match in candidates:
            if method in match.route.methods:
                return match
        if candidates:
            allowed = sorted({m for match in candidates for m in match.route.methods} | {"OPTIONS"})
            if method == "OPTIONS":
                return HttpReply(200, b"", TEXT, (("Allow", ", ".join(allowed)),))
            headers = (("Allow", ", ".join(allowed)), *NOSNIFF)
            return HttpReply(405, b"Method Not Allowed\n", TEXT, headers)
        if path != "/" and path.endswith("/") and self._candidates(path.rstrip("/")):
            status = 301 if method == "GET" else 307
            return HttpReply(status, b"", "", (("Location", path.rstrip("/")),))
        return NOT_FOUND

    def is_api(self, path: str) -> bool:
        """Whether the path lies below an API root."""
        return any(path.startswith(f"{root}/") for root in self.api_roots)

    def _candidates(self, path: str) -> list[Match]:
        literal = self._literal.get(path)
        if literal:
            return [Match(route, {}) for route in literal]
        parts = path.split("/")
        found = []
        for pattern, route in self._patterns:
            values = _match(pattern, parts)
            if values is not None:
                found.append(Match(route, values))
        return found


def _match(pattern: list[str], parts: list[str]) -> dict[str, str] | None:
    values: dict[str, str] = {}
    for i, piece in enumerate(pattern):
        if piece.startswith("*"):
            values[piece[1:]] = unquote("/".join(parts[i:]))
            return values
        if i >= len(parts):
            return None
        if piece.startswith(":"):
            if not parts[i]:
                return None
            values[piece[1:]] = unquote(parts[i])
        elif piece != parts[i]:
            return None
    return values if len(parts) == len(pattern) else None
