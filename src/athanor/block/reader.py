"""One block in a local directory: its series and chunks as arrays.

Files are mapped: what is not touched is not read. Whatever is wrong with a file is a DataError that names the block.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from athanor.block.header import IndexHeader, build_header, parse_header
from athanor.block.index_format import section_end
from athanor.block.meta import META_FILE, BlockMeta
from athanor.block.postings import read_lists
from athanor.block.segments import check_segment, read_records, segment_names
from athanor.block.series import ALL_MS, SeriesEntries, label_sets, read_series
from athanor.block.tombstones import TOMBSTONES_FILE, Intervals, decode_tombstones
from athanor.block.writer import CHUNKS_DIRECTORY, INDEX_FILE
from athanor.chunk.xor import BrokenChunk, decode_chunks
from athanor.model.arrays import U8, U32, as_bytes
from athanor.model.errors import DataError
from athanor.model.tables import ChunkTable, LabelTable, Samples
from athanor.model.workspace import Workspace

REF_UNIT_BYTES = 16


def map_file(path: Path) -> U8:
    """A file as a read-only array; pages are read when touched. The mapping lives as long as the array."""
    with path.open("rb") as file:
        if file.seek(0, 2) == 0:
            return as_bytes(b"")
        return as_bytes(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


@dataclass(frozen=True, slots=True)
class LocalBlock:
    """An opened block. index, segments: mapped files; deleted: series reference -> spans in the tombstones."""

    where: str
    meta: BlockMeta
    header: IndexHeader
    index: U8
    segment_names: tuple[str, ...]
    segments: tuple[U8, ...]
    deleted: dict[int, Intervals]

    def series_refs(self) -> U32:
        """References of all series, in label order."""
        where = f"{self.where}: {INDEX_FILE}"
        if not self.header.list_at.size:
            return np.empty(0, np.uint32)
        at = int(self.header.list_at[0]) - 4
        end = section_end(self.index, at, self.header.toc.postings_table, "postings list", where)
        refs, _ = read_lists(self.index, np.array([at + 4]), np.array([end]), where)
        return refs

    def entries(self, refs: U32, span_ms: tuple[int, int] = ALL_MS) -> SeriesEntries:
        """The entries of series; chunks outside span_ms (both ends included) are left out."""
        at = refs.astype(np.int64) * REF_UNIT_BYTES
        toc = self.header.toc
        outside = np.flatnonzero((at < toc.series) | (at >= toc.series_end))
        if outside.size:
            raise DataError(f"{self.where}: {INDEX_FILE}: a postings list names a series at byte {int(at[outside[0]])}")
        end = np.full(at.size, toc.series_end, np.int64)
        return read_series(self.index, at, end, self.header.symbol_at.size, f"{self.where}: {INDEX_FILE}", span_ms)

    def labels(self, entries: SeriesEntries) -> LabelTable:
        header = self.header
        where = f"{self.where}: {INDEX_FILE}"
        return label_sets(header.arena, header.symbol_at, header.symbol_size, entries, where)

    def chunks(self, entries: SeriesEntries) -> ChunkTable:
        """The chunks of entries, checksums verified; ``series`` counts the entries. One segment is not copied."""
        refs = entries.refs
        segment, at = refs >> 32, refs & 0xFFFFFFFF
        data_at, size = np.empty(refs.size, np.int64), np.empty(refs.size, np.int64)
        encoding = np.empty(refs.size, np.uint8)
        pieces: list[U8] = []
        held = 0
        for number in np.unique(segment).tolist():
            if number >= len(self.segments):
                raise DataError(f"{self.where}: segment index {number} out of range: {len(self.segments)} segments")
            rows = np.flatnonzero(segment == number)
            data = self.segments[number]
            begin, length, kind = read_records(
                data, at[rows], f"{self.where}: {CHUNKS_DIRECTORY}/{self.segment_names[number]}"
            )
            low, high = int(begin.min()), int((begin + length).max())
            data_at[rows], size[rows], encoding[rows] = begin - low + held, length, kind
            pieces.append(data[low:high])
            held += high - low
        owners = np.repeat(np.arange(len(entries), dtype=np.int32), np.diff(entries.chunk_at))
        return ChunkTable(
            owners, entries.first_ms, entries.last_ms, encoding, np.zeros(refs.size, np.uint8),
            np.zeros(refs.size, np.uint64), data_at, size,
            pieces[0] if len(pieces) == 1 else np.concatenate([np.empty(0, np.uint8), *pieces]),
        )  # fmt: skip

    def samples(self, entries: SeriesEntries, workspace: Workspace) -> Samples:
        """The samples of entries, whole chunks, joined by series; views of the workspace. Deletions are not applied."""
        chunks = self.chunks(entries)
        try:
            decoded = decode_chunks(chunks, np.arange(len(chunks), dtype=np.int64), workspace)
        except BrokenChunk as error:
            ref = int(entries.refs[error.row])
            place = f"{CHUNKS_DIRECTORY}/{self.segment_names[ref >> 32]} at byte {ref & 0xFFFFFFFF}"
            raise DataError(f"{self.where}: {place}: {error.reason}; restore or delete the block") from error
        return Samples(decoded.ts_ms, decoded.values, decoded.offsets[entries.chunk_at])


def open_block(directory: Path) -> LocalBlock:
    """Open and check a block. Missing or broken files are a DataError; missing tombstones are none."""
    where = f"block {directory.name}"
    try:
        meta = BlockMeta.from_json((directory / META_FILE).read_bytes(), f"{where}: {META_FILE}")
        index = map_file(directory / INDEX_FILE)
        names = segment_names([path.name for path in (directory / CHUNKS_DIRECTORY).iterdir()])
        segments = {name: map_file(directory / CHUNKS_DIRECTORY / name) for name in names}
        tombstones = directory / TOMBSTONES_FILE
        deletions = tombstones.read_bytes() if tombstones.exists() else None
    except OSError as error:
        raise DataError(f"{where}: {error.filename}: {error.strerror}; restore or delete the block") from error
    return block_from_files(where, meta, index, segments, deletions)


def block_from_files(
    where: str, meta: BlockMeta, index: U8, segments: Mapping[str, U8], tombstones: bytes | None
) -> LocalBlock:
    """Check the contents of a block's files. segments: by name, in the order of names."""
    for name, data in segments.items():
        check_segment(data, f"{where}: {CHUNKS_DIRECTORY}/{name}")
    view = index.data
    place = f"{where}: {INDEX_FILE}"
    header = parse_header(build_header(lambda at, n: view[at : at + n], index.size, place), place)
    deleted = {} if tombstones is None else decode_tombstones(tombstones, f"{where}: {TOMBSTONES_FILE}")
    return LocalBlock(where, meta, header, index, tuple(segments), tuple(segments.values()), deleted)
