"""The parameters of ``query`` and ``query_range``, checked in the order of the original (API sheet, 1.4)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from athanor.promql.ast import Node
from athanor.promql.errors import ParseError, QueryError
from athanor.promql.features import Features
from athanor.promql.parser import parse
from athanor.promql.preprocess import require_range_type
from athanor.query.params import (
    NS_PER_MS,
    NS_PER_S,
    bool_param,
    duration_param,
    go_error_text_of_json,
    parse_duration_param,
    parse_time_ms,
    selectors,
    time_param,
)
from athanor.query.requests import ApiError, ApiRequest, bad_data
from athanor.query.storage import QuerierOptions
from athanor.storeapi.matching import StoreMatchers
from athanor.storeapi.messages import thanos

MAX_STEPS = 11_000
ENGINES = ("prometheus", "thanos")
DEFAULT_TENANT_HEADER = "THANOS-TENANT"
MINUTES_5_MS, HOUR_MS = 300_000, 3_600_000
STEP_TOO_SMALL = "query resolution step widths below one millisecond are not accepted. Try a larger step"


@dataclass(frozen=True, slots=True)
class QueryDefaults:
    """What flags say about requests that say nothing."""

    timeout_ms: int = 120_000
    lookback_ms: int = 300_000
    default_step_ms: int = 1_000
    metadata_range_ms: int = 0
    replica_labels: tuple[str, ...] = ()
    partial_response: bool = True
    tenant_header: str = DEFAULT_TENANT_HEADER
    default_tenant: str = "default-tenant"
    features: Features = field(default_factory=Features.thanos_0_43)


@dataclass(frozen=True, slots=True)
class QueryParams:
    """One request for an evaluation. step_ms: 0 for an instant query; timeout_s: may be negative, which is over.

    wants_stats: timings and counts of samples; wants_steps: the counts for each step as well.
    """

    query: str
    first_ms: int
    last_ms: int
    step_ms: int
    timeout_s: float
    querier: QuerierOptions
    store_matchers: StoreMatchers
    shard: Any
    """A ``ShardInfo`` message or None."""
    engine: str
    lookback_ms: int
    tenant: str
    wants_stats: bool
    wants_steps: bool
    wants_analysis: bool

    @property
    def is_range(self) -> bool:
        return self.step_ms > 0


def read_instant(request: ApiRequest, defaults: QueryDefaults, now_ms: int) -> QueryParams:
    """Parameters of ``query``; ApiError where one is wrong."""
    at_ms = time_param(request, "time", now_ms)
    timeout_s = _timeout_s(request, defaults)
    deduplicate, replica_labels, store_matchers = _dedup(request, defaults)
    partial_response = bool_param(request, "partial_response", defaults.partial_response)
    resolution_ms = _resolution_ms(request, 0)
    querier = QuerierOptions(deduplicate, replica_labels, partial_response, resolution_ms)
    return _finish(request, defaults, (at_ms, at_ms, 0), timeout_s, querier, store_matchers)


def read_range(request: ApiRequest, defaults: QueryDefaults) -> QueryParams:
    """Parameters of ``query_range``."""
    first_ms, last_ms = parse_time_ms(request.value("start")), parse_time_ms(request.value("end"))
    if last_ms < first_ms:
        raise bad_data("end timestamp must not be before start time")
    step_ns = _step_ns(request, defaults, last_ms - first_ms)
    if (last_ms - first_ms) * NS_PER_MS // step_ns > MAX_STEPS:
        raise bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution "
            "(?step=XX)"
        )
    timeout_s = _timeout_s(request, defaults)
    deduplicate, replica_labels, store_matchers = _dedup(request, defaults)
    resolution_ms = _resolution_ms(request, step_ns // 5)
    partial_response = bool_param(request, "partial_response", defaults.partial_response)
    querier = QuerierOptions(deduplicate, replica_labels, partial_response, resolution_ms)
    times = (first_ms, last_ms, step_ns // NS_PER_MS)
    return _finish(request, defaults, times, timeout_s, querier, store_matchers)


def _finish(
    request: ApiRequest,
    defaults: QueryDefaults,
    times: tuple[int, int, int],
    timeout_s: float,
    querier: QuerierOptions,
    store_matchers: StoreMatchers,
) -> QueryParams:
    shard = _shard(request.value("shard_info"))
    engine = engine_of(request)
    lookback_ns = duration_param(request, "lookback_delta", 0)
    lookback_ms = lookback_ns // NS_PER_MS
    if lookback_ms <= 0:
        lookback_ms = dynamic_lookback_ms(defaults.lookback_ms, querier.max_source_resolution_ms)
    tenant = tenant_of(request, defaults)
    query = request.value("query")
    parsed(query, defaults.features, is_range=times[2] > 0)
    return QueryParams(
        query, *times, timeout_s, querier, store_matchers, shard, engine, lookback_ms, tenant,
        wants_stats=bool(request.value("stats")), wants_steps=request.value("stats") == "all",
        wants_analysis=request.value("analyze") in ("true", "1"),
    )  # fmt: skip


def parsed(query: str, features: Features, *, is_range: bool) -> Node:
    """The tree of a query that fits its call; ApiError otherwise."""
    try:
        tree = parse(query, features)
        if is_range:
            require_range_type(tree)
    except (ParseError, QueryError) as err:
        raise bad_data(str(err)) from None
    return tree


def _timeout_s(request: ApiRequest, defaults: QueryDefaults) -> float:
    asked_ns = duration_param(request, "timeout", defaults.timeout_ms * NS_PER_MS, named=False)
    return min(asked_ns / NS_PER_S, defaults.timeout_ms / 1000)


def _dedup(request: ApiRequest, defaults: QueryDefaults) -> tuple[bool, tuple[str, ...], StoreMatchers]:
    deduplicate = bool_param(request, "dedup", True)
    return deduplicate, replica_labels_of(request, defaults), selectors(request, "storeMatch[]", defaults.features)


def replica_labels_of(request: ApiRequest, defaults: QueryDefaults) -> tuple[str, ...]:
    """The replica labels of a request; those given replace those of the flag."""
    given = request.values("replicaLabels[]")
    return tuple(name for name in given if name) if given else defaults.replica_labels


def _step_ns(request: ApiRequest, defaults: QueryDefaults, span_ms: int) -> int:
    text = request.value("step")
    if not text:
        return max(span_ms // 1000 // 250, defaults.default_step_ms // 1000, 1) * NS_PER_S
    step_ns = duration_param(request, "step", 0)
    if step_ns <= 0:
        raise bad_data("zero or negative query resolution step widths are not accepted. Try a positive integer")
    if step_ns < NS_PER_MS:
        raise bad_data(STEP_TOO_SMALL)  # differs: the original panics in a division by zero
    return step_ns


def _resolution_ms(request: ApiRequest, auto_ns: int) -> int:
    text = request.value("max_source_resolution")
    if not text:
        return 0
    if text == "auto":
        return auto_ns // NS_PER_MS
    try:
        length_ns = parse_duration_param(text)
    except ApiError as err:
        raise bad_data(f"'max_source_resolution' parameter: {err}") from None
    if length_ns < 0:
        raise bad_data("negative 'max_source_resolution' is not accepted. Try a positive integer")
    return length_ns // NS_PER_MS


def _shard(text: str) -> Any:
    if not text:
        return None
    try:
        given = json.loads(text)
        return thanos.ShardInfo(
            shard_index=given.get("shard_index", 0),
            total_shards=given.get("total_shards", 0),
            by=given.get("by", False),
            labels=given.get("labels") or (),
        )
    except (ValueError, TypeError, AttributeError):
        raise bad_data(f"could not unmarshal parameter shard_info: {go_error_text_of_json(text)}") from None


def engine_of(request: ApiRequest) -> str:
    """The engine whose habits a request asks for; there is one engine, its texts of errors follow this choice."""
    engine = request.value("engine") or ENGINES[0]
    if engine not in ENGINES:
        raise bad_data(f"'{engine}' bad engine")
    return engine


def dynamic_lookback_ms(lookback_ms: int, resolution_ms: int) -> int:
    """The lookback for data of this resolution: downsampled samples lie further apart."""
    if resolution_ms > max(MINUTES_5_MS, lookback_ms):
        return max(HOUR_MS, lookback_ms)
    if resolution_ms > lookback_ms:
        return max(MINUTES_5_MS, lookback_ms)
    return lookback_ms


def tenant_of(request: ApiRequest, defaults: QueryDefaults) -> str:
    """The tenant that the request's headers name."""
    named = request.headers.get(defaults.tenant_header, "") or request.headers.get(DEFAULT_TENANT_HEADER, "")
    tenant = named or defaults.default_tenant
    if tenant != (tenant.rstrip("/").rpartition("/")[2] or "/"):
        raise bad_data("tenant name not valid")
    return tenant
