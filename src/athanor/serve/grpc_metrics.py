"""The grpc_server_* metrics."""

from __future__ import annotations

from collections.abc import Iterable

from athanor.model.metrics import Counter, Histogram, Registry
from athanor.model.rpc import CODES, Service, UnaryMethod

BUCKETS = (0.001, 0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120)
_GO_NAMES = {"OK": "OK", "CANCELLED": "Canceled"}


def go_code(code: str) -> str:
    """A status code as Go names it: INVALID_ARGUMENT is InvalidArgument."""
    return _GO_NAMES.get(code) or "".join(word.capitalize() for word in code.split("_"))


class MethodMetrics:
    """The counters of one method."""

    __slots__ = ("handled", "received", "seconds", "sent", "started")

    def __init__(
        self, started: Counter, received: Counter, sent: Counter, seconds: Histogram, handled: dict[str, Counter]
    ) -> None:
        self.started, self.received, self.sent, self.seconds, self.handled = started, received, sent, seconds, handled


class GrpcMetrics:
    """Every method of the services, made with 0 for every code before the first call."""

    def __init__(self, registry: Registry, services: Iterable[Service]) -> None:
        labels = ("grpc_method", "grpc_service", "grpc_type")
        started = registry.counter_family("grpc_server_started_total", "Calls that began.", labels)
        handled = registry.counter_family(
            "grpc_server_handled_total", "Calls that ended, by status code.", ("grpc_code", *labels)
        )
        received = registry.counter_family("grpc_server_msg_received_total", "Messages received.", labels)
        sent = registry.counter_family("grpc_server_msg_sent_total", "Messages sent.", labels)
        seconds = registry.histogram_family("grpc_server_handling_seconds", "How long calls took.", labels, BUCKETS)
        self.panics = registry.counter(
            "grpc_req_panics_recovered_total", "Calls that ended with an error nobody foresaw."
        )
        self.methods: dict[str, MethodMetrics] = {}
        for service in services:
            for method in service.methods:
                kind = "unary" if isinstance(method, UnaryMethod) else "server_stream"
                values = (method.name, service.name, kind)
                self.methods[f"/{service.name}/{method.name}"] = MethodMetrics(
                    started.of(*values),
                    received.of(*values),
                    sent.of(*values),
                    seconds.of(*values),
                    {code: handled.of(go_code(code), *values) for code in CODES},
                )
