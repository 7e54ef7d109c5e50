"""The index of one block, read in ranges: matchers to references, references to series columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from athanor.block.header import IndexHeader
from athanor.block.postings import EMPTY, difference, intersection, read_lists, union
from athanor.block.select import plan_postings
from athanor.model.arrays import I64, U8, U32, U64
from athanor.model.errors import DataError
from athanor.model.matchers import Matcher
from athanor.store import entry_kernels as kernels
from athanor.store.index_cache import POSTINGS, SERIES, IndexFile
from athanor.store.partition import frugal_partition, partition
from athanor.store.request_limits import CallLimits

REF_UNIT_BYTES = 16  # a reference of index version 2 counts in these
MAX_ENTRY_BYTES = 64 * 1024  # what is read for an entry of unknown size at most (Thanos' estimated-max-series-size)
MIN_ENTRY_BYTES = 512


@dataclass(frozen=True, slots=True)
class SeriesColumns:
    """Series entries as columns.

    labels: uint32[2*], (name, value) symbol numbers, series i has ``labels[2*label_at[i]:2*label_at[i+1]]``; chunks of
    series i are rows ``chunk_at[i]:chunk_at[i+1]``: first_ms, last_ms int64, ref uint64.
    """

    labels: U32
    label_at: I64
    chunk_at: I64
    first_ms: I64
    last_ms: I64
    ref: U64

    def __len__(self) -> int:
        return self.label_at.size - 1


class IndexReader:
    """Reads for one block; holds no state of a request."""

    def __init__(self, block: str, header: IndexHeader, file: IndexFile, estimated_entry_bytes: int) -> None:
        self.header = header
        self._where = f"block {block}: index"
        self._file = file
        self._estimate = estimated_entry_bytes

    def expand(self, matchers: Iterable[Matcher], limits: CallLimits) -> U32:
        """References of the series that all matchers accept, ascending."""
        plan = plan_postings(self.header, matchers)
        if plan is None:
            return EMPTY
        rows = np.unique(np.concatenate([*plan.groups, plan.remove]))
        start, end = self.header.list_at[rows], self.header.list_end[rows]
        order = np.argsort(start, kind="stable")
        if (start[order][1:] < end[order][:-1]).any() or (end < start + 4).any():
            raise DataError(f"{self._where}: posting lists overlap; restore or delete the block")
        parts = frugal_partition(start[order], end[order])
        data, base, fetched = self._file.read(parts, POSTINGS)
        limits.fetched(fetched, "fetching postings")
        at = np.empty_like(start)
        at[order] = base[parts.part_of] + start[order] - parts.start[parts.part_of]
        stop = at + (end - start)

        def lists(wanted: I64) -> U32:
            where = np.searchsorted(rows, wanted)
            return union(*read_lists(data, at[where], stop[where], self._where))

        found = intersection([lists(group) for group in plan.groups])
        return difference(found, lists(plan.remove)) if plan.remove.size and found.size else found

    def series(self, refs: U32, limits: CallLimits) -> SeriesColumns:
        """The entries of these references (ascending)."""
        toc = self.header.toc
        start = refs.astype(np.int64) * REF_UNIT_BYTES
        if start.size and (start[0] < toc.series or start[-1] >= toc.series_end):
            raise DataError(f"{self._where}: a posting list names a series outside the series section")
        ceiling = np.append(start[1:], toc.series_end)
        end = np.minimum(start + self._estimate, ceiling)
        parts = frugal_partition(start, end) if start.size < 256 else partition(start, end)
        data, base, fetched = self._file.read(parts, SERIES)
        limits.fetched(fetched, "fetching series")
        at = base[parts.part_of] + start - parts.start[parts.part_of]
        stop = base[parts.part_of] + np.minimum(parts.end[parts.part_of], ceiling) - parts.start[parts.part_of]
        return self._decode(data, at, stop, start, ceiling, limits)

    def _decode(self, data: U8, at: I64, stop: I64, start: I64, ceiling: I64, limits: CallLimits) -> SeriesColumns:
        n = at.size
        body_at, body_end, needed = (np.empty(n, np.int64) for _ in range(3))
        total, bad = kernels.measure_entries(data, at, stop, body_at, body_end, needed)
        while not bad and needed.any():
            data, at, stop = self._refetched(data, at, stop, start, ceiling, needed, limits)
            total, bad = kernels.measure_entries(data, at, stop, body_at, body_end, needed)
        if bad:
            raise self._broken(start, bad, "has a broken length")
        labels, label_at = np.empty(total, np.uint32), np.empty(n + 1, np.int64)
        room = total // 3 + 1
        first_ms, last_ms, chunk_at = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(n + 1, np.int64)
        ref = np.empty(room, np.uint64)
        n_labels, n_chunks, bad = kernels.decode_entries(
            data, body_at, body_end, labels, label_at, first_ms, last_ms, ref, chunk_at
        )
        if bad:
            raise self._broken(start, bad, "is broken or fails its checksum")
        return SeriesColumns(
            labels[:n_labels].copy(), label_at, chunk_at, first_ms[:n_chunks].copy(), last_ms[:n_chunks].copy(),
            ref[:n_chunks].copy(),
        )  # fmt: skip

    def _refetched(
        self, data: U8, at: I64, stop: I64, start: I64, ceiling: I64, needed: I64, limits: CallLimits
    ) -> tuple[U8, I64, I64]:
        """Entries that are longer than was guessed, read again behind the others."""
        short = np.flatnonzero(needed)
        begin, end = start[short], start[short] + needed[short]
        beyond = np.flatnonzero(end > ceiling[short])
        if beyond.size:
            raise self._broken(start, -(int(short[beyond[0]]) + 1), "runs into the next one")
        parts = partition(begin, end)
        more, base, fetched = self._file.read(parts, SERIES)
        limits.fetched(fetched, "fetching series")
        at, stop = at.copy(), stop.copy()
        at[short] = data.size + base[parts.part_of] + begin - parts.start[parts.part_of]
        stop[short] = at[short] + needed[short]
        return np.concatenate((data, more)), at, stop

    def _broken(self, start: I64, bad: int, what: str) -> DataError:
        return DataError(f"{self._where}: series entry at byte {start[-bad - 1]} {what}; restore or delete the block")


def entry_estimate(measured_bytes: int, section_bytes: int, n_series: int) -> int:
    """What to read for an entry whose size is unknown: the measured maximum, else eight times the average."""
    if measured_bytes:
        return min(MAX_ENTRY_BYTES, measured_bytes)
    average = section_bytes // n_series if n_series else MAX_ENTRY_BYTES
    return min(MAX_ENTRY_BYTES, max(MIN_ENTRY_BYTES, 8 * average))
