"""The paths of the HTTP API, below ``{prefix}/api/v1``."""

from __future__ import annotations

from dataclasses import dataclass

from athanor.model.log import Logger
from athanor.query.api import QueryApi, guarded
from athanor.query.metadata_api import MetadataApi
from athanor.query.requests import ApiHandler
from athanor.query.status_api import StatusApi
from athanor.query.syntax_api import SyntaxApi


@dataclass(frozen=True, slots=True)
class ApiRoute:
    """One path; name: the ``handler`` label of the HTTP metrics."""

    path: str
    methods: tuple[str, ...]
    name: str
    handler: ApiHandler


def api_routes(
    query: QueryApi, metadata: MetadataApi, status: StatusApi, syntax: SyntaxApi, log: Logger
) -> tuple[ApiRoute, ...]:
    """Every path of the API that there is."""
    both, get = ("GET", "POST"), ("GET",)
    table: tuple[tuple[str, tuple[str, ...], str, ApiHandler], ...] = (
        ("/query", both, "query", query.query),
        ("/query_range", both, "query_range", query.query_range),
        ("/query_explain", both, "query", query.explain),  # compat: the original's label (pkg/api/query/v1.go Register)
        ("/query_range_explain", both, "query", query.explain_range),
        # differs: the original has these two in Prometheus alone
        ("/format_query", both, "format_query", syntax.format),
        ("/parse_query", both, "parse_query", syntax.parse),
        ("/query_exemplars", both, "exemplars", status.exemplars),
        ("/series", both, "series", metadata.series),
        ("/labels", both, "label_names", metadata.label_names),
        ("/label/:name/values", get, "label_values", metadata.label_values),
        ("/stores", get, "stores", status.stores),
        ("/alerts", get, "alerts", status.alerts),
        ("/rules", get, "rules", status.rules),
        ("/targets", get, "targets", status.targets),
        ("/metadata", get, "metadata", status.metadata),
        ("/status/tsdb", get, "status_tsdb", status.tsdb),
        ("/status/flags", get, "status_flags", status.flags),
        ("/status/runtimeinfo", get, "status_runtime", status.runtime_info),
        ("/status/buildinfo", get, "status_build", status.build_info),
    )
    return tuple(ApiRoute(path, methods, name, guarded(handler, log)) for path, methods, name, handler in table)
