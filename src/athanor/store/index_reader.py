"""The index of one block, read in ranges: matchers to references, references to series columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from athanor.block.header import IndexHeader
from athanor.block.postings import EMPTY, difference, intersection, read_lists, union
from athanor.block.select import plan_postings
from athanor.block.series import SeriesEntries, read_series
from athanor.model.arrays import I64, U8, U32
from athanor.model.errors import DataError
from athanor.model.matchers import Matcher
from athanor.store import entry_kernels as kernels
from athanor.store.index_cache import POSTINGS, SERIES, IndexFile, key_of
from athanor.store.labelled import KeptSeries
from athanor.store.partition import frugal_partition, partition
from athanor.store.request_limits import CallLimits

REF_UNIT_BYTES = 16  # a reference of index version 2 counts in these
MAX_ENTRY_BYTES = 64 * 1024  # what is read for an entry of unknown size at most (Thanos' estimated-max-series-size)
MIN_ENTRY_BYTES = 512


class IndexReader:
    """Reads for one block; holds no state of a request."""

    def __init__(self, block: str, header: IndexHeader, file: IndexFile, estimated_entry_bytes: int) -> None:
        self.header = header
        self._where = f"block {block}: index"
        self._file = file
        self._estimate = estimated_entry_bytes

    def expand(self, matchers: Sequence[Matcher], limits: CallLimits) -> U32:
        """References of the series that all matchers accept, ascending; not to be written to."""
        key = key_of(matchers)
        found = self._file.expanded(key)
        if found is None:
            found = self._expanded(matchers, limits)
            self._file.keep_expanded(key, found)
        return found

    def _expanded(self, matchers: Sequence[Matcher], limits: CallLimits) -> U32:
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

    def kept_series(self, refs: U32, without: tuple[str, ...]) -> KeptSeries | None:
        """What an earlier request read of these series; without: labels that were left out of theirs."""
        return self._file.series((without, refs.tobytes()))

    def keep_series(self, refs: U32, without: tuple[str, ...], series: KeptSeries) -> None:
        """For later requests."""
        self._file.keep_series((without, refs.tobytes()), series)

    def series(self, refs: U32, span_ms: tuple[int, int], limits: CallLimits) -> SeriesEntries:
        """The entries of these references (ascending) with the chunks that touch the closed span."""
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
        needed = np.empty(start.size, np.int64)
        bad = kernels.measure_entries(data, at, stop, needed)
        while not bad and needed.any():
            data, at, stop = self._refetched(data, at, stop, start, ceiling, needed, limits)
            bad = kernels.measure_entries(data, at, stop, needed)
        if bad:
            raise self._broken(start, bad, "has a broken length")
        read = f"{self._where}, {data.size} bytes read from {start[0] if start.size else 0} on"
        return read_series(data, at, stop, self.header.symbol_at.size, read, span_ms)

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
