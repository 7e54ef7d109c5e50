"""The services that a store gateway offers: Store and Info."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from athanor.model.rpc import Call, Service, StatusError, StreamMethod
from athanor.store.blocks import Served
from athanor.store.gateway import Gateway
from athanor.store.label_calls import LabelCalls
from athanor.storeapi.matching import MAX_TIME_MS, MIN_TIME_MS, label_set_text
from athanor.storeapi.messages import info, thanos
from athanor.storeapi.server import decode_request, info_service, store_service


class StoreMethods:
    """The three methods of ``thanos.Store`` together."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._labels = LabelCalls(gateway)

    def series(self, request: Any, call: Call) -> Iterator[bytes]:
        return self._gateway.series(request, call)

    def label_names(self, request: Any, call: Call) -> Any:
        return self._labels.label_names(request, call)

    def label_values(self, request: Any, call: Call) -> Any:
        return self._labels.label_values(request, call)


def services(gateway: Gateway, min_time_ms: Callable[[], int], max_time_ms: Callable[[], int]) -> tuple[Service, ...]:
    """Store and Info."""
    store = store_service(StoreMethods(gateway))
    methods = tuple(_strict(method) if isinstance(method, StreamMethod) else method for method in store.methods)
    return (
        Service(store.name, methods),
        info_service(lambda: info_response(gateway.served, min_time_ms(), max_time_ms())),
    )


def _strict(method: StreamMethod) -> StreamMethod:
    """differs: a negative resolution blocks the original's store for good; here it is a mistake of the caller."""

    def handle(data: bytes, call: Call) -> Iterator[bytes]:
        window_ms = decode_request(thanos.SeriesRequest, data).max_resolution_window
        if window_ms < 0:
            raise StatusError("INVALID_ARGUMENT", f"max_resolution_window {window_ms} is negative; 0 asks for raw data")
        yield from method.handler(data, call)

    return replace(method, handler=handle)


def info_response(served: Served, min_time_ms: int, max_time_ms: int) -> Any:
    """What is served now: label sets, time range, intervals of every label set.

    differs: label sets whose last block is gone are no longer announced.
    """
    blocks = served.blocks
    low = max(min_time_ms, min(block.min_ms for block in blocks)) if blocks else MAX_TIME_MS
    high = min(max_time_ms, max(block.end_ms for block in blocks)) if blocks else MIN_TIME_MS
    intervals = [
        info.TSDBInfo(labels=_label_set(i.labels), min_time=i.min_ms, max_time=i.end_ms)
        for block_set in served.sets
        for i in block_set.intervals()
    ]
    labels = sorted((block_set.labels for block_set in served.sets), key=label_set_text)
    return info.InfoResponse(
        label_sets=[_label_set(pairs) for pairs in labels if pairs],
        ComponentType="store",
        store=info.StoreInfo(
            min_time=low,
            max_time=high,
            supports_sharding=True,
            supports_without_replica_labels=True,
            tsdb_infos=intervals,
        ),
    )


def _label_set(pairs: tuple[tuple[str, str], ...]) -> Any:
    return thanos.ZLabelSet(labels=[thanos.Label(name=name, value=value) for name, value in pairs])
