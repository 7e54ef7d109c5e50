"""Which blocks the bucket offers: listing, meta.json, filters (thanos pkg/block/fetcher.go).

A meta is read once and kept while its block stays. Differs from the original, compatibly: a block counts only when
every file that its meta.json names is there with its size; one that is not is left out and reported, the others are
served.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from athanor.block.meta import META_FILE, UNSET_TIME, BlockMeta
from athanor.bucket import Bucket, ObjectNotFound
from athanor.model.errors import AthanorError, DataError
from athanor.model.log import Logger
from athanor.model.metrics import Registry

DELETION_MARK_FILE = "deletion-mark.json"
ULID_SIZE = 26
CROCKFORD = {char: i for i, char in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}
EXEMPT_SOURCES = frozenset({"bucket.repair", "compactor", "compactor.repair"})
STATES = (
    "corrupted-meta-json", "no-meta-json", "loaded", "too-fresh", "failed", "label-excluded", "time-excluded",
    "duplicate", "marked-for-deletion", "marked-for-no-compact", "parquet-migrated", "incomplete",
)  # fmt: skip
SYNC_SECONDS_BUCKETS = (0.01, 1.0, 10.0, 100.0, 300.0, 600.0, 1000.0)


@dataclass(frozen=True, slots=True)
class FoundBlock:
    """A complete block: its meta and the sizes of its files below ``<ULID>/``."""

    ulid: str
    meta: BlockMeta
    sizes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class View:
    """What the bucket offers now.

    failures: (block, reason) of blocks that could not be judged: with any of them the view is incomplete, and nothing
    that is served is given up for it.
    """

    blocks: dict[str, FoundBlock]
    failures: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class DiscoverOptions:
    """min_time_ms, max_time_ms: read at every sync, because they may be relative to now."""

    min_time_ms: Callable[[], int]
    max_time_ms: Callable[[], int]
    consistency_delay_ms: int
    deletion_delay_ms: int
    concurrency: int


class IncompleteBlock(DataError):
    """Files of a block are missing or have other sizes than its meta.json says."""


class Discovery:
    """Looks through the bucket; one caller at a time."""

    def __init__(self, bucket: Bucket, options: DiscoverOptions, registry: Registry, log: Logger) -> None:
        self._bucket = bucket
        self._options = options
        self._log = log
        self._known: dict[str, FoundBlock] = {}
        self._reported: set[tuple[str, str]] = set()
        self._syncs = registry.counter(
            "thanos_blocks_meta_syncs_total", "Total blocks metadata synchronization attempts"
        )
        self._failed_syncs = registry.counter(
            "thanos_blocks_meta_sync_failures_total", "Total blocks metadata synchronization failures"
        )
        self._seconds = registry.histogram(
            "thanos_blocks_meta_sync_duration_seconds", "Duration of the blocks metadata synchronization in seconds",
            SYNC_SECONDS_BUCKETS,
        )  # fmt: skip
        self._synced = registry.gauge_family("thanos_blocks_meta_synced", "Number of block metadata synced", ("state",))

    def look(self) -> View:
        """The blocks to serve. Raises where the bucket cannot be listed or a mark cannot be read."""
        started_s = time.monotonic()
        self._syncs.inc()
        states: Counter[str] = Counter()
        try:
            view = self._look(states)
        except AthanorError:
            self._failed_syncs.inc()
            raise
        finally:
            self._seconds.observe(time.monotonic() - started_s)
        for state in STATES:
            self._synced.of(state).set(states[state])
        if view.failures:
            self._failed_syncs.inc()
        return view

    def _look(self, states: Counter[str]) -> View:
        ulids = sorted(filter(None, (_block_of(entry.name) for entry in self._bucket.iter() if entry.is_directory)))
        known = {ulid: self._known[ulid] for ulid in ulids if ulid in self._known}
        failures: list[tuple[str, str]] = []
        with ThreadPoolExecutor(self._options.concurrency, thread_name_prefix="meta") as pool:
            fresh = [ulid for ulid in ulids if ulid not in known]
            for ulid, (state, reason, block) in zip(fresh, pool.map(self._load, fresh), strict=True):
                if block is not None:
                    known[ulid] = block
                    continue
                states[state] += 1
                if state == "failed":
                    failures.append((ulid, reason))
                elif state != "no-meta-json":
                    self._report(ulid, state, reason)
            self._known = known
            kept = self._filtered(known, pool, states)
        states["loaded"] = len(kept)
        return View(kept, tuple(failures))

    def _report(self, ulid: str, state: str, reason: str) -> None:
        """Once for each block and reason: the next sync would say the same again."""
        if (ulid, reason) not in self._reported:
            self._reported.add((ulid, reason))
            self._log.warn("block is left out", block=ulid, state=state, err=reason)

    def _load(self, ulid: str) -> tuple[str, str, FoundBlock | None]:
        """(state, reason, block) of a block that was not known before."""
        try:
            content = self._bucket.get(f"{ulid}/{META_FILE}")
            meta = BlockMeta.from_json(content, f"block {ulid}: {META_FILE}")
        except ObjectNotFound:
            return "no-meta-json", "", None
        except DataError as error:
            return ("failed" if "version" in str(error) else "corrupted-meta-json"), str(error), None
        except AthanorError as error:
            return "failed", str(error), None
        try:
            return "loaded", "", FoundBlock(ulid, meta, self._sizes(ulid, meta))
        except IncompleteBlock as error:
            return "incomplete", str(error), None
        except AthanorError as error:
            return "failed", str(error), None

    def _sizes(self, ulid: str, meta: BlockMeta) -> dict[str, int]:
        prefix = f"{ulid}/"
        entries = self._bucket.iter(prefix, recursive=True)
        sizes = {entry.name.removeprefix(prefix): entry.size_bytes or 0 for entry in entries}
        thanos = meta.thanos
        expected = {f.rel_path: f.size_bytes for f in thanos.files} if thanos else {}
        wanted = {"index", *expected, *(f"chunks/{name}" for name in (thanos.segment_files if thanos else ()))}
        for name in sorted(wanted):
            if name not in sizes:
                raise IncompleteBlock(f"block {ulid}: file {name} is missing; upload it again or delete the block")
            size = expected.get(name, 0)
            if size and sizes[name] != size:
                raise IncompleteBlock(
                    f"block {ulid}: file {name} has {sizes[name]} bytes, meta.json says {size}; "
                    "upload it again or delete the block"
                )
        return sizes

    def _filtered(
        self, known: dict[str, FoundBlock], pool: ThreadPoolExecutor, states: Counter[str]
    ) -> dict[str, FoundBlock]:
        options, now_ms = self._options, time.time_ns() // 1_000_000
        low_ms, high_ms = options.min_time_ms(), options.max_time_ms()
        kept = dict(known)

        def drop(state: str, refused: Iterable[str]) -> None:
            for ulid in list(refused):
                del kept[ulid]
                states[state] += 1

        outside = (u for u, b in kept.items() if b.meta.end_ms < low_ms or b.meta.first_ms > high_ms)
        drop("time-excluded", outside)
        drop("too-fresh", (u for u, b in kept.items() if _is_fresh(b, now_ms, options.consistency_delay_ms)))
        asked = list(kept)
        marked = dict(zip(asked, pool.map(self._deletion_time_ms, asked), strict=True))
        delay_ms = options.deletion_delay_ms
        drop("marked-for-deletion", (u for u in asked if (at := marked[u]) is not None and now_ms - at > delay_ms))
        drop("duplicate", duplicates(kept.values()))
        return kept

    def _deletion_time_ms(self, ulid: str) -> int | None:
        """When the block was marked for deletion; None without a readable mark."""
        try:
            mark = json.loads(bytes(self._bucket.get(f"{ulid}/{DELETION_MARK_FILE}")))
        except ObjectNotFound:
            return None
        except ValueError as error:
            self._report(ulid, "marked-for-deletion", f"{DELETION_MARK_FILE} is ignored: {error}")
            return None
        version = mark.get("version") if isinstance(mark, dict) else None
        if version != 1:
            raise DataError(f"block {ulid}: unexpected deletion-mark file version {version}, expected 1")
        at_s = mark.get("deletion_time", 0)
        return int(at_s) * 1000 if isinstance(at_s, int | float) else 0


def _block_of(directory: str) -> str | None:
    """The block id of a directory's name, as leniently as the original: 26 characters, the first at most 7."""
    name = directory.rstrip("/").rpartition("/")[2]
    return name if len(name) == ULID_SIZE and "0" <= name[0] <= "7" else None


