"""The querier over a store gateway with the recorded blocks, all in this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import pytest
from multidict import CIMultiDict

from athanor.bucket import FilesystemBucket
from athanor.model.budget import Budget
from athanor.model.cancel import CancelToken
from athanor.model.log import Logger
from athanor.model.metrics import Registry
from athanor.model.rpc import Call, StatusError
from athanor.promql.engine import Engine, EngineOptions
from athanor.promql.features import Features
from athanor.query.api import Memory, QueryApi, QueryMetrics
from athanor.query.metadata_api import MetadataApi
from athanor.query.query_params import QueryDefaults
from athanor.query.requests import ApiReply, ApiRequest
from athanor.query.routes import api_routes
from athanor.query.service import make_storage
from athanor.query.status_api import ProcessFacts, StatusApi
from athanor.query.syntax_api import SyntaxApi
from athanor.serve.http_routes import Match, Route, Routes
from athanor.store.blocks import Blocks, prepare_directory
from athanor.store.discover import DiscoverOptions, Discovery
from athanor.store.gateway import Gateway, GatewayOptions
from athanor.store.headers import HeaderStore
from athanor.store.index_cache import IndexCache
from athanor.store.metrics import StoreMetrics
from athanor.store.service import services
from athanor.storeapi import messages
from athanor.storeapi.client import CallError, facts_of, rpc_error_text
from athanor.storeapi.endpoints import EndpointStatus
from athanor.storeapi.messages import info
from athanor.storeapi.proxy import Proxy
from athanor.storeapi.streams import StreamError, StreamFailure

GOLDEN = Path(__file__).parents[2] / "golden/query"
ADDRESS = "127.0.0.1:21032"
FIRST_MS, LAST_MS = -(2**62), 2**62
NO_LOG = Logger(level="error", emit=lambda line: None)


class LocalCall:
    """A Series call inside this process."""

    def __init__(self, frames, cancel):
        self._frames, self._cancel = frames, cancel

    def __iter__(self):
        try:
            yield from self._frames
        except StatusError as error:
            raise StreamError(StreamFailure(rpc_error_text(error.code, error.message), error.code)) from None

    def cancel(self):
        self._cancel.cancel("stopped")


class LocalStore:
    """A store's services as a client of them."""

    def __init__(self, store_services, address=ADDRESS):
        self._methods = {f"{s.name}/{m.name}": m.handler for s in store_services for m in s.methods}
        answer = self._methods["thanos.info.Info/Info"](b"", Call(CancelToken()))
        self.facts = facts_of(address, messages.decode(info.InfoResponse, answer, "info"))

    def series(self, request, cancel, metadata):
        token = cancel.child()
        return LocalCall(self._methods["thanos.Store/Series"](request, Call(token, metadata)), token)

    def _unary(self, name, request, cancel, metadata):
        try:
            return self._methods[f"thanos.Store/{name}"](request, Call(cancel, metadata))
        except StatusError as error:
            raise CallError(error.code, rpc_error_text(error.code, error.message)) from None

    def label_names(self, request, cancel, metadata):
        return self._unary("LabelNames", request, cancel, metadata)

    def label_values(self, request, cancel, metadata):
        return self._unary("LabelValues", request, cancel, metadata)


def open_gateway(bucket_dir: Path, data_dir: Path) -> Gateway:
    registry, bucket = Registry(), FilesystemBucket(bucket_dir)
    metrics = StoreMetrics(registry)
    prepare_directory(data_dir)
    discovery = Discovery(bucket, DiscoverOptions(lambda: FIRST_MS, lambda: LAST_MS, 0, 0, 1), registry, NO_LOG)
    headers = HeaderStore(bucket, data_dir, metrics, NO_LOG)
    blocks = Blocks(bucket, discovery, headers, IndexCache(1 << 20, registry), 1, metrics, NO_LOG)
    blocks.sync()
    return Gateway(blocks, GatewayOptions(lambda: FIRST_MS, lambda: LAST_MS), Budget(1 << 28), metrics)


@dataclass
class Querier:
    """The HTTP API without a server."""

    routes: Routes
    memory: Budget
    registry: Registry

    def ask(
        self,
        method: str,
        path: str,
        params=(),
        *,
        form=None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        cancel: CancelToken | None = None,
    ) -> tuple[int, dict[str, str], str]:
        """(status, headers, body) of one request. params: pairs, or the query as it is sent."""
        reply = self.reply(method, path, params, form=form, headers=headers, body=body, cancel=cancel)
        data = reply.body if isinstance(reply.body, bytes) else b"".join(reply.body)
        return reply.status, dict(reply.headers), data.decode()

    def reply(self, method, path, params=(), *, form=None, headers=None, body=b"", cancel=None) -> ApiReply:
        found = self.routes.find(method, path)
        assert isinstance(found, Match), f"no route for {method} {path}"
        sent = CIMultiDict(headers or {})
        if form is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode([tuple(pair) for pair in form]).encode()
        query = params if isinstance(params, str) else urlencode([tuple(pair) for pair in params])
        request = ApiRequest(method, path, query, sent, body)
        return found.route.handler(request, cancel or CancelToken())


def open_querier(
    stores, storage_of=None, *, max_concurrent=4, query_bytes=1 << 28, features=None, **defaults
) -> Querier:
    """stores: clients; storage_of: replaces the fan-out as the engine's storage."""
    registry, process = Registry(), Budget(1 << 29)
    memory = Memory(process, query_bytes)
    engine = Engine(EngineOptions(features=features or Features.thanos_0_43()), 2)
    proxy = Proxy(lambda: stores)
    chosen = features or Features.thanos_0_43()
    known = QueryDefaults(**{"replica_labels": ("replica",), "features": chosen, **defaults})
    query = QueryApi(
        engine, storage_of or partial(make_storage, proxy), memory, QueryMetrics(registry, max_concurrent),
        max_concurrent, known, NO_LOG,
    )  # fmt: skip
    statuses = [
        EndpointStatus(s.facts.address, s.facts.component, 1.5, None, s.facts.label_sets, s.facts.min_time_ms,
                       s.facts.max_time_ms, True, False)
        for s in stores
    ]  # fmt: skip
    status = StatusApi(lambda: statuses, lambda api: False, ProcessFacts(flags={"query.timeout": "2m"}))
    routes = Routes()
    for route in api_routes(query, MetadataApi(proxy, memory, known), status, SyntaxApi(chosen), NO_LOG):
        routes.add(Route("/api/v1" + route.path, route.methods, route.handler, route.name, True))
    return Querier(routes, process, registry)


@pytest.fixture(scope="session")
def recorded_store(tmp_path_factory) -> LocalStore:
    gateway = open_gateway(GOLDEN / "blocks", tmp_path_factory.mktemp("store"))
    return LocalStore(services(gateway, lambda: FIRST_MS, lambda: LAST_MS))


@pytest.fixture(scope="session")
def querier(recorded_store) -> Querier:
    return open_querier([recorded_store])
