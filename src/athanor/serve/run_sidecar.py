"""Wires ``athanor sidecar``: HTTP first, then the wait for Prometheus, the heartbeat, the uploads, gRPC last."""

from __future__ import annotations

import os
from functools import partial

from athanor import __version__
from athanor.bucket import Bucket, RegisteredBucketMetrics, open_bucket
from athanor.model.cancel import CancelToken
from athanor.model.errors import AthanorError, OperatorError
from athanor.serve.config_sidecar import SidecarConfig
from athanor.serve.grpc_server import GrpcServer
from athanor.serve.http_server import HttpServer
from athanor.serve.process import Runtime
from athanor.ship import Shipper, ShipperMetrics, ShipperOptions
from athanor.sidecar.info import info_response
from athanor.sidecar.limits import SeriesLimits
from athanor.sidecar.prometheus import Prometheus
from athanor.sidecar.state import SidecarState
from athanor.sidecar.store import PrometheusStore
from athanor.sidecar.validate import check_flags
from athanor.sidecar.watch import PrometheusWatcher
from athanor.storeapi.server import info_service, store_service

N_HTTP_THREADS = 4
SYNC_INTERVAL_S = 30.0
SOURCE = "sidecar"
RECEIVED_FRAMES_BUCKETS = (10.0, 100.0, 1_000.0, 10_000.0, 100_000.0)
USER_AGENT = f"Athanor/{__version__}"


def run(config: SidecarConfig, runtime: Runtime) -> None:
    group, log, registry = runtime.group, runtime.log, runtime.registry
    state = SidecarState(config.min_time.at_ms)
    prometheus = Prometheus(config.prometheus_url, USER_AGENT)
    watcher = PrometheusWatcher(
        prometheus,
        state,
        runtime.probes,
        registry.gauge(
            "thanos_sidecar_prometheus_up", "Boolean indicator whether the sidecar can reach its Prometheus."
        ),
        interval_ms=config.get_config_interval_ms,
        timeout_ms=config.get_config_timeout_ms,
        log=log,
    )
    bucket = _open_bucket(config, runtime)
    http = HttpServer(
        runtime,
        address=config.http_address,
        grace_ms=config.http_grace_period_ms,
        n_threads=N_HTTP_THREADS,
        instrumented=False,
        config_file=config.http_config_file,
    )
    group.add("http", http.start, http.stop)
    group.add(
        "prometheus",
        lambda: _wait_for_prometheus(config, runtime, watcher, prometheus, ships=bucket is not None),
        lambda reason: prometheus.close(),
    )
    group.add_loop("heartbeat", watcher.run)
    if bucket is not None:
        _add_shipper(config, runtime, state, bucket)
    grpc = GrpcServer(
        runtime,
        address=config.grpc_address,
        grace_ms=config.grpc_grace_period_ms,
        max_connection_age_ms=config.grpc_max_connection_age_ms,
        services=(
            store_service(_store(config, runtime, prometheus, state)),
            info_service(partial(info_response, state)),
        ),
    )
    group.add("grpc", grpc.start, grpc.stop)
    log.info("starting sidecar")


def _open_bucket(config: SidecarConfig, runtime: Runtime) -> Bucket | None:
    if not config.objstore_config.strip():
        runtime.log.info("no supported bucket was configured, uploads will be disabled")
        return None
    runtime.log.info("loading bucket configuration")
    metrics = partial(RegisteredBucketMetrics, runtime.registry)
    return open_bucket(config.objstore_config, metrics, user_agent=f"{USER_AGENT} (sidecar)")


def _wait_for_prometheus(
    config: SidecarConfig, runtime: Runtime, watcher: PrometheusWatcher, prometheus: Prometheus, *, ships: bool
) -> None:
    def validate() -> None:
        flags = prometheus.flags(config.get_config_timeout_ms / 1000)
        if flags is None:
            runtime.log.warn("Prometheus does not tell its flags, they are not checked")
            return
        check_flags(
            flags,
            config.tsdb_path,
            config.shipper_meta_file_name,
            ignore_unequal_block_size=config.ignore_unequal_block_size,
            log=runtime.log,
        )

    watcher.wait_until_known(
        runtime.group.stopping,
        validate if ships else None,
        config.prometheus_ready_timeout_ms if ships else None,
    )
    if ships:
        _check_data_directory(config, runtime)


def _check_data_directory(config: SidecarConfig, runtime: Runtime) -> None:
    wal = config.tsdb_path / "wal"
    if not wal.is_dir():
        runtime.log.error(
            "WAL dir is not accessible. Is this dir a TSDB directory? If yes it is shared with TSDB?", dir=wal
        )
    try:
        os.scandir(config.tsdb_path).close()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OperatorError(f"opening tsdb directory: open {config.tsdb_path}: {reason}") from error


def _add_shipper(config: SidecarConfig, runtime: Runtime, state: SidecarState, bucket: Bucket) -> None:
    options = ShipperOptions(
        upload_compacted=config.upload_compacted,
        allow_out_of_order_uploads=config.allow_out_of_order_uploads,
        skip_corrupted_blocks=config.skip_corrupted_blocks,
        with_hashes=config.hash_func == "SHA256",
        file_name=config.shipper_meta_file_name,
        upload_concurrency=config.upload_concurrency,
    )
    shipper = Shipper(
        bucket,
        config.tsdb_path,
        lambda: dict(state.external_labels),
        SOURCE,
        options,
        ShipperMetrics(runtime.registry),
        runtime.log,
    )

    def ship(cancel: CancelToken) -> None:
        while True:
            try:
                shipper.sync()
            except AthanorError as error:
                runtime.log.warn("syncing blocks failed", err=error)
            if cancel.wait(SYNC_INTERVAL_S):
                return

    runtime.group.add("bucket", lambda: None, lambda reason: bucket.close())
    runtime.group.add_loop("uploads", ship)


def _store(config: SidecarConfig, runtime: Runtime, prometheus: Prometheus, state: SidecarState) -> PrometheusStore:
    received = runtime.registry.histogram(
        "prometheus_store_received_frames",
        "Number of frames received per streamed response.",
        RECEIVED_FRAMES_BUCKETS,
    )
    limits = SeriesLimits(config.max_series, config.max_samples, runtime.registry)
    return PrometheusStore(prometheus, state, limits, received)
