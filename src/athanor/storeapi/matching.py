"""Matchers on the wire, external labels, and the choice of stores for a request (sheet of the StoreAPI, 4.2 and
11.2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from athanor.model.matchers import Matcher, MatchType, RegexError
from athanor.model.rpc import StatusError
from athanor.storeapi.messages import thanos

LabelSet = tuple[tuple[str, str], ...]
"""Labels as (name, value), sorted by name."""

MIN_TIME_MS, MAX_TIME_MS = -(2**63), 2**63 - 1
ADDRESS_LABEL = "__address__"

_TYPES = (MatchType.EQ, MatchType.NEQ, MatchType.RE, MatchType.NRE)


def parse_matchers(wire: Iterable[Any]) -> tuple[Matcher, ...]:
    """Matchers of a request; StatusError INVALID_ARGUMENT with the original's text where one is broken."""
    found = []
    for matcher in wire:
        if not 0 <= matcher.type < len(_TYPES):
            raise StatusError("INVALID_ARGUMENT", f"unrecognized label matcher type {matcher.type}")
        try:
            found.append(Matcher(_TYPES[matcher.type], matcher.name, matcher.value))
        except RegexError as error:
            raise StatusError("INVALID_ARGUMENT", str(error)) from None
    return tuple(found)


def wire_matchers(matchers: Iterable[Matcher]) -> list[Any]:
    """``thanos.LabelMatcher`` messages."""
    return [thanos.LabelMatcher(type=_TYPES.index(m.type), name=m.name, value=m.value) for m in matchers]


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def quote(text: str) -> str:
    """A Go string literal."""
    return '"' + "".join(_ESCAPES.get(c) or (c if c.isprintable() else f"\\x{ord(c):02x}") for c in text) + '"'


def label_set_text(labels: Iterable[tuple[str, str]]) -> str:
    """``{a="b", c="d"}``."""
    return "{" + ", ".join(f"{name}={quote(value)}" for name, value in labels) + "}"


def matchers_text(matchers: Iterable[Matcher]) -> str:
    """``[a="b" c=~"d"]``, as Go prints a list."""
    return "[" + " ".join(f"{m.name}{m.type.value}{quote(m.value)}" for m in matchers) + "]"


def consume_external(external: Sequence[tuple[str, str]], matchers: Iterable[Matcher]) -> tuple[Matcher, ...] | None:
    """Matchers that are left once those on external labels are decided; None where one of them refuses."""
    values = dict(external)
    left = []
    for matcher in matchers:
        value = values.get(matcher.name, "")
        if not value:
            left.append(matcher)
        elif not matcher.matches(value):
            return None
    return tuple(left)


def overlay(external: Sequence[tuple[str, str]], labels: Iterable[tuple[str, str]]) -> LabelSet:
    """Both label sets, the external value where both have the name, sorted by name."""
    return tuple(sorted({**dict(labels), **dict(external)}.items()))


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What a store last said about itself; times in ms, both included."""

    address: str = ""
    component: str = ""
    label_sets: tuple[LabelSet, ...] = ()
    min_time_ms: int = MIN_TIME_MS
    max_time_ms: int = MAX_TIME_MS
    supports_sharding: bool = False
    supports_without_replica_labels: bool = False
    supports_projections: bool = False
    is_local: bool = False
    tsdb_infos: tuple[bytes, ...] = ()
    """Serialised ``info.TSDBInfo`` messages."""

    @property
    def text(self) -> str:
        """The store's name in warnings."""
        span = f"MinTime: {self.min_time_ms} MaxTime: {self.max_time_ms}"
        return span if self.is_local else f"Addr: {self.address} {span}"

    @property
    def label_sets_text(self) -> str:
        """The store's label sets in warnings, ``Store Gateway`` where it has none."""
        return ",".join(sorted(label_set_text(labels) for labels in self.label_sets)) or "Store Gateway"


StoreMatchers = Sequence[Sequence[Matcher]]
"""``storeMatch[]``: sets of matchers on the store itself; one set must accept."""


def refusal(
    store: StoreFacts,
    min_time_ms: int,
    max_time_ms: int,
    matchers: Sequence[Matcher],
    store_matchers: StoreMatchers = (),
) -> str:
    """Why a store takes no part in a request; empty when it does."""
    if min_time_ms > store.max_time_ms or max_time_ms < store.min_time_ms:
        return (
            f"does not have data within this time period: [{min_time_ms},{max_time_ms}]. "
            f"Store time ranges: [{store.min_time_ms},{store.max_time_ms}]"
        )
    if store_matchers:
        if store.is_local:
            return "the store is not remote, cannot match __address__"
        if not any(_accepts(((ADDRESS_LABEL, store.address),), wanted) for wanted in store_matchers):
            sets = "[" + " ".join(matchers_text(wanted) for wanted in store_matchers) + "]"
            return f"__address__ {store.address} does not match debug store metadata matchers: {sets}"
    if store.label_sets and not any(_accepts(labels, matchers) for labels in store.label_sets):
        sets = "[" + " ".join(label_set_text(labels) for labels in store.label_sets) + "]"
        return f"external labels {sets} does not match request label matchers: {matchers_text(matchers)}"
    return ""


def _accepts(labels: LabelSet, matchers: Iterable[Matcher]) -> bool:
    """Whether every matcher whose name is in the label set accepts its value."""
    values = dict(labels)
    return all(matcher.matches(values[matcher.name]) for matcher in matchers if matcher.name in values)
