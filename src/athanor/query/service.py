"""The querier as a store: its gRPC services, and the storage that its own queries read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from athanor.model.budget import Budget
from athanor.model.cancel import CancelToken
from athanor.model.rpc import Service
from athanor.model.select import Selection
from athanor.query.query_params import QueryParams
from athanor.query.storage import FanoutStorage
from athanor.storeapi.matching import StoreFacts
from athanor.storeapi.merge import Batch
from athanor.storeapi.proxy import Proxy, ProxyCall
from athanor.storeapi.proxy_server import ProxyServer
from athanor.storeapi.server import info_service, store_service

COMPONENT = "query"


class _Sharded:
    """A fan-out whose requests ask for one shard."""

    def __init__(self, proxy: Proxy, shard: Any) -> None:
        self._proxy, self._shard = proxy, shard

    def series(self, request: Any, budget: Budget, call: ProxyCall) -> Iterator[Batch]:
        request.shard_info.CopyFrom(self._shard)
        return self._proxy.series(request, budget, call)


def make_storage(proxy: Proxy, params: QueryParams, cancel: CancelToken) -> FanoutStorage:
    """The stores behind one query."""
    fanout = proxy if params.shard is None else _Sharded(proxy, params.shard)

    def asked(selection: Selection) -> tuple[StoreFacts, ...]:
        return proxy.asked(selection.first_ms, selection.last_ms, selection.matchers, params.store_matchers)

    return FanoutStorage(
        fanout, params.querier, cancel, tenant=params.tenant, store_matchers=params.store_matchers,
        asked=asked, counts=params.wants_analysis,
    )  # fmt: skip


def services(proxy: Proxy, new_budget: Callable[[], Budget]) -> tuple[Service, ...]:
    """Store and Info. differs: the original also offers its query and proxy services, which this version has not."""

    def read_info() -> Any:
        response = proxy.info()
        response.ComponentType = COMPONENT
        return response

    return store_service(ProxyServer(proxy, new_budget)), info_service(read_info)
