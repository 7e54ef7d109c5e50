"""LabelNames and LabelValues over the blocks of a bucket.

Without matchers the index headers answer; with matchers the series that match are scanned, without their chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from athanor.model.arrays import U32
from athanor.model.errors import AthanorError
from athanor.model.matchers import METRIC_NAME, Matcher, MatchType
from athanor.model.rpc import Call, StatusError
from athanor.store.block_series import BATCH_SERIES
from athanor.store.blocks import ServedBlock
from athanor.store.gateway import Expanded, Gateway, Target
from athanor.store.hints import accepts_block, block_matchers
from athanor.store.request_limits import CallLimits, Exceeded
from athanor.storeapi.matching import consume_external, parse_matchers
from athanor.storeapi.messages import hints, pack_hints, thanos
from athanor.storeapi.server import tenant_of


class LabelCalls:
    """The two unary methods of a ``StoreServer``."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def label_names(self, request: Any, call: Call) -> Any:
        targets = self._targets(request, hints.LabelNamesRequestHints, "label names")
        removed = frozenset(request.without_replica_labels)
        warnings: list[str] = []

        def of_header(block: ServedBlock) -> set[str]:
            stored = set(self._gateway.header(block).names) - {""}
            return stored | {name for name, _ in block.labels if name not in removed}

        def of_series(expanded: Expanded, limits: CallLimits) -> set[str]:
            block, header = expanded.target.block, expanded.index.header
            symbols: set[int] = set()
            for names, _ in self._scan(expanded, request, limits, call):
                symbols.update(np.unique(names).tolist())
            if not symbols:
                return set()
            stored = {header.symbol(symbol).decode("utf-8", "surrogateescape") for symbol in symbols}
            return (stored | {name for name, _ in block.labels}) - removed

        found = self._collect(targets, of_header, of_series, call, warnings)
        names = _limited(found, request.limit)
        response = thanos.LabelNamesResponse(names=names, warnings=warnings)
        response.hints.CopyFrom(pack_hints(hints.LabelNamesResponseHints(queried_blocks=_queried(targets))))
        return response

    def label_values(self, request: Any, call: Call) -> Any:
        label = request.label
        if label in request.without_replica_labels:
            return thanos.LabelValuesResponse()
        targets = self._targets(request, hints.LabelValuesRequestHints, "label values")
        warnings: list[str] = []

        def of_header(block: ServedBlock) -> set[str]:
            header = self._gateway.header(block)
            stored = {header.value(row).decode("utf-8", "surrogateescape") for row in range(*header.rows_of(label))}
            return stored | {value for name, value in block.labels if name == label}

        def of_series(expanded: Expanded, limits: CallLimits) -> set[str]:
            block, header = expanded.target.block, expanded.index.header
            own = dict(block.labels).get(label)
            number, known = header.find_symbol(label.encode("utf-8", "surrogateescape"))
            if own is None and not known:
                return set()
            symbols: set[int] = set()
            n_found = 0
            for names, values in self._scan(expanded, request, limits, call):
                n_found += names.size
                symbols.update(np.unique(values[names == number]).tolist())
            if own is not None:
                return {own} if n_found else set()
            return {header.symbol(symbol).decode("utf-8", "surrogateescape") for symbol in symbols}

        asked = [Target(target.block, _with_label(target, label)) for target in targets]
        found = self._collect(asked, of_header, of_series, call, warnings)
        response = thanos.LabelValuesResponse(values=_limited(found, request.limit), warnings=warnings)
        response.hints.CopyFrom(pack_hints(hints.LabelValuesResponseHints(queried_blocks=_queried(targets))))
        return response

    def _targets(self, request: Any, hint_class: Any, what: str) -> list[Target]:
        try:
            matchers = parse_matchers(request.matchers)
        except StatusError as error:
            raise StatusError(error.code, f"translate request labels matchers: {error.message}") from None
        wanted = block_matchers(request, hint_class, what)
        targets: list[Target] = []
        for block_set in self._gateway.served.sets:
            left = consume_external(block_set.labels, matchers)
            if left is None:
                continue
            for block in block_set.blocks:
                in_time = block.min_ms <= request.end and request.start < block.end_ms
                if in_time and accepts_block(wanted, block.ulid, block.labels):
                    targets.append(Target(block, left))
        return targets

    def _collect(
        self,
        targets: Sequence[Target],
        of_header: Callable[[ServedBlock], set[str]],
        of_series: Callable[[Expanded, CallLimits], set[str]],
        call: Call,
        warnings: list[str],
    ) -> set[str]:
        found: set[str] = set()
        limits = self._gateway.new_limits(tenant_of(call))
        try:
            for target in targets:
                call.cancel.check()
                if not target.matchers:
                    found |= of_header(target.block)
            scanned = [target for target in targets if target.matchers]
            for expanded in self._gateway.expand(scanned, limits, call.cancel, warnings.append, prefix=False):
                found |= of_series(expanded, limits)
        except Exceeded as error:
            raise StatusError(error.code, error.text) from None
        except StatusError as error:
            code = "INTERNAL" if error.code == "ABORTED" else error.code
            raise StatusError(code, error.message) from None
        except AthanorError as error:
            raise StatusError("INTERNAL", str(error)) from None
        return found

    def _scan(self, expanded: Expanded, request: Any, limits: CallLimits, call: Call) -> Iterator[tuple[U32, U32]]:
        """Name and value symbols of the series that have a chunk in the request's range, batch by batch."""
        refs = expanded.refs
        for first in range(0, refs.size, BATCH_SERIES):
            call.cancel.check()
            try:
                span_ms = (request.start, request.end)
                entries = expanded.index.series(refs[first : first + BATCH_SERIES], span_ms, limits)
            except Exceeded as error:
                where = f"iterate series for block {expanded.target.block.ulid}: preload series: "
                raise StatusError(error.code, where + error.text) from None
            in_range = np.repeat(np.diff(entries.chunk_at) > 0, np.diff(entries.label_at))
            yield entries.names[in_range], entries.values[in_range]


def _with_label(target: Target, label: str) -> tuple[Matcher, ...]:
    """Scan only series that have the label, unless the metric name narrows them anyway (compat)."""
    matchers = target.matchers
    if not matchers or label in dict(target.block.labels):
        return matchers
    if any(m.name == METRIC_NAME and m.type is MatchType.EQ for m in matchers):
        return matchers
    return (*matchers, Matcher(MatchType.NEQ, label, ""))


def _limited(found: set[str], limit: int) -> list[str]:
    ordered = sorted(found, key=lambda text: text.encode("utf-8", "surrogateescape"))
    texts = [text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for text in ordered]
    return texts[:limit] if limit > 0 else texts


def _queried(targets: Sequence[Target]) -> list[Any]:
    return [hints.Block(id=target.block.ulid) for target in targets]
