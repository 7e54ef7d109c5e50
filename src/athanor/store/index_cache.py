"""Pages of index files in memory, bounded in bytes: what postings and series entries are read from. And which series of
a block matchers chose, and a few series of it with the places of their chunks.

The originals cache posting lists and series entries one by one; a page serves the same purpose without an object for
each series. No result, frame or sample is kept here, nor any chunk: only what the index says.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from athanor.bucket import Bucket
from athanor.model.arrays import I64, U8, U32, as_bytes
from athanor.model.errors import DataError
from athanor.model.matchers import Matcher
from athanor.model.metrics import Registry
from athanor.store.labelled import KeptSeries
from athanor.store.partition import Parts

PAGE_BYTES = 16 * 1024
POSTINGS, SERIES, EXPANDED = "Postings", "Series", "ExpandedPostings"
ITEM_OVERHEAD_BYTES = 128  # key, links and header of a page in memory
MATCHER_OVERHEAD_BYTES = 256  # objects of one matcher in a key
LABEL_OVERHEAD_BYTES = 64  # of a label in a key
KEPT_OVERHEAD_BYTES = 1536  # arrays of kept series

KEPT_SERIES_MAX_BYTES = 64 * 1024  # larger items are not kept

MatchersKey = tuple[tuple[str, str, str], ...]
"""Name, operator and value of each matcher: a matcher itself would keep a compiled expression alive."""

SeriesKey = tuple[tuple[str, ...], bytes]
"""Labels that are left out, and references."""
Key = tuple[str, int | MatchersKey | SeriesKey]
"""A block, and what is kept of it: a page, expanded postings, or series."""
Item = bytes | U32 | KeptSeries


def key_of(matchers: Sequence[Matcher]) -> MatchersKey:
    return tuple((m.name, m.type.value, m.value) for m in matchers)


class IndexCache:
    """Least recently used pages and expanded postings of at most ``max_bytes``; thread-safe."""

    def __init__(self, max_bytes: int, registry: Registry) -> None:
        self.max_bytes = max_bytes
        self._items: OrderedDict[Key, Item] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()
        kind = ("item_type",)
        requests = registry.counter_family(
            "thanos_store_index_cache_requests_total", "Total number of items requests to the cache.", kind
        )
        hits = registry.counter_family(
            "thanos_store_index_cache_hits_total", "Total number of items requests to the cache that were a hit.", kind
        )
        self._requests = {k: requests.of(k) for k in (POSTINGS, SERIES, EXPANDED)}
        self._hits = {k: hits.of(k) for k in (POSTINGS, SERIES, EXPANDED)}
        self._evicted = registry.counter(
            "thanos_store_index_cache_items_evicted_total", "Total number of items that were evicted from the cache."
        )
        registry.gauge_function(
            "thanos_store_index_cache_items", "Current number of items in the cache.", lambda: len(self._items)
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
        found: list[bytes | None] = self._get([(block, page) for page in pages], kind)
        return found

    def get_expanded(self, block: str, matchers: MatchersKey) -> U32 | None:
        """References that the matchers chose before; not to be written to."""
        found: U32 | None = self._get([(block, matchers)], EXPANDED)[0]
        return found

    def get_series(self, block: str, key: SeriesKey) -> KeptSeries | None:
        """A few series that were read before."""
        found: KeptSeries | None = self._get([(block, key)], SERIES)[0]
        return found

    def _get(self, keys: Sequence[Key], kind: str) -> list[Any]:
        with self._lock:
            found = [self._items.get(key) for key in keys]
            for key, content in zip(keys, found, strict=True):
                if content is not None:
                    self._items.move_to_end(key)
        self._requests[kind].inc(len(found))
        self._hits[kind].inc(sum(content is not None for content in found))
        return found

    def put(self, block: str, first_page: int, content: memoryview) -> None:
        """Keep a run of whole pages (the last one of a file may be short)."""
        if len(content) > self.max_bytes // 2:
            return
        runs = [bytes(content[at : at + PAGE_BYTES]) for at in range(0, len(content), PAGE_BYTES)]
        self._put({(block, page): data for page, data in enumerate(runs, first_page)})

    def put_expanded(self, block: str, matchers: MatchersKey, refs: U32) -> None:
        """Keep which series matchers chose."""
        if refs.nbytes + _key_bytes(matchers) <= self.max_bytes // 2:
            self._put({(block, matchers): refs})

    def put_series(self, block: str, key: SeriesKey, series: KeptSeries) -> None:
        """Keep them, unless they take much room."""
        if series.nbytes + _series_key_bytes(key) <= min(KEPT_SERIES_MAX_BYTES, self.max_bytes // 2):
            self._put({(block, key): series})

    def _put(self, items: Mapping[Key, Item]) -> None:
        with self._lock:
            for key, data in items.items():
                self._drop(key)
                self._items[key] = data
                self._held += _item_bytes(key, data)
            while self._held > self.max_bytes and self._items:
                self._drop(next(iter(self._items)))
                self._evicted.inc()

    def _drop(self, key: Key) -> None:
        data = self._items.pop(key, None)
        if data is not None:
            self._held -= _item_bytes(key, data)

    def forget(self, block: str) -> None:
        """Drop everything of a block that left."""
        with self._lock:
            for key in [key for key in self._items if key[0] == block]:
                self._drop(key)


def _item_bytes(key: Key, data: Item) -> int:
    if isinstance(data, bytes):
        return ITEM_OVERHEAD_BYTES + len(data)
    if isinstance(data, KeptSeries):
        return KEPT_OVERHEAD_BYTES + data.nbytes + _series_key_bytes(cast(SeriesKey, key[1]))
    return ITEM_OVERHEAD_BYTES + data.nbytes + _key_bytes(cast(MatchersKey, key[1]))


def _key_bytes(matchers: MatchersKey) -> int:
    return sum(MATCHER_OVERHEAD_BYTES + 4 * (len(name) + len(value)) for name, _, value in matchers)


def _series_key_bytes(key: SeriesKey) -> int:
    without, refs = key
    return len(refs) + sum(LABEL_OVERHEAD_BYTES + 4 * len(name) for name in without)


class IndexFile:
    """The index of one block in the bucket, read in ranges through the cache."""

    def __init__(self, bucket: Bucket, block: str, size_bytes: int, cache: IndexCache) -> None:
        self._bucket = bucket
        self._block = block
        self._name = f"{block}/index"
        self._cache = cache
        self.size_bytes = size_bytes

    def expanded(self, matchers: MatchersKey) -> U32 | None:
        """See ``IndexCache.get_expanded``."""
        return self._cache.get_expanded(self._block, matchers)

    def keep_expanded(self, matchers: MatchersKey, refs: U32) -> None:
        """See ``IndexCache.put_expanded``."""
        self._cache.put_expanded(self._block, matchers, refs)

    def series(self, key: SeriesKey) -> KeptSeries | None:
        """See ``IndexCache.get_series``."""
        return self._cache.get_series(self._block, key)

    def keep_series(self, key: SeriesKey, series: KeptSeries) -> None:
        """See ``IndexCache.put_series``."""
        self._cache.put_series(self._block, key, series)

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
