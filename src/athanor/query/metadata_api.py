"""``labels``, ``label/:name/values`` and ``series``: what exists, from all stores."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

from athanor.kernel import labels
from athanor.model.cancel import CancelToken
from athanor.model.matchers import Matcher
from athanor.model.rpc import StatusError
from athanor.model.tables import LabelTable
from athanor.promql.gostrings import quote
from athanor.query.api import Memory, status_text
from athanor.query.json_result import json_texts, label_set_pieces
from athanor.query.params import MAX_INT64, bool_param, limit_param, selectors, time_range
from athanor.query.query_params import QueryDefaults, replica_labels_of, tenant_of
from athanor.query.requests import ApiError, ApiReply, ApiRequest, bad_data, streamed, success
from athanor.storeapi.matching import StoreMatchers, wire_matchers
from athanor.storeapi.messages import ABORT, WARN, thanos
from athanor.storeapi.proxy import MAX_BATCH_SERIES, Proxy, ProxyCall

TRUNCATED = "results truncated due to limit"
MatcherSets = Sequence[tuple[Matcher, ...]]


class MetadataApi:
    """The handlers."""

    def __init__(
        self,
        proxy: Proxy,
        memory: Memory,
        defaults: QueryDefaults,
        json_workers: Executor | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._proxy, self._memory, self._defaults = proxy, memory, defaults
        self._json_workers, self._now_ms = json_workers, now_ms

    def label_names(self, request: ApiRequest, cancel: CancelToken) -> ApiReply:
        """Names of labels, replica labels among them."""
        first_ms, last_ms, partial, call, limit, matcher_sets = self._label_params(request, cancel)

        def ask(matchers: tuple[Matcher, ...]) -> Any:
            asked = thanos.LabelNamesRequest(
                start=first_ms, end=last_ms, matchers=wire_matchers(matchers), limit=_asked(limit), **_strategy(partial)
            )
            return self._proxy.label_names(asked, call)

        return _lists("LabelNames", [_asking("LabelNames", ask, m) for m in matcher_sets], "names", limit)

    def label_values(self, request: ApiRequest, cancel: CancelToken) -> ApiReply:
        """Values of one label."""
        name = _label_name(request.path_parts[-2])
        first_ms, last_ms, partial, call, limit, matcher_sets = self._label_params(request, cancel)

        def ask(matchers: tuple[Matcher, ...]) -> Any:
            asked = thanos.LabelValuesRequest(
                label=name, start=first_ms, end=last_ms, matchers=wire_matchers(matchers), limit=_asked(limit),
                **_strategy(partial),
            )  # fmt: skip
            return self._proxy.label_values(asked, call)

        return _lists("LabelValues", [_asking("LabelValues", ask, m) for m in matcher_sets], "values", limit)

    def _label_params(
        self, request: ApiRequest, cancel: CancelToken
    ) -> tuple[int, int, bool, ProxyCall, int, MatcherSets]:
        defaults = self._defaults
        first_ms, last_ms = time_range(request, defaults.metadata_range_ms, self._now_ms())
        partial = bool_param(request, "partial_response", defaults.partial_response)
        store_matchers = selectors(request, "storeMatch[]", defaults.features)
        limit = limit_param(request)
        tenant = tenant_of(request, defaults)
        matcher_sets = selectors(request, "match[]", defaults.features) or [()]
        call = ProxyCall(self._limited(cancel), lambda text: None, tenant, store_matchers)
        return first_ms, last_ms, partial, call, limit, matcher_sets

    def series(self, request: ApiRequest, cancel: CancelToken) -> ApiReply:
        """Label sets of the series that match."""
        defaults = self._defaults
        if request.form_error:
            raise ApiError("internal", f"parse form: {request.form_error}")
        if not request.values("match[]"):
            raise bad_data("no match[] parameter provided")
        first_ms, last_ms = time_range(request, defaults.metadata_range_ms, self._now_ms())
        tenant = tenant_of(request, defaults)
        matcher_sets = selectors(request, "match[]", defaults.features)
        deduplicate = bool_param(request, "dedup", True)
        replica_labels = replica_labels_of(request, defaults)
        store_matchers = selectors(request, "storeMatch[]", defaults.features)
        limit = limit_param(request)
        partial = bool_param(request, "partial_response", defaults.partial_response)
        asked = thanos.SeriesRequest(
            min_time=first_ms, max_time=last_ms, max_resolution_window=MAX_INT64, skip_chunks=True, limit=_asked(limit),
            response_batch_size=MAX_BATCH_SERIES, without_replica_labels=replica_labels if deduplicate else (),
            **_strategy(partial),
        )  # fmt: skip
        return self._series(asked, matcher_sets, limit, self._limited(cancel), tenant, store_matchers)

    def _limited(self, cancel: CancelToken) -> CancelToken:
        """differs: the timeout of queries holds for these calls too; the original waits for a silent store for ever."""
        return cancel.child(timeout_s=self._defaults.timeout_ms / 1000)

    def _series(
        self,
        asked: Any,
        matcher_sets: MatcherSets,
        limit: int,
        cancel: CancelToken,
        tenant: str,
        store_matchers: StoreMatchers,
    ) -> ApiReply:
        warnings: list[str] = []
        # differs: the original loses the warnings of this call (seen on the running binary)
        call = ProxyCall(cancel, warnings.append, tenant, store_matchers, keep_empty=True)
        budget = self._memory.new_budget()
        try:
            tables: list[LabelTable] = []
            for matchers in matcher_sets:
                del asked.matchers[:]
                asked.matchers.extend(wire_matchers(matchers))
                tables += [batch.labels for batch in self._proxy.series(asked, budget, call)]
            table = _union(tables)
        except StatusError as err:
            budget.__exit__()
            cancel.check()
            raise ApiError("execution", f"proxy Series(): {status_text(err)}") from err
        except BaseException:
            budget.__exit__()
            raise
        if limit and len(table) > limit:
            table = LabelTable(table.arena, table.offsets[: limit + 1])
            warnings.append(TRUNCATED)
        return streamed(b"", label_set_pieces(table, self._json_workers), b"", warnings, budget.__exit__)


def _union(tables: list[LabelTable]) -> LabelTable:
    """All label sets once, in order."""
    if not tables:
        return labels.empty_sets(0)
    table = tables[0] if len(tables) == 1 else labels.concat(tables)
    if labels.is_strictly_sorted(table):
        return table
    _, firsts = labels.unique(table)
    table = labels.take(table, firsts)
    return labels.take(table, labels.sort_order(table))


def _strategy(partial: bool) -> dict[str, Any]:
    return {"partial_response_strategy": WARN if partial else ABORT, "partial_response_disabled": not partial}


def _asked(limit: int) -> int:
    """One more than is shown, so that a longer answer is noticed."""
    return limit + 1 if limit else 0


def _label_name(raw: bytes) -> str:
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        name = ""
    if not name:
        raise bad_data(f"invalid label name: {quote(raw.decode('utf-8', 'surrogateescape'))}")
    return name


def _asking(what: str, ask: Callable[[tuple[Matcher, ...]], Any], matchers: tuple[Matcher, ...]) -> Any:
    try:
        return ask(matchers)
    except StatusError as err:
        raise ApiError("execution", f"proxy {what}(): {status_text(err)}") from err


def _lists(what: str, answers: list[Any], field: str, limit: int) -> ApiReply:
    found = sorted({value for answer in answers for value in getattr(answer, field)})
    warnings = [text for answer in answers for text in answer.warnings]
    if limit and len(found) > limit:
        found = found[:limit]
        warnings.append(TRUNCATED)
    return success(json_texts(found), warnings)