def ulid_ms(ulid: str) -> int:
    """The time part of an id."""
    value = 0
    for char in ulid[:10].upper():
        value = value * 32 + CROCKFORD.get(char, 0)
    return value


def _is_fresh(block: FoundBlock, now_ms: int, delay_ms: int) -> bool:
    thanos = block.meta.thanos
    if not delay_ms or (thanos and thanos.source in EXEMPT_SOURCES):
        return False
    if thanos and thanos.upload_time != UNSET_TIME:
        uploaded_ms = _rfc3339_ms(thanos.upload_time)
        if uploaded_ms is not None:
            return now_ms - uploaded_ms < delay_ms
    return now_ms - ulid_ms(block.ulid) < delay_ms


def _rfc3339_ms(text: str) -> int | None:
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        return None


def duplicates(blocks: Iterable[FoundBlock]) -> list[str]:
    """Blocks whose sources are all in another block of the same resolution and external labels."""
    groups: dict[object, list[FoundBlock]] = {}
    for block in blocks:
        key = (block.meta.resolution_ms, tuple(sorted(block.meta.external_labels.items())))
        groups.setdefault(key, []).append(block)
    found: list[str] = []
    for members in groups.values():
        covered: list[frozenset[str]] = []
        for block in sorted(members, key=lambda b: (-len(b.meta.compaction.sources), b.ulid)):
            sources = frozenset(block.meta.compaction.sources)
            if any(sources <= other for other in covered):
                found.append(block.ulid)
            else:
                covered.append(sources)
    return found
