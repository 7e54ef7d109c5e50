"""Series columns of one block to canonical label sets, with the block's external labels and without replica labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from athanor.block.header import IndexHeader
from athanor.block.series import SeriesEntries
from athanor.model.arrays import I64, U8, as_bytes
from athanor.model.errors import DataError
from athanor.model.tables import LabelTable
from athanor.store import label_kernels as kernels


class LabelOverlay:
    """What one request asks of one block's labels; made once for each block and request.

    keeps_order: no stored label is replaced or left out, so that sets keep their order but for those that are the
    beginning of another one.
    """

    def __init__(self, header: IndexHeader, external: Sequence[tuple[str, str]], without: Iterable[str]) -> None:
        self._header = header
        removed = frozenset(without)
        added = sorted((n.encode(), v.encode()) for n, v in external if v and n not in removed)
        self._names, self._name_offsets = _packed([name for name, _ in added])
        self._values, self._value_offsets = _packed([value for _, value in added])
        found = [header.find_symbol(name) for name, _ in added]
        self._rank = np.array([rank for rank, _ in found], np.int64)
        self._known = np.array([known for _, known in found], np.bool_)
        dropped = [header.find_symbol(name.encode()) for name in removed]
        self._dropped = np.array(sorted(rank for rank, known in dropped if known), np.int64)
        replaced = {name for name, _ in external} | removed
        self.keeps_order = all(header.rows_of(name) == (0, 0) for name in replaced)

    def labels(self, entries: SeriesEntries, where: str) -> LabelTable:
        """One canonical set for each series."""
        header = self._header
        offsets = np.empty(len(entries) + 1, np.int64)
        bad = kernels.size_labels(
            entries.names, entries.values, entries.label_at, header.symbol_size, self._name_offsets,
            self._value_offsets, self._rank, self._known, self._dropped, offsets,
        )  # fmt: skip
        if bad:
            raise DataError(
                f"{where}: series {-bad - 1} of {len(entries)} read together: a symbol that does not exist or label "
                "names out of order; restore or delete the block"
            )
        out = np.empty(int(offsets[-1]), np.uint8)
        longest = int(np.diff(entries.label_at).max(initial=0)) + 1
        scratch = np.empty(longest, np.int64), np.empty(longest, np.int64)
        written = kernels.write_labels(
            entries.names, entries.values, entries.label_at, header.arena, header.symbol_at, header.symbol_size,
            self._names, self._name_offsets, self._values, self._value_offsets, self._rank, self._known,
            self._dropped, offsets, *scratch, out,
        )  # fmt: skip
        if written != out.size:
            raise AssertionError(f"BUG: {written} bytes of labels were written, {out.size} measured")
        return LabelTable(out, offsets)


def _packed(texts: Sequence[bytes]) -> tuple[U8, I64]:
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in texts], out=offsets[1:])
    return as_bytes(b"".join(texts) or b"\0"), offsets
