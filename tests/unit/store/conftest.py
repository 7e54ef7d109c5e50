"""A store gateway over a bucket, as ``run_store`` wires it, without servers."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from athanor.bucket import BucketCounters, FilesystemBucket, MeteredBucket
from athanor.model.budget import Budget
from athanor.model.cancel import CancelToken
from athanor.model.log import Logger
from athanor.model.metrics import Registry
from athanor.model.rpc import Call, StatusError
from athanor.store.blocks import Blocks, prepare_directory
from athanor.store.discover import DiscoverOptions, Discovery
from athanor.store.gateway import Gateway, GatewayOptions
from athanor.store.headers import HeaderStore
from athanor.store.index_cache import IndexCache
from athanor.store.metrics import StoreMetrics
from athanor.store.service import services

GOLDEN = Path(__file__).parents[2] / "golden/store"
FIRST_MS, LAST_MS = -(2**62), 2**62


@dataclass
class Store:
    """Everything that a test looks at."""

    gateway: Gateway
    blocks: Blocks
    counters: BucketCounters
    registry: Registry
    budget: Budget
    log: list[str]
    methods: dict[str, Any]

    def call(self, path: str, request: bytes, cancel: CancelToken | None = None, **metadata: str):
        """(code, message, frames) of one call."""
        call = Call(cancel or CancelToken(), metadata)
        handler = self.methods[path]
        try:
            answer = handler(request, call)
            return "OK", "", [answer] if isinstance(answer, bytes) else list(answer)
        except StatusError as error:
            return error.code, error.message, []


def open_store(bucket, data_dir: Path, *, cache_bytes: int = 64 << 20, deletion_delay_ms: int = 0, **limits) -> Store:
    registry, lines = Registry(), []
    log = Logger(level="debug", emit=lines.append)
    metrics, counters = StoreMetrics(registry), BucketCounters()
    metered = MeteredBucket(bucket, counters)
    options = DiscoverOptions(lambda: FIRST_MS, lambda: LAST_MS, 0, deletion_delay_ms, 4)
    prepare_directory(data_dir)
    headers = HeaderStore(metered, data_dir, metrics, log)
    cache = IndexCache(cache_bytes, registry)
    blocks = Blocks(metered, Discovery(metered, options, registry, log), headers, cache, 4, metrics, log)
    blocks.sync()
    budget = Budget(1 << 30)
    gateway = Gateway(blocks, GatewayOptions(lambda: FIRST_MS, lambda: LAST_MS, **limits), budget, metrics)
    methods = {
        f"/{service.name}/{method.name}": method.handler
        for service in services(gateway, lambda: FIRST_MS, lambda: LAST_MS)
        for method in service.methods
    }
    return Store(gateway, blocks, counters, registry, budget, lines, methods)


@dataclass(frozen=True)
class GoldenStore:
    """Opens stores over a copy, or the original, of the recorded bucket."""

    tmp_path: Path
    n_readers: int

    def open(self, bucket=None, **options) -> Store:
        found = bucket if bucket is not None else FilesystemBucket(GOLDEN / "bucket")
        return open_store(found, self.tmp_path / "data", n_readers=self.n_readers, **options)

    def copy(self) -> Path:
        """A bucket that the test may break."""
        target = self.tmp_path / "bucket"
        shutil.copytree(GOLDEN / "bucket", target)
        return target


@pytest.fixture(params=[0, 2], ids=["read in the call's thread", "read ahead by two threads"])
def golden_store(request, tmp_path):
    return GoldenStore(tmp_path, request.param)


@pytest.fixture(scope="module")
def recorded_store(tmp_path_factory):
    return open_store(FilesystemBucket(GOLDEN / "bucket"), tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def golden():
    return GOLDEN
