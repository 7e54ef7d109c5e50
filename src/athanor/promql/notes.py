"""Annotations of a query: warnings and infos that come back beside its answer (promql/engine.go, util/annotations)."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from athanor.promql.errors import line_and_column


@dataclass(frozen=True, slots=True)
class Note:
    """One annotation; at: byte offset in the query, -1 where it has no place there (a store's warning).

    count: how often it was met, 0 where nobody counts.
    """

    text: str
    at: int
    is_info: bool
    count: int = 0

    @property
    def shown(self) -> str:
        return f"{self.text} ({self.count} occurrences)" if self.count > 1 else self.text


class Notes:
    """Collects annotations by text: the same text again keeps its place in order and takes the later position. Those
    that are counted keep the first position."""

    def __init__(self) -> None:
        self._notes: dict[str, Note] = {}
        self._lock = threading.Lock()

    def warn(self, text: str, at: int = -1) -> None:
        """text without the prefix `PromQL warning: `."""
        self._add(Note(text, at, False))

    def info(self, text: str, at: int = -1) -> None:
        self._add(Note(text, at, True))

    def warn_counted(self, text: str, at: int, count: int) -> None:
        self._add(Note(text, at, False, count))

    def _add(self, note: Note) -> None:
        with self._lock:
            known = self._notes.get(note.text)
            if known is not None and known.count and note.count:
                note = replace(known, count=known.count + note.count)
            self._notes[note.text] = note

    def extend(self, others: Notes) -> None:
        """The annotations of a part of the work, after those that are here."""
        for note in others:
            self._add(note)

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(list(self._notes.values()))

    def texts(self, query: bytes, infos: bool) -> list[str]:
        """As Prometheus renders them: prefix, text, (line:column)."""
        prefix = "PromQL info: " if infos else "PromQL warning: "
        return [
            n.shown if n.at < 0 else f"{prefix}{n.shown} ({line_and_column(query, n.at)})"
            for n in self
            if n.is_info == infos
        ]
