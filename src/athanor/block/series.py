"""Series entries of an index: label pairs as symbol ordinals, chunks with their times.

An entry: uvarint length, content, crc. Content: uvarint labels, each uvarint name symbol, uvarint value symbol; uvarint
chunks; the first: varint first_ms, uvarint span_ms, uvarint reference; others: uvarint first_ms - previous last_ms,
uvarint span_ms, varint reference - previous reference. A chunk's reference is segment << 32 | position.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from athanor.block import index_kernels as kernels
from athanor.block.index_format import REPAIR
from athanor.model.arrays import I64, U8, U32
from athanor.model.errors import DataError
from athanor.model.tables import LabelTable

ALL_MS = (-(2**63), 2**63 - 1)
REASONS = {
    kernels.SHORT: "is longer than its bytes",
    kernels.CHECKSUM: "has a wrong checksum",
    kernels.VARINT: "has a broken number",
    kernels.SYMBOL: "names a symbol that does not exist",
    kernels.LABEL_ORDER: "has labels out of order",
    kernels.CHUNK_TIMES: "has a chunk that ends before it begins",
    kernels.CHUNK_REF: "has a chunk before the first segment",
}


@dataclass(frozen=True, slots=True)
class SeriesEntries:
    """k decoded entries, in the order asked for.

    Labels of entry i: names, values (uint32 symbol ordinals) ``[label_at[i]:label_at[i+1]]``, by name. Its chunks:
    first_ms, last_ms (both included), refs (int64, segment << 32 | position) ``[chunk_at[i]:chunk_at[i+1]]``.
    """

    label_at: I64
    names: U32
    values: U32
    chunk_at: I64
    first_ms: I64
    last_ms: I64
    refs: I64

    def __len__(self) -> int:
        return self.label_at.size - 1


def read_series(
    data: U8, at: I64, end: I64, n_symbols: int, where: str, span_ms: tuple[int, int] = ALL_MS
) -> SeriesEntries:
    """Decode entries that begin at ``data[at[i]]`` and lie before ``end[i]``, which may be far behind; checksums count.

    Chunks outside span_ms (both ends included) are left out; a series without any is kept, its labels too. Raises
    DataError; ``where`` names the block and file, positions in it are those of data.
    """
    at, end = np.ascontiguousarray(at, np.int64), np.ascontiguousarray(end, np.int64)
    k = at.size
    label_at, chunk_at = np.zeros(k + 1, np.int64), np.zeros(k + 1, np.int64)
    i, reason, position = kernels.count_series(data, at, end, n_symbols, *span_ms, label_at[1:], chunk_at[1:])
    if i >= 0:
        raise DataError(f"{where} at byte {position}: series entry {REASONS[reason]} (entry at {int(at[i])}); {REPAIR}")
    np.cumsum(label_at, out=label_at)
    np.cumsum(chunk_at, out=chunk_at)
    names, values = (np.empty(int(label_at[-1]), np.uint32) for _ in range(2))
    first_ms, last_ms, refs = (np.empty(int(chunk_at[-1]), np.int64) for _ in range(3))
    kernels.read_series(data, at, *span_ms, label_at, chunk_at, names, values, first_ms, last_ms, refs)
    return SeriesEntries(label_at, names, values, chunk_at, first_ms, last_ms, refs)


def label_sets(arena: U8, symbol_at: U32, symbol_size: U32, entries: SeriesEntries, where: str) -> LabelTable:
    """The canonical label sets of entries; a label with an empty value is dropped, as everywhere.

    Symbol i is ``arena[symbol_at[i]:][:symbol_size[i]]``; the ordinals were checked when the entries were read.
    """
    offsets = np.empty(len(entries) + 1, np.int64)
    bad = kernels.label_set_sizes(symbol_size, entries.names, entries.values, entries.label_at, offsets)
    if bad >= 0:
        raise DataError(f"{where}: series entry {bad} of those read has a label without name; {REPAIR}")
    out = np.empty(int(offsets[-1]), np.uint8)
    kernels.write_label_sets(arena, symbol_at, symbol_size, entries.names, entries.values, entries.label_at, out)
    return LabelTable(out, offsets)
