"""The blocks that are served: loaded, grouped by external labels, refreshed from the bucket."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from athanor.bucket import Bucket
from athanor.model.errors import AthanorError, DataError, TransientError
from athanor.model.log import Logger
from athanor.store.blockset import RESOLUTIONS_MS, BlockSet, LabelPairs, group_blocks
from athanor.store.chunk_reader import ChunkReader
from athanor.store.discover import Discovery, FoundBlock
from athanor.store.headers import HeaderStore
from athanor.store.index_cache import IndexCache, IndexFile
from athanor.store.index_reader import IndexReader, entry_estimate
from athanor.store.metrics import StoreMetrics


@dataclass(frozen=True, slots=True)
class ServedBlock:
    """One loaded block; ``end_ms`` is excluded."""

    ulid: str
    labels: LabelPairs
    min_ms: int
    end_ms: int
    resolution_ms: int
    n_series: int
    measured_entry_bytes: int
    file: IndexFile
    chunks: ChunkReader

    @property
    def where(self) -> str:
        return f"block {self.ulid}"


@dataclass(frozen=True, slots=True)
class Served:
    """Everything that is served at one moment; queries keep the one that they began with."""

    sets: tuple[BlockSet[ServedBlock], ...] = ()

    @property
    def blocks(self) -> list[ServedBlock]:
        return [block for block_set in self.sets for block in block_set.blocks]


class Blocks:
    """Keeps what is served in step with the bucket; one thread syncs, any thread reads."""

    def __init__(
        self,
        bucket: Bucket,
        discovery: Discovery,
        headers: HeaderStore,
        cache: IndexCache,
        concurrency: int,
        metrics: StoreMetrics,
        log: Logger,
    ) -> None:
        self._bucket = bucket
        self._discovery = discovery
        self._headers = headers
        self._cache = cache
        self._concurrency = concurrency
        self._metrics = metrics
        self._log = log
        self._loaded: dict[str, ServedBlock] = {}
        self._quarantined: dict[str, str] = {}
        self._lock = threading.Lock()
        self.served = Served()

    def sync(self) -> None:
        """Load what is new, drop what is gone. Raises TransientError where the view of the bucket was incomplete: then
        nothing is dropped."""
        view = self._discovery.look()
        fresh = [block for ulid, block in view.blocks.items() if ulid not in self._loaded]
        with ThreadPoolExecutor(max(1, self._concurrency), thread_name_prefix="load") as pool:
            for found, served in zip(fresh, pool.map(self._load, fresh), strict=True):
                if served is not None:
                    self._loaded[found.ulid] = served
        if view.failures:
            self._publish()
            raise TransientError("incomplete view: " + "; ".join(f"{ulid}: {why}" for ulid, why in view.failures))
        for ulid in [ulid for ulid in self._loaded if ulid not in view.blocks]:
            del self._loaded[ulid]
            with self._lock:
                self._quarantined.pop(ulid, None)
            self._cache.forget(ulid)
            self._headers.forget(ulid)
            self._metrics.block_drops.inc()
        self._publish()

    def reader(self, block: ServedBlock) -> IndexReader:
        """The index of a block; its header is read again where it has left the memory."""
        header = self._headers.get(block.ulid, block.file.size_bytes)
        section = header.toc.series_end - header.toc.series
        estimate = entry_estimate(block.measured_entry_bytes, section, block.n_series)
        return IndexReader(block.ulid, header, block.file, estimate)

    def quarantine(self, ulid: str, reason: str) -> None:
        """Leave a block out whose index is broken; until it is gone from the bucket or the process starts again."""
        with self._lock:
            if ulid in self._quarantined:
                return
            self._quarantined[ulid] = reason
            self._metrics.quarantined.set(len(self._quarantined))
        self._log.error("block is quarantined", block=ulid, err=reason)

    def quarantined(self, ulid: str) -> str | None:
        """Why a block is left out."""
        return self._quarantined.get(ulid)

    def forget_unknown_directories(self) -> None:
        """Remove local headers of blocks that are not served; after the first sync."""
        self._headers.forget_others(set(self._loaded))

    def _publish(self) -> None:
        blocks = [(block.labels, block) for block in self._loaded.values()]
        self.served = Served(tuple(group_blocks(blocks)))
        self._metrics.blocks_loaded.set(len(blocks))
        self._metrics.quarantined.set(len(self._quarantined))

    def _load(self, found: FoundBlock) -> ServedBlock | None:
        """A block with its header on disk; None, and a log line, where that cannot be."""
        started_s = time.monotonic()
        self._metrics.block_loads.inc()
        try:
            block = self._served(found)
            self._headers.get(block.ulid, block.file.size_bytes)
        except (AthanorError, OSError) as error:
            self._metrics.block_load_failures.inc()
            self._headers.forget(found.ulid)
            self._log.warn("loading block failed", block=found.ulid, err=error)
            return None
        elapsed_s = time.monotonic() - started_s
        self._metrics.block_load_seconds.observe(elapsed_s)
        self._metrics.last_loaded.set(time.time())
        self._log.info("loaded new block", elapsed=f"{elapsed_s:.3f}s", block=found.ulid)
        return block

    def _served(self, found: FoundBlock) -> ServedBlock:
        meta, thanos = found.meta, found.meta.thanos
        if meta.resolution_ms not in RESOLUTIONS_MS:
            raise DataError(f"block {found.ulid}: unsupported downsampling resolution {meta.resolution_ms}")
        names: Sequence[str] = [f"chunks/{name}" for name in thanos.segment_files] if thanos else []
        if not names:
            names = sorted(name for name in found.sizes if name.startswith("chunks/") and name != "chunks/")
        segments = [(f"{found.ulid}/{name}", found.sizes[name]) for name in names]
        return ServedBlock(
            found.ulid,
            tuple(sorted(meta.external_labels.items())),
            meta.first_ms,
            meta.end_ms,
            meta.resolution_ms,
            meta.stats.n_series,
            thanos.series_max_bytes if thanos else 0,
            IndexFile(self._bucket, found.ulid, found.sizes["index"], self._cache),
            ChunkReader(self._bucket, found.ulid, segments, thanos.chunk_max_bytes if thanos else 0),
        )


def prepare_directory(directory: Path) -> None:
    """The data directory exists and holds no half-written headers."""
    directory.mkdir(parents=True, exist_ok=True)
    for entry in directory.glob("*/*.tmp"):
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
