"""Finished local blocks to the bucket, again and again (thanos pkg/shipper/shipper.go).

One sync: read thanos.shipper.json, look at the local blocks in order of time, upload what the bucket lacks, write the
file. A sync that fails writes nothing: the next one asks the bucket.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from athanor.block.meta import META_FILE, BlockMeta, ThanosMeta
from athanor.bucket import Bucket
from athanor.model.errors import AthanorError, DataError
from athanor.model.log import Logger
from athanor.model.metrics import Registry
from athanor.ship.local import (
    LocalBlock,
    block_directories,
    is_block_name,
    missing_parts,
    read_block,
    segment_files,
    stage,
)
from athanor.ship.overlap import find_overlaps
from athanor.ship.shipped import ShippedBlocks, replace_file
from athanor.ship.upload import upload_block

DEFAULT_FILE_NAME = "thanos.shipper.json"


class SyncError(AthanorError):
    """A sync that ended early, or that left blocks behind; the next one starts over."""


@dataclass(frozen=True, slots=True)
class ShipperOptions:
    """What of the TSDB directory is shipped, and how."""

    upload_compacted: bool = False
    """Also blocks that Prometheus has compacted."""
    allow_out_of_order_uploads: bool = False
    """Go on with the next block after a failure, and do not refuse overlapping compacted blocks."""
    skip_corrupted_blocks: bool = False
    with_hashes: bool = False
    file_name: str = DEFAULT_FILE_NAME
    upload_concurrency: int = 0


class ShipperMetrics:
    """thanos_shipper_*."""

    def __init__(self, registry: Registry) -> None:
        counter = registry.counter
        self.syncs = counter("thanos_shipper_dir_syncs_total", "Total number of dir syncs")
        self.sync_failures = counter("thanos_shipper_dir_sync_failures_total", "Total number of failed dir syncs")
        self.uploads = counter("thanos_shipper_uploads_total", "Total number of uploaded blocks")
        self.upload_failures = counter("thanos_shipper_upload_failures_total", "Total number of block upload failures")
        self.corrupted = counter("thanos_shipper_corrupted_blocks_total", "Total number of corrupted blocks")
        self.compacted_done = registry.gauge(
            "thanos_shipper_upload_compacted_done",
            "If 1 it means shipper uploaded all compacted blocks from the filesystem.",
        )


class Shipper:
    """Ships the blocks of one TSDB directory.

    labels: gives the current external labels; source: who ships, as ``thanos.source`` says it.
    """

    def __init__(
        self,
        bucket: Bucket,
        data_dir: Path,
        labels: Callable[[], Mapping[str, str]],
        source: str,
        options: ShipperOptions,
        metrics: ShipperMetrics,
        log: Logger,
    ) -> None:
        self._bucket = bucket
        self._data_dir = data_dir
        self._labels = labels
        self._source = source
        self._options = options
        self._metrics = metrics
        self._log = log
        self._file = data_dir / options.file_name

    def sync(self) -> int:
        """The number of blocks uploaded. Raises SyncError, or the error of the bucket or disk that ended the sync."""
        try:
            return self._sync()
        except OSError as error:
            self._metrics.sync_failures.inc()
            raise SyncError(f"sync of {self._data_dir}: {error}") from error

    def _sync(self) -> int:
        known = self._known()
        blocks, n_corrupted = self._local_blocks()
        kept: list[str] = []
        remote: list[BlockMeta] | None = None
        n_uploaded = n_failed = 0
        for block in blocks:
            meta, compacted = block.meta, block.meta.compaction.level > 1
            if meta.ulid in known:
                kept.append(meta.ulid)
                continue
            if not meta.stats.n_samples or (compacted and not self._options.upload_compacted):
                continue
            try:
                if self._bucket.exists(f"{meta.ulid}/{META_FILE}"):
                    kept.append(meta.ulid)
                    continue
                if compacted and not self._options.allow_out_of_order_uploads:
                    remote = self._remote_metas() if remote is None else remote
                    _refuse_overlap(meta, remote)
            except AthanorError:
                self._metrics.sync_failures.inc()
                raise
            try:
                self._upload(block)
            except (AthanorError, OSError) as error:
                if not self._options.allow_out_of_order_uploads:
                    self._metrics.sync_failures.inc()
                    raise SyncError(f"upload {meta.ulid}: {error}") from error
                self._log.error("shipping failed", block=meta.ulid, err=error)
                n_failed += 1
                continue
            kept.append(meta.ulid)
            n_uploaded += 1
            self._metrics.uploads.inc()
        self._write(ShippedBlocks(tuple(kept)))
        self._metrics.syncs.inc()
        if n_failed or n_corrupted:
            self._metrics.upload_failures.inc(n_failed)
            self._metrics.corrupted.inc(n_corrupted)
            raise SyncError(f"failed to sync {n_failed}/{n_corrupted} blocks")
        self._metrics.compacted_done.set(1 if self._options.upload_compacted else 0)
        return n_uploaded

    def _known(self) -> frozenset[str]:
        try:
            return frozenset(ShippedBlocks.read(self._file).uploaded)
        except FileNotFoundError:
            self._log.info("no meta file found, creating empty meta data to write later", path=self._file)
        except DataError as error:
            self._log.error("reading meta file failed, will override it", path=self._file, err=error)
        return frozenset()

    def _local_blocks(self) -> tuple[list[LocalBlock], int]:
        """Complete blocks in order of time, and how many were left out as corrupted."""
        blocks: list[LocalBlock] = []
        n_corrupted = 0
        for directory in block_directories(self._data_dir):
            try:
                block = read_block(directory)
                if problems := missing_parts(block):
                    raise DataError(f"block {directory.name}: incomplete: {'; '.join(problems)}")
                blocks.append(block)
            except DataError as error:
                if not self._options.skip_corrupted_blocks:
                    self._metrics.sync_failures.inc()
                    raise
                self._log.error("block is corrupted, skipping it", block=directory.name, err=error)
                n_corrupted += 1
        return sorted(blocks, key=lambda block: block.meta.first_ms), n_corrupted

    def _remote_metas(self) -> list[BlockMeta]:
        """The metas of all blocks in the bucket that carry our labels. compat: whatever their resolution."""
        found = []
        labels = dict(self._labels())
        for entry in self._bucket.iter():
            ulid = entry.name.rstrip("/")
            if entry.is_directory and is_block_name(ulid):
                name = f"{ulid}/{META_FILE}"
                try:
                    meta = BlockMeta.from_json(self._bucket.get(name), f"bucket {self._bucket.name}: {name}")
                except AthanorError as error:
                    raise SyncError(f"get all block meta.: {error}") from error
                if dict(meta.external_labels) == labels:
                    found.append(meta)
        return found

    def _upload(self, block: LocalBlock) -> None:
        self._log.info("upload new block", id=block.meta.ulid)
        staging = self._data_dir / "thanos" / "upload" / block.meta.ulid
        try:
            stage(block, staging)
            meta = self._shipped_meta(block)
            replace_file(staging / META_FILE, meta.to_json())  # a rename: the link's original stays as it is
            upload_block(
                self._bucket,
                staging,
                meta,
                with_hashes=self._options.with_hashes,
                concurrency=self._options.upload_concurrency,
            )
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _shipped_meta(self, block: LocalBlock) -> BlockMeta:
        thanos = block.meta.thanos or ThanosMeta()
        labels = {**(thanos.labels or {}), **self._labels()}
        names = tuple(path.name for path in segment_files(block.directory))
        return replace(block.meta, thanos=replace(thanos, labels=labels, source=self._source, segment_files=names))

    def _write(self, shipped: ShippedBlocks) -> None:
        try:
            shipped.write(self._file)
        except OSError as error:
            self._log.warn("updating meta file failed", path=self._file, err=error)


def _refuse_overlap(meta: BlockMeta, remote: list[BlockMeta]) -> None:
    if overlaps := find_overlaps([meta, *remote]):
        spotted = "\n".join(str(overlap) for overlap in overlaps)
        raise SyncError(
            "Found overlap or error during sync, cannot upload compacted block, details: "
            f"shipping compacted block {meta.ulid} is blocked; overlap spotted: {spotted}"
        )
