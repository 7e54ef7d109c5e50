"""Pages of index files in memory, bounded in bytes: what postings and series entries are read from.

The originals cache posting lists and series entries one by one; a page serves the same purpose without an object for
each series. No result, frame or sample is kept here: only bytes as they are in the bucket.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from athanor.bucket import Bucket
from athanor.model.arrays import I64, U8, as_bytes
from athanor.model.errors import DataError
from athanor.model.metrics import Registry
from athanor.store.partition import Parts

PAGE_BYTES = 16 * 1024
POSTINGS, SERIES = "Postings", "Series"
ITEM_OVERHEAD_BYTES = 128  # key, links and header of a page in memory


class IndexCache:
    """Least recently used pages of at most ``max_bytes``; thread-safe."""

    def __init__(self, max_bytes: int, registry: Registry) -> None:
        self.max_bytes = max_bytes
        self._pages: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()
        kind = ("item_type",)
        requests = registry.counter_family(
            "thanos_store_index_cache_requests_total", "Total number of items requests to the cache.", kind
        )
        hits = registry.counter_family(
            "thanos_store_index_cache_hits_total", "Total number of items requests to the cache that were a hit.", kind
        )
        self._requests = {k: requests.of(k) for k in (POSTINGS, SERIES)}
        self._hits = {k: hits.of(k) for k in (POSTINGS, SERIES)}
        self._evicted = registry.counter(
            "thanos_store_index_cache_items_evicted_total", "Total number of items that were evicted from the cache."
        )
        registry.gauge_function(
            "thanos_store_index_cache_items", "Current number of items in the cache.", lambda: len(self._pages)
        )
        registry.gauge_function(
            "thanos_store_index_cache_total_size_bytes", "Current byte size of items in the cache.", lambda: self._held
        )
        registry.gauge_function(
            "thanos_store_index_cache_max_size_bytes", "Maximum number of bytes to be held in the cache.",
            lambda: self.max_bytes,
        )  # fmt: skip

    @property
    def held_bytes(self) -> int:
        return self._held

    def get(self, block: str, pages: range, kind: str) -> list[bytes | None]:
        """The pages of one block that are held, None for the others."""
        with self._lock:
            found = [self._pages.get((block, page)) for page in pages]
            for page, content in zip(pages, found, strict=True):
                if content is not None:
                    self._pages.move_to_end((block, page))
        self._requests[kind].inc(len(found))
        self._hits[kind].inc(sum(content is not None for content in found))
        return found

    def put(self, block: str, first_page: int, content: memoryview) -> None:
        """Keep a run of whole pages (the last one of a file may be short)."""
        if len(content) > self.max_bytes // 2:
            return
        runs = [bytes(content[at : at + PAGE_BYTES]) for at in range(0, len(content), PAGE_BYTES)]
        with self._lock:
            for page, data in enumerate(runs, first_page):
                previous = self._pages.pop((block, page), None)
                if previous is not None:
                    self._held -= len(previous) + ITEM_OVERHEAD_BYTES
                self._pages[block, page] = data
                self._held += len(data) + ITEM_OVERHEAD_BYTES
            while self._held > self.max_bytes and self._pages:
                _, dropped = self._pages.popitem(last=False)
                self._held -= len(dropped) + ITEM_OVERHEAD_BYTES
                self._evicted.inc()

    def forget(self, block: str) -> None:
        """Drop all pages of a block that left."""
        with self._lock:
            for key in [key for key in self._pages if key[0] == block]:
                self._held -= len(self._pages.pop(key)) + ITEM_OVERHEAD_BYTES


class IndexFile:
    """The index of one block in the bucket, read in ranges through the cache."""

    def __init__(self, bucket: Bucket, block: str, size_bytes: int, cache: IndexCache) -> None:
        self._bucket = bucket
        self._block = block
        self._name = f"{block}/index"
        self._cache = cache
        self.size_bytes = size_bytes

    def read(self, parts: Parts, kind: str) -> tuple[U8, I64, int]:
        """All parts in one arena: (arena, where each part begins in it, bytes fetched from the bucket).

        Parts are widened to pages and sorted; those that share a page are not read twice.
        """
        first = parts.start // PAGE_BYTES
        last = np.minimum(parts.end - 1, self.size_bytes - 1) // PAGE_BYTES
        runs = _joined_runs(first, last)
        contents: list[bytes | memoryview | None] = []
        owners: list[int] = []
        for begin, end in runs:
            owners.append(len(contents))
            contents += self._cache.get(self._block, range(begin, end + 1), kind)
        page_of = [page for begin, end in runs for page in range(begin, end + 1)]
        fetched = self._fetch(contents, page_of)
        pieces = [content for content in contents if content is not None]
        arena = as_bytes(b"".join(pieces) if len(pieces) != 1 else pieces[0])
        run_pages = np.array([begin for begin, _ in runs], np.int64)
        run_base = np.array([PAGE_BYTES * owner for owner in owners], np.int64)
        run = np.searchsorted(run_pages, first, side="right") - 1
        return arena, run_base[run] + parts.start - PAGE_BYTES * run_pages[run], fetched

    def _fetch(self, contents: list[bytes | memoryview | None], page_of: Sequence[int]) -> int:
        """Fill the gaps in ``contents`` by as few requests as there are runs of missing pages."""
        wanted: list[tuple[int, int]] = []
        for i, content in enumerate(contents):
            if content is not None:
                continue
            if wanted and wanted[-1][1] == i and page_of[i] == page_of[i - 1] + 1:
                wanted[-1] = (wanted[-1][0], i + 1)
            else:
                wanted.append((i, i + 1))
        if not wanted:
            return 0
        ranges = []
        for begin, end in wanted:
            at = page_of[begin] * PAGE_BYTES
            ranges.append((at, min((end - begin) * PAGE_BYTES, self.size_bytes - at)))
        answers = self._bucket.get_ranges(self._name, ranges)
        for (begin, end), (at, length), answer in zip(wanted, ranges, answers, strict=True):
            if len(answer) != length:
                raise DataError(
                    f"block {self._block}: index gave {len(answer)} of {length} bytes at {at}, its size was "
                    f"{self.size_bytes}; the file changed or is cut: restore or delete the block"
                )
            self._cache.put(self._block, page_of[begin], answer)
            for i in range(begin, end):
                contents[i] = answer[(i - begin) * PAGE_BYTES : (i - begin + 1) * PAGE_BYTES]
        return sum(length for _, length in ranges)


def _joined_runs(first: I64, last: I64) -> list[tuple[int, int]]:
    """Runs of pages, both ends included, of parts sorted by start."""
    runs: list[tuple[int, int]] = []
    for begin, end in zip(first.tolist(), last.tolist(), strict=True):
        if runs and begin <= runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], max(end, runs[-1][1]))
        else:
            runs.append((begin, end))
    return runs
