"""Health and readiness of a component, shown on three places: HTTP probes, gRPC health, the gauge ``thanos_status``."""

from __future__ import annotations

import threading
from collections.abc import Callable

from athanor.model.log import Logger
from athanor.model.metrics import Registry

GRPC_SERVING, GRPC_NOT_SERVING = 1, 2


class Probes:
    """The two states of a component; both start false. ``thanos_status`` is made at once with 0."""

    def __init__(self, component: str, log: Logger, registry: Registry) -> None:
        self.component = component
        self._log = log
        self._lock = threading.Lock()
        self._healthy = False
        self._ready = False
        self._grpc = GRPC_NOT_SERVING
        self._grpc_closed = False
        self._watchers: list[Callable[[], None]] = []
        status = registry.gauge_family(
            "thanos_status", "1 when the check of the component passes, else 0.", ("check", "component")
        )
        self._healthy_gauge = status.of("healthy", component)
        self._ready_gauge = status.of("ready", component)

    @property
    def is_healthy(self) -> bool:
        """The process works."""
        return self._healthy

    @property
    def is_ready(self) -> bool:
        """The component can answer."""
        return self._ready

    @property
    def grpc_status(self) -> int:
        """The status of the empty service name in grpc.health.v1."""
        return self._grpc

    def healthy(self) -> None:
        """The HTTP server runs."""
        with self._lock:
            self._healthy = True
            self._grpc_closed = False
            # compat: marking healthy serves before readiness (Thanos pkg/prober/grpc.go resumes the health server)
            self._grpc = GRPC_SERVING
        self._healthy_gauge.set(1)
        self._log.info("changing probe status", status="healthy")
        self._notify()

    def ready(self) -> None:
        """The component can answer now."""
        with self._lock:
            changed, self._ready = not self._ready, True
            if not self._grpc_closed:
                self._grpc = GRPC_SERVING
        self._ready_gauge.set(1)
        if changed:
            self._log.info("changing probe status", status="ready")
        self._notify()

    def not_ready(self, reason: object = None) -> None:
        """The component cannot answer; no reason on a clean stop."""
        with self._lock:
            changed, self._ready = self._ready, False
            if not self._grpc_closed:
                self._grpc = GRPC_NOT_SERVING
        self._ready_gauge.set(0)
        if changed:
            self._log.warn("changing probe status", status="not-ready", reason=reason)
        self._notify()

    def not_healthy(self, reason: object = None) -> None:
        """The process ends; the gRPC health stays NOT_SERVING."""
        with self._lock:
            self._healthy = False
            self._grpc_closed = True
            self._grpc = GRPC_NOT_SERVING
        self._healthy_gauge.set(0)
        self._log.info("changing probe status", status="not-healthy", reason=reason)
        self._notify()

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back after every change; returns a function that stops that."""
        with self._lock:
            self._watchers.append(callback)

        def forget() -> None:
            with self._lock:
                if callback in self._watchers:
                    self._watchers.remove(callback)

        return forget

    def _notify(self) -> None:
        with self._lock:
            watchers = list(self._watchers)
        for callback in watchers:
            callback()
