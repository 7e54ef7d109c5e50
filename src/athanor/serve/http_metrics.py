"""The http_* metrics of a server."""

from __future__ import annotations

from athanor.model.metrics import Gauge, Registry

DURATION_BUCKETS = (0.001, 0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120, 240, 360, 720)
SIZE_BUCKETS = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)


class HttpMetrics:
    """Counts requests by code, handler, method (lower case) and, where the role has tenants, tenant."""

    def __init__(self, registry: Registry, *, tenants: bool) -> None:
        self._tenants = tenants
        extra = ("tenant",) if tenants else ()
        labels = ("code", "handler", "method", *extra)
        self._inflight = registry.gauge_family(
            "http_inflight_requests", "HTTP requests that are being served.", ("handler", "method", *extra)
        )
        self._total = registry.counter_family("http_requests_total", "HTTP requests served.", labels)
        self._duration = registry.histogram_family(
            "http_request_duration_seconds", "How long HTTP requests took.", labels, DURATION_BUCKETS
        )
        self._request_size = registry.histogram_family(
            "http_request_size_bytes", "Sizes of HTTP requests.", labels, SIZE_BUCKETS
        )
        self._response_size = registry.histogram_family(
            "http_response_size_bytes", "Sizes of HTTP answers.", labels, SIZE_BUCKETS
        )

    def inflight(self, handler: str, method: str, tenant: str) -> Gauge:
        """The gauge of one kind of request; its method keeps its upper case."""
        return self._inflight.of(handler, method, *((tenant,) if self._tenants else ()))

    def done(
        self, handler: str, method: str, tenant: str, code: int, seconds: float, request_bytes: int, response_bytes: int
    ) -> None:
        """One request was answered."""
        values = (str(code), handler, method.lower(), *((tenant,) if self._tenants else ()))
        self._total.of(*values).inc()
        self._duration.of(*values).observe(seconds)
        self._request_size.of(*values).observe(request_bytes)
        self._response_size.of(*values).observe(response_bytes)
