"""Wires ``athanor store``: HTTP first, then the initial sync, gRPC once blocks are served, the sync loop."""

from __future__ import annotations

import time
from functools import partial

from athanor import __version__
from athanor.bucket import RegisteredBucketMetrics, open_bucket
from athanor.model.budget import Budget
from athanor.model.cancel import CancelToken
from athanor.model.errors import AthanorError
from athanor.serve.config_store import StoreConfig
from athanor.serve.durations import NS_PER_MS
from athanor.serve.grpc_server import GrpcServer
from athanor.serve.http_server import HttpServer
from athanor.serve.idle_memory import give_back_when_idle
from athanor.serve.process import Runtime
from athanor.serve.timestamps import TimeOrDuration
from athanor.store.blocks import Blocks, prepare_directory
from athanor.store.discover import DiscoverOptions, Discovery
from athanor.store.gateway import Gateway, GatewayOptions
from athanor.store.headers import HeaderStore
from athanor.store.index_cache import IndexCache
from athanor.store.metrics import StoreMetrics
from athanor.store.service import services

N_HTTP_THREADS = 4
INITIAL_SYNC_S = 30.0  # no new attempt is begun after this (Thanos cmd/thanos/store.go)
RETRY_S = 10.0
REMOTE_READERS = 16
USER_AGENT = f"Athanor/{__version__} (store)"


def run(config: StoreConfig, runtime: Runtime) -> None:
    group, log, registry = runtime.group, runtime.log, runtime.registry
    bucket = open_bucket(config.objstore_config, partial(RegisteredBucketMetrics, registry), user_agent=USER_AGENT)
    metrics = StoreMetrics(registry)
    low, high = partial(_now_ms, config.min_time), partial(_now_ms, config.max_time)
    discovery = Discovery(
        bucket,
        DiscoverOptions(
            low, high, config.consistency_delay_ms, config.ignore_deletion_marks_delay_ms, config.meta_fetch_concurrency
        ),
        registry,
        log,
    )
    cache = IndexCache(config.index_cache_bytes, registry)
    headers = HeaderStore(bucket, config.data_dir, metrics, log)
    blocks = Blocks(bucket, discovery, headers, cache, config.sync_concurrency, metrics, log)
    budget = Budget(config.chunk_pool_bytes)
    registry.gauge_function(
        "athanor_memory_held_bytes", "Bytes that running requests have reserved.", lambda: float(budget.held_bytes)
    )
    registry.gauge_function(
        "athanor_memory_held_peak_bytes",
        "The most bytes that running requests have reserved together.",
        lambda: float(budget.peak_bytes),
    )
    gateway = Gateway(
        blocks,
        GatewayOptions(
            low,
            high,
            max_concurrency=config.series_max_concurrency,
            max_series=config.max_series,
            max_chunks=config.max_chunks,
            max_bytes=config.max_downloaded_bytes,
            n_readers=REMOTE_READERS if bucket.is_remote else 0,
        ),
        budget,
        metrics,
    )
    http = HttpServer(
        runtime,
        address=config.http_address,
        grace_ms=config.http_grace_period_ms,
        n_threads=N_HTTP_THREADS,
        config_file=config.http_config_file,
    )
    grpc = GrpcServer(
        runtime,
        address=config.grpc_address,
        grace_ms=config.grpc_grace_period_ms,
        max_connection_age_ms=config.grpc_max_connection_age_ms,
        services=services(gateway, low, high),
    )
    group.add("http", http.start, http.stop)
    group.add("bucket", lambda: None, lambda reason: bucket.close())
    group.add("initial sync", lambda: _first_sync(config, runtime, blocks), lambda reason: gateway.close())
    group.add("grpc", grpc.start, grpc.stop)
    group.add("ready", runtime.probes.ready, lambda reason: None)
    group.add_loop("idle memory", partial(give_back_when_idle, budget))
    group.add_loop("sync", partial(_sync_loop, config, runtime, blocks))
    log.info("starting store node")


def _now_ms(time_flag: TimeOrDuration) -> int:
    return time_flag.at_ms(time.time_ns() // NS_PER_MS)


def _first_sync(config: StoreConfig, runtime: Runtime, blocks: Blocks) -> None:
    started_s = time.monotonic()
    runtime.log.info("initializing bucket store")
    prepare_directory(config.data_dir)
    while True:
        try:
            blocks.sync()
            break
        except AthanorError as error:
            if time.monotonic() - started_s > INITIAL_SYNC_S:
                raise type(error)(f"bucket store initial sync: {error}") from error
            runtime.log.warn("initial sync failed, trying again", err=error)
            runtime.group.stopping.wait(RETRY_S)
            runtime.group.stopping.check()
    blocks.forget_unknown_directories()
    runtime.log.info("bucket store ready", init_duration=f"{time.monotonic() - started_s:.3f}s")


def _sync_loop(config: StoreConfig, runtime: Runtime, blocks: Blocks, cancel: CancelToken) -> None:
    while not cancel.wait(config.sync_interval_ms / 1000):
        try:
            blocks.sync()
        except AthanorError as error:
            runtime.log.warn("syncing blocks failed", err=error)
