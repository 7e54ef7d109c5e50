"""The endpoint set: which stores exist, what each last said about itself, which of them queries use.

Every ``info_timeout_s`` all endpoints are asked for Info in parallel (sheet of the StoreAPI, section 5). An endpoint
is used while it is strict or its last Info succeeded; it is forgotten when its address vanishes or when it was silent
for ``unhealthy_timeout_s``. Until then a store that is not used any more is *missing*: answers that it would have taken
part in are partial, and the proxy says so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from athanor.model.cancel import CancelToken
from athanor.model.errors import AthanorError, DataError, OperatorError
from athanor.model.log import Logger
from athanor.model.metrics import Family, Registry
from athanor.storeapi.client import CallError, Connection, TlsOptions, facts_of
from athanor.storeapi.matching import LabelSet, StoreFacts, label_set_text
from athanor.storeapi.resolve import Resolver, is_dynamic
from athanor.storeapi.streams import SeriesCall

APIS = ("store", "rules", "metric_metadata", "targets", "exemplars", "query", "status")
EXTERNAL_LABELS_LIMIT_BYTES = 1000
NOT_AN_ENDPOINT = "cannot obtain metadata: neither info nor store client found"


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """An address to use, strict or not."""

    address: str
    strict: bool = False
    tls: TlsOptions | None = None


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """What the stores page shows. checked_at_s: seconds since the epoch of the last Info, 0 for none."""

    name: str
    component: str
    checked_at_s: float
    last_error: str | None
    label_sets: tuple[LabelSet, ...]
    min_time_ms: int
    max_time_ms: int
    queryable: bool
    strict: bool


@dataclass(frozen=True, slots=True)
class EndpointEvent:
    """A change of the set: ``added``, ``removed``, ``failed`` or ``recovered``."""

    kind: str
    address: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class MissingStore:
    """A store that was known within the unhealthy timeout and answers no queries now."""

    facts: StoreFacts
    error: str
    silent_s: float


class Endpoint:
    """One endpoint; a ``StoreClient``. What it says about itself is replaced whole, so readers need no lock."""

    def __init__(self, spec: EndpointSpec, connection: Connection, now_s: float) -> None:
        self.spec = spec
        self.connection = connection
        self.created_s = now_s
        self.answered_s: float | None = None
        self.checked_at_s = 0.0
        self.error: str | None = None
        self.apis: frozenset[str] = frozenset()
        self._facts = StoreFacts(spec.address)

    @property
    def facts(self) -> StoreFacts:
        return self._facts

    @property
    def queryable(self) -> bool:
        return self.spec.strict or (self.error is None and self.answered_s is not None)

    @property
    def has_store(self) -> bool:
        return "store" in self.apis or (self.spec.strict and self.answered_s is None)

    def accept(self, response: Any, now_s: float) -> None:
        """Take over what an Info answer says."""
        self._facts = facts_of(self.spec.address, response)
        self.apis = frozenset(api for api in APIS if response.HasField(api))
        self.answered_s, self.error = now_s, None

    def series(self, request: bytes, cancel: CancelToken, metadata: Mapping[str, str]) -> SeriesCall:
        return self.connection.series(request, cancel, metadata)

    def label_names(self, request: bytes, cancel: CancelToken, metadata: Mapping[str, str]) -> bytes:
        return self.connection.label_names(request, cancel, metadata)

    def label_values(self, request: bytes, cancel: CancelToken, metadata: Mapping[str, str]) -> bytes:
        return self.connection.label_values(request, cancel, metadata)

    def status(self) -> EndpointStatus:
        """The endpoint's line on the stores page."""
        facts = self._facts
        return EndpointStatus(
            self.spec.address, facts.component, self.checked_at_s, self.error, facts.label_sets, facts.min_time_ms,
            facts.max_time_ms, self.queryable, self.spec.strict,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class EndpointSetOptions:
    """Times of the endpoint set; the defaults are those of the flags."""

    info_timeout_s: float = 5.0
    unhealthy_timeout_s: float = 300.0
    dns_interval_s: float = 30.0
    close_after_s: float = 300.0
    """A removed connection stays open so that running calls can finish."""


class EndpointSet:
    """All endpoints. ``run`` keeps them up to date until cancelled; the views may be read from any thread."""

    def __init__(
        self,
        specs: Iterable[EndpointSpec],
        log: Logger,
        options: EndpointSetOptions | None = None,
        *,
        connect: Callable[[EndpointSpec], Connection] = lambda spec: Connection(spec.address, spec.tls),
        clock: Callable[[], float] = time.monotonic,
        resolver: Callable[[Iterable[str], Logger], Resolver] = Resolver,
        on_event: Callable[[EndpointEvent], None] = lambda event: None,
    ) -> None:
        given = tuple(specs)
        for spec in given:
            if spec.strict and is_dynamic(spec.address):
                raise OperatorError(
                    f"{spec.address} is a dynamically specified endpoint i.e. it uses SD and that is not permitted "
                    "under strict mode."
                )
        self._static = tuple(spec for spec in given if not is_dynamic(spec.address))
        self._dynamic = {spec.address: spec for spec in given if is_dynamic(spec.address)}
        self._resolver = resolver(self._dynamic, log)
        self._resolved_s: float | None = None
        self._log = log
        self._options = options or EndpointSetOptions()
        self._connect, self._clock, self._on_event = connect, clock, on_event
        self._endpoints: dict[str, Endpoint] = {}
        self._departed: dict[str, tuple[Endpoint, float]] = {}
        self._update_lock = threading.Lock()
        self._warned_duplicates: set[str] = set()

    # Views.

    def endpoints(self) -> list[Endpoint]:
        """Endpoints that queries use, by address."""
        return [e for _, e in sorted(self._endpoints.items()) if e.queryable]

    def stores(self) -> list[Endpoint]:
        """Those with a StoreAPI."""
        return [endpoint for endpoint in self.endpoints() if endpoint.has_store]

    def with_api(self, api: str) -> list[Endpoint]:
        """Those that offer ``rules``, ``targets``, ``metric_metadata``, ``exemplars``, ``query`` or ``status``."""
        return [endpoint for endpoint in self.endpoints() if api in endpoint.apis]

    def missing(self) -> list[MissingStore]:
        """Stores that answered within the unhealthy timeout and are not used now.

        A store whose address has vanished does not count where a used store has the same label sets and time range:
        it was replaced.
        """
        now_s, limit_s = self._clock(), self._options.unhealthy_timeout_s
        used = [endpoint.facts for endpoint in self.stores()]
        silent = [endpoint for endpoint in list(self._endpoints.values()) if not endpoint.queryable]
        gone = [e for e, _ in list(self._departed.values()) if not _is_replaced(e.facts, used)]
        found = []
        for endpoint in (*silent, *gone):
            if endpoint.answered_s is not None and endpoint.has_store and now_s - endpoint.answered_s < limit_s:
                error = endpoint.error or "its address has vanished"
                found.append(MissingStore(endpoint.facts, error, now_s - endpoint.answered_s))
        return sorted(found, key=lambda store: store.facts.address)

    def statuses(self) -> list[EndpointStatus]:
        """Every known endpoint, by name."""
        return [endpoint.status() for _, endpoint in sorted(self._endpoints.items())]

    # Updates.

    def run(self, cancel: CancelToken) -> None:
        """Update until cancelled."""
        while not cancel.cancelled:
            self.update()
            cancel.wait(self._options.info_timeout_s)
        self.close()

    def update(self) -> None:
        """One cycle: resolve, ask everyone, add and remove. Takes at most the info timeout and a lookup."""
        with self._update_lock:
            self._resolve()
            specs = self._specs()
            now_s = self._clock()
            fresh = {a: Endpoint(s, self._connect(s), now_s) for a, s in specs.items() if a not in self._endpoints}
            known = [self._endpoints[a] for a in specs if a in self._endpoints]
            asked = [*known, *fresh.values()]
            if asked:
                with ThreadPoolExecutor(min(32, len(asked)), "info") as pool:
                    answers = list(pool.map(lambda e: self._ask(e, e.spec.address in fresh), asked))
                for endpoint, answer in zip(asked, answers, strict=True):
                    self._settle(endpoint, answer, endpoint.spec.address in fresh)
            self._remove(specs)

    def _resolve(self) -> None:
        now_s = self._clock()
        if self._resolved_s is None or now_s - self._resolved_s >= self._options.dns_interval_s:
            self._resolver.refresh()
            self._resolved_s = now_s

    def _specs(self) -> dict[str, EndpointSpec]:
        tls = next(iter(self._dynamic.values())).tls if self._dynamic else None
        found: dict[str, EndpointSpec] = {}
        for spec in (*self._static, *(EndpointSpec(address, tls=tls) for address in self._resolver.endpoints())):
            if spec.address in found and spec.address not in self._warned_duplicates:
                self._warned_duplicates.add(spec.address)
                self._log.warn("Duplicate endpoint address is provided", addr=spec.address)
            found[spec.address] = spec
        return found

    def _ask(self, endpoint: Endpoint, fresh: bool) -> Any:
        """The Info answer, or the error text."""
        try:
            return endpoint.connection.info(self._options.info_timeout_s, wait_for_ready=fresh)
        except CallError as error:
            return NOT_AN_ENDPOINT if error.code == "UNIMPLEMENTED" else str(error)
        except (AthanorError, DataError) as error:
            return str(error)

    def _settle(self, endpoint: Endpoint, answer: Any, fresh: bool) -> None:
        address = endpoint.spec.address
        endpoint.checked_at_s = time.time()
        if not isinstance(answer, str):
            was_failing = endpoint.error is not None
            endpoint.accept(answer, self._clock())
            if fresh:
                self._endpoints[address] = endpoint
                self._departed.pop(address, None)
                self._log.info("adding new endpoint", component=endpoint.facts.component, address=address)
                self._on_event(EndpointEvent("added", address))
            elif was_failing:
                self._log.info("endpoint answers again", address=address)
                self._on_event(EndpointEvent("recovered", address))
            return
        if fresh and not endpoint.spec.strict:
            endpoint.connection.close()
            self._log.warn("new endpoint could not be added", address=address, err=answer)
            return
        newly = endpoint.error is None
        endpoint.error = answer
        if fresh:
            self._endpoints[address] = endpoint
        if newly:
            self._log.warn("update of endpoint failed", address=address, err=answer)
            self._on_event(EndpointEvent("failed", address, answer))

    def _remove(self, specs: dict[str, EndpointSpec]) -> None:
        now_s, limit_s = self._clock(), self._options.unhealthy_timeout_s
        for address, endpoint in list(self._endpoints.items()):
            vanished = address not in specs
            last_s = endpoint.created_s if endpoint.answered_s is None else endpoint.answered_s
            silent = not endpoint.spec.strict and now_s - max(endpoint.created_s, last_s) >= limit_s
            if vanished or silent:
                del self._endpoints[address]
                self._departed[address] = (endpoint, now_s)
                self._log.info("removing endpoint", address=address, vanished=vanished)
                self._on_event(EndpointEvent("removed", address, endpoint.error or ""))
        keep_s = max(self._options.close_after_s, limit_s)
        for address, (endpoint, left_s) in list(self._departed.items()):
            if now_s - left_s >= keep_s:
                del self._departed[address]
                endpoint.connection.close()

    def close(self) -> None:
        """Close every connection."""
        with self._update_lock:
            for endpoint in [*self._endpoints.values(), *(endpoint for endpoint, _ in self._departed.values())]:
                endpoint.connection.close()
            self._endpoints, self._departed = {}, {}


def _is_replaced(gone: StoreFacts, used: Iterable[StoreFacts]) -> bool:
    return any(
        set(store.label_sets) == set(gone.label_sets)
        and store.min_time_ms <= gone.min_time_ms
        and store.max_time_ms >= gone.max_time_ms
        for store in used
    )


def truncated_label_sets(text: str, limit_bytes: int = EXTERNAL_LABELS_LIMIT_BYTES) -> str:
    """The ``external_labels`` metric label, cut at a limit without breaking a character."""
    data = text.encode()
    if len(data) <= limit_bytes:
        return text
    for cut in range(1, 4):
        for size in range(1, 4):
            at = limit_bytes - cut
            if at - size >= 0 and _is_utf8(data[at - size : at]):
                return data[:at].decode("utf-8", "replace") + "}"
    return ""


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def register_connections(
    registry: Registry, endpoints: EndpointSet, labels: tuple[str, ...] = ("external_labels", "store_type")
) -> None:
    """The gauge ``thanos_store_nodes_grpc_connections``, by the labels of ``--query.conn-metric.label``."""

    def collect() -> list[Family]:
        counts: dict[tuple[tuple[str, str], ...], float] = {}
        for endpoint in endpoints.endpoints():
            facts = endpoint.facts
            sets = ",".join(sorted(label_set_text(labels) for labels in facts.label_sets))
            values = {
                "external_labels": truncated_label_sets(sets) if sets else "no_external_labels",
                "store_type": facts.component,
                "ip_port": facts.address,
            }
            key = tuple((name, values[name]) for name in labels)
            counts[key] = counts.get(key, 0.0) + 1
        samples = tuple(("", key, count) for key, count in sorted(counts.items()))
        help_text = "Number of gRPC connection to Store APIs."
        return [Family("thanos_store_nodes_grpc_connections", "gauge", help_text, samples)]

    registry.collector(collect)
