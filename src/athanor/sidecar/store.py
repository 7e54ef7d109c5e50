"""The StoreAPI over a Prometheus (thanos pkg/store/prometheus.go).

Series: matchers on external labels are decided here, the others travel in a remote read; the streamed chunks come back,
get the external labels (which win), lose the replica labels, and are sorted: overlaying labels changes their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from athanor.kernel.labels import drop, set_column, sort_order, take
from athanor.model.matchers import Matcher
from athanor.model.metrics import Histogram
from athanor.model.rpc import Call, StatusError
from athanor.model.tables import LabelTable, label_table
from athanor.sidecar.limits import SeriesLimits
from athanor.sidecar.prometheus import Prometheus
from athanor.sidecar.remote_read import FrameCounter, read_frames, read_request
from athanor.sidecar.state import SidecarState
from athanor.storeapi.frames import SeriesFrame, empty_chunks, write_series_frames
from athanor.storeapi.hashes import fill_hashes
from athanor.storeapi.matching import LabelSet, consume_external, parse_matchers
from athanor.storeapi.messages import thanos
from athanor.storeapi.rows import sorted_frames
from athanor.storeapi.shards import keep_shard, shard_of

API_TIMEOUT_S = 300.0
NO_MATCHERS = "no matchers specified (excluding external labels)"


class PrometheusStore:
    """A ``storeapi.server.StoreServer``."""

    def __init__(
        self, prometheus: Prometheus, state: SidecarState, limits: SeriesLimits, received_frames: Histogram
    ) -> None:
        self._prometheus = prometheus
        self._state = state
        self._limits = limits
        self._received_frames = received_frames

    def series(self, request: Any, call: Call) -> Iterator[bytes]:
        """Frames in label order; nothing where the external labels do not match."""
        external = self._state.external_labels
        matchers = consume_external(external, parse_matchers(request.matchers))
        if matchers is None:
            return
        if not matchers:
            raise StatusError("INVALID_ARGUMENT", NO_MATCHERS)
        first_ms = max(request.min_time, self._state.min_time_ms)
        if request.skip_chunks:
            frame = self._labels_only(request, external, matchers, first_ms, call)
        else:
            frame = self._with_chunks(request, external, matchers, first_ms, call)
        if len(frame):
            yield from self._limits.apply(
                frame, lambda part: write_series_frames(part.labels, part.chunks, request.response_batch_size)
            )

    def _with_chunks(
        self, request: Any, external: LabelSet, matchers: Sequence[Matcher], first_ms: int, call: Call
    ) -> SeriesFrame:
        shard = shard_of(request.shard_info)
        counter = FrameCounter()
        pieces = self._prometheus.remote_read(read_request(first_ms, request.max_time, matchers), call.cancel)
        found: list[SeriesFrame] = []
        for frame in read_frames(pieces, counter, where=f"remote read of {self._prometheus.url}"):
            labels = overlaid(frame.labels, external, request.without_replica_labels)
            complete = SeriesFrame(labels, fill_hashes(frame.chunks))
            found.append(complete if shard is None else keep_shard(complete, shard))
        self._received_frames.observe(counter.n_frames)
        call.cancel.check()
        return sorted_frames(found) if found else SeriesFrame(label_table([]), empty_chunks())

    def _labels_only(
        self, request: Any, external: LabelSet, matchers: Sequence[Matcher], first_ms: int, call: Call
    ) -> SeriesFrame:
        """compat: replica labels are removed from the external labels only, and the shard is not looked at."""
        removed = frozenset(request.without_replica_labels)
        kept = [(name, value) for name, value in external if name not in removed]
        timeout_s = _timeout_s(call)
        found = self._prometheus.series(matchers, first_ms, request.max_time, request.limit, timeout_s)
        table = overlaid(label_table([tuple(labels.items()) for labels in found]), kept, ())
        return SeriesFrame(take(table, sort_order(table)), empty_chunks())

    def label_names(self, request: Any, call: Call) -> Any:
        external = self._state.external_labels
        matchers = consume_external(external, parse_matchers(request.matchers))
        if matchers is None:
            return thanos.LabelNamesResponse()
        timeout_s = _timeout_s(call)
        if not matchers or self._state.facts.label_calls_take_matchers:
            names = self._prometheus.label_names(matchers, request.start, request.end, request.limit, timeout_s)
        else:
            found = self._prometheus.series(matchers, request.start, request.end, request.limit, timeout_s)
            names = sorted({name for labels in found for name in labels})
        if names:
            removed = frozenset(request.without_replica_labels)
            names = sorted([*names, *(name for name, _ in external if name not in removed)])
        return thanos.LabelNamesResponse(names=names)

    def label_values(self, request: Any, call: Call) -> Any:
        if not request.label:
            raise StatusError("INVALID_ARGUMENT", "label name parameter cannot be empty")
        if request.label in request.without_replica_labels:
            return thanos.LabelValuesResponse()
        external = self._state.external_labels
        matchers = consume_external(external, parse_matchers(request.matchers))
        if matchers is None:
            return thanos.LabelValuesResponse()
        timeout_s = _timeout_s(call)
        if own := dict(external).get(request.label, ""):
            known = not matchers or self._prometheus.series(
                matchers, request.start, request.end, request.limit, timeout_s
            )
            return thanos.LabelValuesResponse(values=[own] if known else [])
        if not matchers or self._state.facts.label_calls_take_matchers:
            values = self._prometheus.label_values(
                request.label, matchers, request.start, request.end, request.limit, timeout_s
            )
        else:
            found = self._prometheus.series(matchers, request.start, request.end, request.limit, timeout_s)
            values = list({labels[request.label] for labels in found if labels.get(request.label)})
        return thanos.LabelValuesResponse(values=sorted(values))


def overlaid(labels: LabelTable, external: Sequence[tuple[str, str]], without: Sequence[str]) -> LabelTable:
    """Every set with the external labels, which win, and then without the replica labels."""
    codes = np.zeros(len(labels), np.int32)
    removed = frozenset(without)
    for name, value in external:
        if name not in removed:
            labels = set_column(labels, name, codes, [value.encode()])
    return drop(labels, sorted(removed)) if removed else labels


def _timeout_s(call: Call) -> float:
    call.cancel.check()
    left_s = call.cancel.remaining_s()
    return API_TIMEOUT_S if left_s is None else max(left_s, 0.001)
