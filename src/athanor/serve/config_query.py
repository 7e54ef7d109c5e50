"""Configuration of ``athanor query``: one field for each flag that works."""

from __future__ import annotations

from dataclasses import dataclass

from athanor.model.errors import OperatorError
from athanor.serve.config import ServerConfig, comma_labels, flag, milliseconds, selector_labels


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryConfig(ServerConfig):
    """What the query role runs with."""

    endpoints: tuple[str, ...] = flag("endpoint")
    """``host:port`` or ``dns+host:port`` (also dnssrv+ and dnssrvnoa+); ``--store`` and its old sisters land here."""
    strict_endpoints: tuple[str, ...] = flag("endpoint-strict")
    """Static addresses that stay in the set while they are unhealthy."""
    dns_interval_ms: int = flag("store.sd-dns-interval", milliseconds)
    unhealthy_timeout_ms: int = flag("store.unhealthy-timeout", milliseconds)
    info_timeout_ms: int = flag("endpoint.info-timeout", milliseconds)
    response_timeout_ms: int = flag("store.response-timeout", milliseconds)
    """0 means no limit for a silent store."""

    timeout_ms: int = flag("query.timeout", milliseconds)
    max_concurrent: int = flag("query.max-concurrent")
    lookback_ms: int = flag("query.lookback-delta", lambda ns: milliseconds(ns) or 300_000)
    """The flag's 0 means the engine's 5 minutes."""
    default_step_ms: int = flag("query.default-step", milliseconds)
    """Step of the web page's graphs; the API always wants one."""
    default_evaluation_interval_ms: int = flag("query.default-evaluation-interval", milliseconds)
    """Step of subqueries that name none."""
    metadata_range_ms: int = flag("query.metadata.default-time-range", milliseconds)
    """How far back label and series requests without a start look; 0 means everything."""
    enabled_features: tuple[str, ...] = flag("enable-feature")
    """Names, one for each time the flag is given; ``promql-experimental-functions`` is the one that does something."""
    replica_labels: tuple[str, ...] = flag("query.replica-label", comma_labels)
    partial_response: bool = flag("query.partial-response")
    selector_labels: tuple[tuple[str, str], ...] = flag("selector-label", selector_labels)
    """Labels that this node announces to queries above it."""

    tenant_header: str = flag("query.tenant-header")
    default_tenant: str = flag("query.default-tenant-id")

    route_prefix: str = flag("web.route-prefix")
    external_prefix: str = flag("web.external-prefix")
    prefix_header: str = flag("web.prefix-header")
    disable_cors: bool = flag("web.disable-cors")

    def __post_init__(self) -> None:
        for address in self.strict_endpoints:
            if "+" in address:
                # compat: these errors come outermost first
                raise OperatorError(
                    "unable to load config initially\nunable to validate endpoints\n"
                    f"{address} is a dynamically specified endpoint i.e. it uses SD and that is not permitted "
                    "under strict mode."
                )
        if self.max_concurrent < 1:
            raise OperatorError(f"--query.max-concurrent must be at least 1, got {self.max_concurrent}")

    @property
    def api_prefix(self) -> str:
        """Where the pages and the API live: the route prefix, by default the external one; "" or ``/x``."""
        # compat: the route prefix defaults to the external prefix (cmd/thanos/query.go)
        prefix = self.route_prefix or self.external_prefix
        return "/" + prefix.strip("/") if prefix.strip("/") else ""
