"""Wires ``athanor query``: the endpoint set, the engine over the fan-out, HTTP with pages and API, gRPC as a store."""

from __future__ import annotations

import os
import platform
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from athanor import __version__
from athanor.model.budget import Budget
from athanor.model.cancel import CancelToken
from athanor.model.log import Logger
from athanor.promql.engine import Engine, EngineOptions
from athanor.promql.features import Features
from athanor.query.api import Memory, QueryApi, QueryMetrics
from athanor.query.metadata_api import MetadataApi
from athanor.query.query_params import QueryDefaults
from athanor.query.requests import ApiHandler, ApiRequest
from athanor.query.routes import api_routes
from athanor.query.service import make_storage, services
from athanor.query.status_api import ProcessFacts, StatusApi
from athanor.query.syntax_api import SyntaxApi
from athanor.serve.config_query import QueryConfig
from athanor.serve.grpc_server import GrpcServer
from athanor.serve.http_server import HttpServer
from athanor.serve.http_types import JSON, Handler, HttpCall, HttpReply
from athanor.serve.idle_memory import give_back_when_idle
from athanor.serve.memory import memory_limit_bytes
from athanor.serve.process import Runtime
from athanor.serve.web_pages import add_pages
from athanor.storeapi.endpoints import EndpointSet, EndpointSetOptions, EndpointSpec, register_connections
from athanor.storeapi.proxy import Proxy
from athanor.ui.assets import PageVariables

THREADS_BESIDE_QUERIES = 8  # for answers that are being written and for the small calls
PROCESS_SHARE, QUERY_SHARE = 0.6, 0.5  # of the machine's memory for all queries; of that for one query
FIRST_UPDATE_S = 30.0
EXPERIMENTAL_FUNCTIONS = "promql-experimental-functions"
PERMANENT_FEATURES = ("promql-at-modifier", "promql-negative-offset")


def run(config: QueryConfig, runtime: Runtime) -> None:
    group, log, registry = runtime.group, runtime.log, runtime.registry
    n_cpus = len(os.sched_getaffinity(0))
    endpoints = EndpointSet(
        (
            *(EndpointSpec(address) for address in config.endpoints),
            *(EndpointSpec(address, strict=True) for address in config.strict_endpoints),
        ),
        log.bind(component="endpointset"),
        EndpointSetOptions(
            info_timeout_s=config.info_timeout_ms / 1000,
            unhealthy_timeout_s=config.unhealthy_timeout_ms / 1000,
            dns_interval_s=config.dns_interval_ms / 1000,
        ),
    )
    register_connections(registry, endpoints)
    proxy = Proxy(
        endpoints.stores,
        missing=endpoints.missing,
        selector_labels=config.selector_labels,
        response_timeout_s=config.response_timeout_ms / 1000,
    )
    limit_bytes = memory_limit_bytes()
    process_budget = Budget(int(limit_bytes * PROCESS_SHARE))
    registry.gauge_function(
        "athanor_memory_held_bytes", "Bytes that running requests have reserved.",
        lambda: float(process_budget.held_bytes),
    )  # fmt: skip
    registry.gauge_function(
        "athanor_memory_held_peak_bytes", "The most bytes that running requests have reserved together.",
        lambda: float(process_budget.peak_bytes),
    )  # fmt: skip
    memory = Memory(process_budget, int(process_budget.limit_bytes * QUERY_SHARE))
    features = _features(config, log)
    engine = Engine(
        EngineOptions(config.lookback_ms, config.default_evaluation_interval_ms, features), n_cpus
    )
    json_workers = ThreadPoolExecutor(n_cpus, thread_name_prefix="json")
    defaults = _defaults(config, features)
    query = QueryApi(
        engine, partial(make_storage, proxy), memory, QueryMetrics(registry, config.max_concurrent),
        config.max_concurrent, defaults, log, json_workers,
    )  # fmt: skip
    status = StatusApi(
        endpoints.statuses, lambda api: bool(endpoints.with_api(api)), _facts(runtime, limit_bytes), defaults.features
    )
    http = HttpServer(
        runtime,
        address=config.http_address,
        grace_ms=config.http_grace_period_ms,
        n_threads=config.max_concurrent + THREADS_BESIDE_QUERIES,
        cors=not config.disable_cors,
        tenant_header=config.tenant_header,
        default_tenant=config.default_tenant,
        api_root=f"{config.api_prefix}/api/v1",
        config_file=config.http_config_file,
    )
    metadata = MetadataApi(proxy, memory, defaults, json_workers)
    for route in api_routes(query, metadata, status, SyntaxApi(features), log):
        path = f"{config.api_prefix}/api/v1{route.path}"
        http.route(path, as_handler(route.handler), methods=route.methods, name=route.name, api=True)
    add_pages(
        http,
        PageVariables(tenant_header=config.tenant_header, default_tenant=config.default_tenant),
        prefix=config.api_prefix,
        external_prefix=config.external_prefix,
        prefix_header=config.prefix_header,
    )
    grpc = GrpcServer(
        runtime,
        address=config.grpc_address,
        grace_ms=config.grpc_grace_period_ms,
        max_connection_age_ms=config.grpc_max_connection_age_ms,
        services=services(proxy, memory.new_budget),
    )
    updated = threading.Event()
    group.add("engine", lambda: None, lambda reason: _close(engine, json_workers))
    group.add_loop("idle memory", partial(give_back_when_idle, process_budget))
    group.add_loop("endpoints", partial(_keep_endpoints, endpoints, updated))
    group.add("http", http.start, http.stop)
    group.add("grpc", grpc.start, grpc.stop)
    group.add("ready", partial(_become_ready, runtime, updated), lambda reason: None)
    log.info("starting query node")


