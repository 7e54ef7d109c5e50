"""Index headers on local disk: ``<data-dir>/<ULID>/index-header``, built from the bucket when absent or broken.

Files are mapped, not read; the arrays of a parsed header stay in memory up to a bound and are made again when needed.
"""

from __future__ import annotations

import mmap
import os
import shutil
import threading
import time
from collections import OrderedDict
from pathlib import Path

from athanor.block.header import IndexHeader, build_header, parse_header
from athanor.bucket import Bucket
from athanor.model.errors import DataError
from athanor.model.log import Logger
from athanor.store.metrics import StoreMetrics

HEADER_FILE = "index-header"
PARSED_BYTES = 64 * 1024 * 1024
RANGE_BYTES = 16 * 1024 * 1024  # longer reads are made of parts of this size, in parallel (as the original)


class HeaderStore:
    """Headers of all blocks; thread-safe."""

    def __init__(
        self, bucket: Bucket, directory: Path, metrics: StoreMetrics, log: Logger, max_parsed_bytes: int = PARSED_BYTES
    ) -> None:
        self._bucket = bucket
        self._directory = directory
        self._metrics = metrics
        self._log = log
        self._max_bytes = max_parsed_bytes
        self._parsed: OrderedDict[str, IndexHeader] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()

    def get(self, ulid: str, index_bytes: int) -> IndexHeader:
        """The header of a block whose index has this size; from memory, disk or the bucket, in this order.

        Raises DataError where the index itself is broken.
        """
        with self._lock:
            header = self._parsed.get(ulid)
            if header is not None:
                self._parsed.move_to_end(ulid)
                return header
        header = self._load(ulid, index_bytes)
        with self._lock:
            previous = self._parsed.pop(ulid, None)
            self._held += header.n_bytes - (previous.n_bytes if previous is not None else 0)
            self._parsed[ulid] = header
            while self._held > self._max_bytes and len(self._parsed) > 1:
                _, dropped = self._parsed.popitem(last=False)
                self._held -= dropped.n_bytes
        return header

    def forget(self, ulid: str) -> None:
        """The block left: drop its header and its directory."""
        with self._lock:
            dropped = self._parsed.pop(ulid, None)
            self._held -= dropped.n_bytes if dropped is not None else 0
        shutil.rmtree(self._directory / ulid, ignore_errors=True)

    def forget_others(self, known: set[str]) -> None:
        """Remove the directories of blocks that are not served."""
        if not self._directory.is_dir():
            return
        for entry in self._directory.iterdir():
            if len(entry.name) == 26 and "0" <= entry.name[0] <= "7" and entry.name not in known and entry.is_dir():
                self.forget(entry.name)

    def _load(self, ulid: str, index_bytes: int) -> IndexHeader:
        started_s = time.monotonic()
        path = self._directory / ulid / HEADER_FILE
        try:
            header = parse_header(_mapped(path), f"block {ulid}: {HEADER_FILE}")
            if header.toc.postings_table < index_bytes:
                self._metrics.header_load_seconds.observe(time.monotonic() - started_s)
                return header
            reason: object = f"postings table at {header.toc.postings_table} of an index of {index_bytes} bytes"
        except FileNotFoundError:
            reason = None
        except (DataError, OSError, ValueError) as error:
            reason = error
        if reason is not None:
            self._log.warn("index-header is built again", block=ulid, err=reason)
        return self._build(ulid, index_bytes, path)

    def _build(self, ulid: str, index_bytes: int, path: Path) -> IndexHeader:
        started_s = time.monotonic()
        where = f"block {ulid}: index"
        content = build_header(lambda at, n: self._read(f"{ulid}/index", at, n), index_bytes, where)
        header = parse_header(content, where)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{HEADER_FILE}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        self._metrics.header_download_seconds.observe(time.monotonic() - started_s)
        return header

    def _read(self, name: str, at: int, length: int) -> memoryview:
        if length <= RANGE_BYTES:
            return self._bucket.get_range(name, at, length) if length > 0 else memoryview(b"")
        ranges = [(a, min(RANGE_BYTES, at + length - a)) for a in range(at, at + length, RANGE_BYTES)]
        return memoryview(b"".join(self._bucket.get_ranges(name, ranges)))


def _mapped(path: Path) -> memoryview:
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
