"""What the querier knows without asking for samples: stores, build, flags; and what only other components know.

Rules, alerts, targets, metadata, exemplars and TSDB statistics come from endpoints that offer those services. This
version does not ask them: while no endpoint offers one, the answer is the empty one, and otherwise it says that it is
missing.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from athanor.model.cancel import CancelToken
from athanor.model.errors import NotAvailableError
from athanor.promql.errors import ParseError
from athanor.promql.features import Features
from athanor.promql.parser import parse
from athanor.query.json_result import json_text, label_set_text
from athanor.query.params import EARLIEST_MS, LATEST_MS, atoi, limit_param, selector, time_param
from athanor.query.requests import ApiError, ApiReply, ApiRequest, bad_data, success
from athanor.storeapi.endpoints import EndpointStatus

COMPONENTS = frozenset({"sidecar", "store", "rule", "query", "receive", "debug"})
RULE_TYPES = ("", "all", "alert", "record")
TARGET_STATES = ("", "any", "active", "dropped")
MAX_INT32 = 2**31 - 1


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What the status pages say about the process."""

    started_at_ms: int = 0
    version: str = ""
    go_version: str = ""
    memory_limit_bytes: int = 2**63 - 1
    flags: Mapping[str, str] = field(default_factory=dict)


class StatusApi:
    """The handlers. has_api: whether an endpoint in use offers a service."""

    def __init__(
        self,
        statuses: Callable[[], Sequence[EndpointStatus]],
        has_api: Callable[[str], bool],
        facts: ProcessFacts,
        features: Features | None = None,
    ) -> None:
        self._statuses, self._has_api, self._facts = statuses, has_api, facts
        self._features = features or Features.thanos_0_43()

    def stores(self, request: ApiRequest, cancel: CancelToken) -> ApiReply:
        """Every endpoint by type."""
        found: dict[str, list[str]] = {}
        for status in self._statuses():
            if status.component:
                kind = status.component if status.component in COMPONENTS else "unknown-store-api"
                found.setdefault(kind, []).append(_endpoint(status))
        kinds = ",".join(f"{json_text(kind)}:[{','.join(found[kind])}]" for kind in sorted(found))
        return success(f"{{{kinds}}}")

    def flags(self, request: ApiRequest, cancel: CancelToken) -> ApiReply:
        """The command's own flags."""
        shown = self._facts.flags
        return success("{" + ",".join(f"{json_text(name)}:{json_text(shown[name])}" for name in sorted(shown)) + "}")

    def build_info(self, request: ApiRequest, cancel: CancelToken) -> ApiReply:
        """The version; goVersion names the Python that runs it."""
        facts = self._facts
        names = {"version": facts.version, "revision": "", "branch": "", "buildUser": "", "buildDate": ""}
        return success(_object({**names, "goVersion": facts.go_version}))

    def runtime_info(self, request: ApiRequest, cancel: CancelToken) -> ApiReply:
        """The process; goroutines are threads here."""
        return success(
            _object(
                {
                    "startTime": rfc3339(self._facts.started_at_ms / 1000),
                    "CWD": os.getcwd(),
                    "goroutineCount": threading.active_count(),
                    "GOMAXPROCS": len(os.sched_getaffinity(0)),
                    "GOGC": "",
                    "GODEBUG": "",
                    "GOMEMLIMIT": self._facts.memory_limit_bytes,
                }
            )
        )

    def rules(self, request: ApiRequest, cancel: CancelToken) -> ApiReply:
        """Rule groups."""
        if request.form_error:
            raise ApiError("internal", f"error parsing request form='match[]': {request.form_error}")
        kind = request.url_value("type")
        if kind.lower() not in RULE_TYPES:
            raise bad_data(f"invalid rules parameter type='{kind}'")
        for text in request.values("match[]"):
            try:
                selector(text, self._features)
            except ApiError as err:
                raise ApiError("internal", f"error retrieving rules: parser ParseMetricSelector: {err}") from None
        return self._empty("rules", '{"groups":[]}')

    def alerts(self, request: ApiRequest, cancel: CancelToken) -> ApiReply:
        """Alerts of rules."""
        return self._empty("rules", '{"alerts":null}')

    def targets(self, request: ApiRequest, cancel: CancelToken) -> ApiReply:
        """Scrape targets."""
        state = request.url_value("state")
        if state.lower() not in TARGET_STATES:
            raise bad_data(f"invalid targets parameter state='{state}'")
        return self._empty("targets", '{"activeTargets":[],"droppedTargets":[]}')

    def metadata(self, request: ApiRequest, cancel: CancelToken) -> ApiReply:
        """Types and help of metrics."""
        text = request.url_value("limit")
        if text:
            limit = atoi(text)
            if limit is None or not -MAX_INT32 - 1 <= limit <= MAX_INT32:
                # compat: the number that Go's parser was left with (pkg/api/query/v1.go NewMetricMetadataHandler)
                shown = 0 if limit is None else (MAX_INT32 if limit > 0 else -MAX_INT32 - 1)
                raise bad_data(f"invalid metric metadata limit='{shown}'")
        return self._empty("metric_metadata", "{}")

    def exemplars(self, request: ApiRequest, cancel: CancelToken) -> ApiReply:
        """Exemplars of the series in a query."""
        time_param(request, "start", EARLIEST_MS)
        time_param(request, "end", LATEST_MS)
        try:
            parse(request.value("query"), self._features)
        except ParseError as err:
            raise ApiError("internal", f"retrieving exemplars: proxy Exemplars: {err}") from None
        return self._empty("exemplars", "[]")

    def tsdb(self, request: ApiRequest, cancel: CancelToken) -> ApiReply:
        """Statistics of head blocks."""
        limit = limit_param(request)
        if limit > MAX_INT32:
            raise bad_data(f"limit {limit} overflows int32")
        head = '{"numSeries":0,"numLabelPairs":0,"chunkCount":0,"minTime":0,"maxTime":0}'
        lists = (
            "seriesCountByMetricName", "labelValueCountByLabelName", "memoryInBytesByLabelName",
            "seriesCountByLabelValuePair",
        )  # fmt: skip
        return self._empty("status", f'{{"headStats":{head},' + ",".join(f'"{name}":[]' for name in lists) + "}")

    def _empty(self, api: str, data: str) -> ApiReply:
        if self._has_api(api):
            raise NotAvailableError(f"{api} of endpoints")
        return success(data)


def _object(values: Mapping[str, Any]) -> str:
    return json.dumps(values, separators=(",", ":"))


def rfc3339(at_s: float) -> str:
    """A time as Go prints it in UTC: fraction without zeros at its end."""
    at_ms = round(at_s * 1000)
    text = datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{at_ms % 1000:03d}".rstrip("0") if at_ms % 1000 else ""
    return f"{text}{fraction}Z"


def _endpoint(status: EndpointStatus) -> str:
    error = "null" if status.last_error is None else json_text(status.last_error)
    sets = ",".join(label_set_text(pairs) for pairs in status.label_sets)
    return (
        f'{{"name":{json_text(status.name)},"lastCheck":"{rfc3339(status.checked_at_s)}","lastError":{error},'
        f'"labelSets":[{sets}],"minTime":{status.min_time_ms},"maxTime":{status.max_time_ms}}}'
    )