def as_handler(handler: ApiHandler) -> Handler:
    """A handler of the API as one of the HTTP server."""

    def answer(call: HttpCall, cancel: CancelToken) -> HttpReply:
        reply = handler(ApiRequest(call.method, call.path, call.query_string, call.headers, call.body), cancel)
        return HttpReply(reply.status, reply.body, JSON, reply.headers)

    return answer


def _defaults(config: QueryConfig, features: Features) -> QueryDefaults:
    return QueryDefaults(
        features=features,
        timeout_ms=config.timeout_ms,
        lookback_ms=config.lookback_ms,
        default_step_ms=config.default_step_ms,
        metadata_range_ms=config.metadata_range_ms,
        replica_labels=config.replica_labels,
        partial_response=config.partial_response,
        tenant_header=config.tenant_header,
        default_tenant=config.default_tenant,
    )


def _features(config: QueryConfig, log: Logger) -> Features:
    """The language with what was switched on; other names are ignored without a word (compat)."""
    for name in config.enabled_features:
        if name in PERMANENT_FEATURES:
            log.warn(
                "This option for --enable-feature is now permanently enabled and therefore a no-op.", option=name
            )
        elif name == "query-pushdown":
            log.warn(
                "This option for --enable-feature is now permanently deprecated and therefore ignored.", option=name
            )
    experimental = EXPERIMENTAL_FUNCTIONS in config.enabled_features
    return replace(Features.thanos_0_43(), experimental_functions=experimental)


def _facts(runtime: Runtime, limit_bytes: int) -> ProcessFacts:
    python = f"python{platform.python_version()}"
    return ProcessFacts(runtime.started_at_ms, __version__, python, limit_bytes, runtime.shown_flags)


def _keep_endpoints(endpoints: EndpointSet, updated: threading.Event, cancel: CancelToken) -> None:
    endpoints.update()
    updated.set()
    endpoints.run(cancel)


def _become_ready(runtime: Runtime, updated: threading.Event) -> None:
    """Ready once every endpoint was asked."""
    stopping = runtime.group.stopping
    forget = stopping.on_cancel(updated.set)
    updated.wait(FIRST_UPDATE_S)
    forget()
    stopping.check()
    runtime.probes.ready()


def _close(engine: Engine, json_workers: ThreadPoolExecutor) -> None:
    json_workers.shutdown(wait=False, cancel_futures=True)
    engine.close()
