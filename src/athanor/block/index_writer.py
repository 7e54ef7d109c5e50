"""Writing of an index file from label sets and chunks. Layout: ``index_format``; entries: ``series``."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from io import BufferedWriter
from pathlib import Path

import numpy as np

from athanor.block import index_format as form
from athanor.block import index_write_kernels as kernels
from athanor.kernel import label_kernels
from athanor.kernel.labels import is_strictly_sorted
from athanor.model.arrays import I64, U8, U32
from athanor.model.errors import DataError
from athanor.model.tables import LabelTable

TILE_SERIES = 65_536


class _Symbols:
    """The distinct texts of a table of label sets: spans in one arena, numbered in bytewise order."""

    def __init__(self, labels: LabelTable, extra: Sequence[bytes]) -> None:
        # compat: the empty text is in every table that a head wrote (it comes from the pair of all series).
        texts = list(dict.fromkeys([b"", *extra]))
        n_labels, _ = label_kernels.count_labels(labels.arena, labels.offsets)
        at, size = (np.empty(2 * n_labels + len(texts), np.int64) for _ in range(2))
        self.label_at = np.empty(len(labels) + 1, np.int64)
        kernels.label_spans(labels.arena, labels.offsets, self.label_at, at, size)
        size[2 * n_labels :] = [len(text) for text in texts]
        at[2 * n_labels :] = labels.arena.size + np.cumsum(size[2 * n_labels :]) - size[2 * n_labels :]
        self.arena: U8 = np.concatenate((labels.arena, np.frombuffer(b"".join(texts), np.uint8)))
        hashes = np.empty(at.size, np.uint64)
        label_kernels.hash_spans(self.arena, at, size, hashes)
        slots = np.full(1 << max(3, (2 * at.size).bit_length()), -1, np.int32)
        codes, firsts = np.empty(at.size, np.int32), np.empty(at.size, np.int64)
        n = label_kernels.unique_spans(self.arena, at, size, hashes, slots, codes, firsts)
        order = np.arange(n, dtype=np.int64)
        at, size = at[firsts[:n]], size[firsts[:n]]
        kernels.sort_spans(self.arena, at, size, order, np.empty(n, np.int64))
        self.at, self.size = at[order], size[order]
        numbers = np.empty(n, np.uint32)
        numbers[order] = np.arange(n, dtype=np.uint32)
        pairs = numbers[codes[: 2 * n_labels]]
        self.names: U32 = np.ascontiguousarray(pairs[0::2])
        self.values: U32 = np.ascontiguousarray(pairs[1::2])

    def __len__(self) -> int:
        return self.at.size

    def encode(self) -> bytes:
        n = len(self)
        out = np.empty(int(self.size.sum()) + 10 * n, np.uint8)
        used = kernels.write_texts(self.arena, self.at, self.size, np.arange(n, dtype=np.int64), out)
        return struct.pack(">I", n) + out[:used].tobytes()


class _File:
    """A file that knows its position."""

    def __init__(self, file: BufferedWriter) -> None:
        self._file = file
        self.at = 0

    def write(self, content: bytes | memoryview) -> int:
        """Returns the position where the content begins."""
        begin = self.at
        self._file.write(content)
        self.at += len(content)
        return begin

    def align(self, to: int) -> None:
        self.write(bytes(-self.at % to))


def write_index(
    path: Path,
    labels: LabelTable,
    chunk_at: I64,
    first_ms: I64,
    last_ms: I64,
    refs: I64,
    extra_symbols: Sequence[bytes] = (),
    label_indices: bool = False,
) -> None:
    """Write an index of k series in strictly ascending label order.

    Chunks of series i are rows ``chunk_at[i]:chunk_at[i+1]``, times included, refs from the segment writer.
    extra_symbols: texts that no series uses (a compaction keeps those of its inputs). label_indices: also the sections
    that Prometheus wrote before 3.7 and nobody reads.
    """
    if not is_strictly_sorted(labels):
        raise DataError(f"{path}: series are not in strictly ascending order of their labels; sort and merge them")
    symbols = _Symbols(labels, extra_symbols)
    with path.open("wb") as raw:
        file = _File(raw)
        file.write(struct.pack(">IB", form.MAGIC, form.VERSION))
        symbols_at = file.write(form.encode_section(symbols.encode()))
        series_at = file.at
        series_refs = _write_series(file, symbols, chunk_at, first_ms, last_ms, refs)
        label_indices_at = file.at
        keys, bounds, members = _postings(symbols, series_refs)
        indexed = _write_label_indices(file, keys) if label_indices else []
        postings_at = file.at
        list_at = _write_lists(file, bounds, members)
        label_table_at = file.at
        if label_indices:
            file.write(form.encode_section(_label_table(symbols, indexed)))
        table_at = file.write(form.encode_section(_postings_table(symbols, keys, list_at)))
        # compat: without label indices their positions repeat those of the postings (Prometheus 3.7 and newer).
        toc = form.Toc(
            symbols_at,
            series_at,
            label_indices_at,
            label_table_at if label_indices else table_at,
            postings_at,
            table_at,
        )
        file.write(toc.encode())
        if file.at > form.MAX_INDEX_BYTES:
            raise DataError(f"{path}: exceeding max size of 64GiB: {file.at} bytes; split the block")
        raw.flush()
        os.fsync(raw.fileno())


def _write_series(file: _File, symbols: _Symbols, chunk_at: I64, first_ms: I64, last_ms: I64, refs: I64) -> U32:
    """The entries; returns their references."""
    k = symbols.label_at.size - 1
    entry_at = np.empty(k, np.int64)
    columns = [np.ascontiguousarray(column, np.int64) for column in (first_ms, last_ms, refs)]
    chunk_at = np.ascontiguousarray(chunk_at, np.int64)
    for first in range(0, k, TILE_SERIES):
        end = min(first + TILE_SERIES, k)
        label_at, chunks = symbols.label_at[first : end + 1], chunk_at[first : end + 1]
        room = (
            (end - first) * kernels.MAX_ENTRY_EXTRA_BYTES
            + int(label_at[-1] - label_at[0]) * kernels.MAX_LABEL_BYTES
            + int(chunks[-1] - chunks[0]) * kernels.MAX_CHUNK_BYTES
        )
        out = np.empty(room, np.uint8)
        used = kernels.write_series(
            file.at, symbols.names, symbols.values, label_at, chunks, *columns, out, entry_at[first:end]
        )
        file.write(out[:used].data)
    return (entry_at // form.SERIES_ALIGNMENT).astype(np.uint32)


def _postings(symbols: _Symbols, series_refs: U32) -> tuple[I64, I64, U32]:
    """(keys int64[p] = name symbol << 32 | value symbol, bounds int64[p+1], references): the lists in file order.

    The first list is that of all series under the pair of two empty texts.
    """
    pairs = (symbols.names.astype(np.int64) << 32) | symbols.values
    owners = np.repeat(series_refs, np.diff(symbols.label_at))
    order = np.argsort(pairs, kind="stable")
    pairs = pairs[order]
    starts = np.flatnonzero(np.diff(pairs, prepend=-1))
    bounds = np.concatenate(([0], series_refs.size + starts, [series_refs.size + pairs.size])).astype(np.int64)
    return np.concatenate(([0], pairs[starts])), bounds, np.concatenate((series_refs, owners[order]))


def _write_lists(file: _File, bounds: I64, members: U32) -> I64:
    n = bounds.size - 1
    out = np.empty(4 * members.size + 16 * n, np.uint8)
    list_at = np.empty(n, np.int64)
    used = kernels.write_lists(file.at, bounds, members, out, list_at)
    file.write(out[:used].data)
    return list_at


def _postings_table(symbols: _Symbols, keys: I64, list_at: I64) -> bytes:
    names, values = keys >> 32, keys & 0xFFFFFFFF
    total = kernels.table_bytes(symbols.size, names, values, list_at)
    out = np.empty(total, np.uint8)
    used = kernels.write_table(symbols.arena, symbols.at, symbols.size, names, values, list_at, out)
    return struct.pack(">I", keys.size) + out[:used].tobytes()


def _write_label_indices(file: _File, keys: I64) -> list[tuple[int, int]]:
    """For each label name its values; returns (name symbol, position)."""
    names, first = np.unique(keys[1:] >> 32, return_index=True)
    bounds = [*(first + 1).tolist(), keys.size]
    found = []
    for i, name in enumerate(names.tolist()):
        file.align(form.POSTINGS_ALIGNMENT)
        values = (keys[bounds[i] : bounds[i + 1]] & 0xFFFFFFFF).astype(">u4")
        found.append((name, file.write(form.encode_section(struct.pack(">II", 1, values.size) + values.tobytes()))))
    return found


def _label_table(symbols: _Symbols, indexed: list[tuple[int, int]]) -> bytes:
    out = bytearray(struct.pack(">I", len(indexed)))
    for name, at in indexed:
        text = symbols.arena[symbols.at[name] : symbols.at[name] + symbols.size[name]].tobytes()
        out += b"\x01" + _uvarint(len(text)) + text + _uvarint(at)
    return bytes(out)


def _uvarint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
