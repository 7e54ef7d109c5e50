"""Blocks are written byte by byte as Prometheus writes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import block_reference as reference
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athanor.block.index_writer import write_index
from athanor.block.meta import BlockMeta, Compaction
from athanor.block.reader import open_block
from athanor.block.segments import SegmentWriter, read_records, segment_names
from athanor.block.ulid import is_ulid, new_ulid, ulid_time_ms
from athanor.block.writer import BEFORE_3_6, CURRENT, Layout, encode_samples, write_block
from athanor.chunk.xor import Cut
from athanor.kernel.labels import sort_order, take
from athanor.model.arrays import as_bytes
from athanor.model.errors import DataError
from athanor.model.tables import ChunkTable, LabelTable, Samples, label_table
from athanor.model.workspace import Workspace

GOLDEN = Path(__file__).parents[2] / "golden" / "block"
HOUR_MS = 3_600_000
BEFORE_2_47 = Cut(max_bytes=0, zero_byte=True)

# How each block was made: the head of 2.42; a head of 1-minute blocks, compacted; promtool 3.14, whose range is 4 h.
FROM_SAMPLES = [
    ("01M8103DZ3ES4CV8C1462SPPP2", BEFORE_2_47, BEFORE_3_6),
    ("01M810R3BH9EYZAGN34ATD1292", BEFORE_2_47, BEFORE_3_6),
    ("01M810E4M1MPTHWWESA6E62GNR", replace(BEFORE_2_47, range_ms=60_000), BEFORE_3_6),
    ("01M85PJ3MD8JA0P6BF4R5NH6BR", Cut(range_ms=4 * HOUR_MS), CURRENT),
    ("01M85PJ3VQG5MY6VBV8MK26Y2G", Cut(range_ms=4 * HOUR_MS), CURRENT),
]
COPIED = ["01M810CQN6WMWHZ9J30SPWVVF9", "01M810J0XQ6S52PDZYPTJ0DK6Z"]


def same_files(written: Path, golden: Path) -> None:
    for name in ("chunks/000001", "index", "meta.json", "tombstones"):
        if (golden / name).exists():
            assert (written / name).read_bytes() == (golden / name).read_bytes(), name


@pytest.mark.parametrize(("ulid", "cut", "layout"), FROM_SAMPLES)
def test_a_block_written_from_its_samples_and_labels_is_the_same_block(
    tmp_path: Path, ulid: str, cut: Cut, layout: Layout
) -> None:
    block = open_block(GOLDEN / "blocks" / ulid)
    entries = block.entries(block.series_refs())
    labels = block.labels(entries)
    samples = block.samples(entries, Workspace())
    write_block(tmp_path, labels, encode_samples(samples, cut), block.meta, layout)
    same_files(tmp_path / ulid, GOLDEN / "blocks" / ulid)


@pytest.mark.parametrize("ulid", COPIED)
def test_a_block_written_from_its_chunks_is_the_same_block(tmp_path: Path, ulid: str) -> None:
    block = open_block(GOLDEN / "blocks" / ulid)
    entries = block.entries(block.series_refs())
    write_block(tmp_path, block.labels(entries), block.chunks(entries), block.meta, BEFORE_3_6)
    same_files(tmp_path / ulid, GOLDEN / "blocks" / ulid)


def test_the_index_layout_of_prometheus_3_7_lacks_the_label_indices(tmp_path: Path) -> None:
    block = open_block(GOLDEN / "blocks" / "01M8103DZ3ES4CV8C1462SPPP2")
    entries = block.entries(block.series_refs())
    place = tmp_path / "index"
    write_index(place, block.labels(entries), entries.chunk_at, entries.first_ms, entries.last_ms, entries.refs)
    assert place.read_bytes() == (GOLDEN / "block-main.index-3.7plus-layout.bin").read_bytes()


def meta_of(ulid: str) -> BlockMeta:
    return BlockMeta(ulid, 0, 2 * HOUR_MS, compaction=Compaction(sources=(ulid,)))


def samples_of(*series: list[int]) -> Samples:
    ts = np.array([t for ts_ms in series for t in ts_ms], np.int64)
    return Samples(ts, np.arange(ts.size, dtype=np.float64), np.cumsum([0, *(len(s) for s in series)]))


ULID = "01M8103DZ3ES4CV8C1462SPPP2"


def test_series_out_of_order_are_refused(tmp_path: Path) -> None:
    labels = label_table([[("a", "2")], [("a", "1")]])
    with pytest.raises(DataError, match="strictly ascending"):
        write_block(tmp_path, labels, encode_samples(samples_of([1], [1])), meta_of(ULID))
    assert not (tmp_path / ULID).exists()


def test_overlapping_chunks_of_a_series_are_refused(tmp_path: Path) -> None:
    chunks = encode_samples(samples_of([1, 2], [2, 3]))
    overlapping = replace(chunks, series=np.zeros(2, np.int32))
    with pytest.raises(DataError, match="chunks 0 and 1 of series 0 overlap: 2 and 2 ms"):
        write_block(tmp_path, label_table([[("a", "1")]]), overlapping, meta_of(ULID))


def test_a_block_of_no_series_can_be_written_and_read(tmp_path: Path) -> None:
    meta = write_block(tmp_path, label_table([]), encode_samples(samples_of()), meta_of(ULID))
    block = open_block(tmp_path / ULID)
    assert (meta.stats.n_series, len(block.entries(block.series_refs()))) == (0, 0)


def chunk_table(sizes: list[int], owners: list[int]) -> ChunkTable:
    n = len(sizes)
    size = np.array(sizes, np.int64)
    zeros = np.zeros(n, np.int64)
    return ChunkTable(
        np.array(owners, np.int32), zeros, zeros, np.ones(n, np.uint8), np.zeros(n, np.uint8), np.zeros(n, np.uint64),
        np.cumsum(size) - size, size, np.arange(size.sum(), dtype=np.int64).astype(np.uint8),
    )  # fmt: skip


def refs_of(tmp_path: Path, sizes: list[int], owners: list[int], limit: int) -> list[tuple[int, int]]:
    chunks = chunk_table(sizes, owners)
    with SegmentWriter(tmp_path, limit) as writer:
        refs = writer.write(chunks.series.astype(np.int64), chunks.arena, chunks.at, chunks.size, chunks.encoding)
    files = [as_bytes((tmp_path / name).read_bytes()) for name in segment_names([p.name for p in tmp_path.iterdir()])]
    for i, ref in enumerate(refs.tolist()):
        data = files[ref >> 32]
        at, size, encoding = read_records(data, np.array([ref & 0xFFFFFFFF]), "segment")
        expected = chunks.arena[chunks.at[i] : chunks.at[i] + chunks.size[i]]
        assert (data[at[0] : at[0] + size[0]].tobytes(), encoding[0]) == (expected.tobytes(), 1)
    return [(ref >> 32, ref & 0xFFFFFFFF) for ref in refs.tolist()]


def test_records_follow_each_other_in_a_segment(tmp_path: Path) -> None:
    # 8 bytes of header; 1 + 1 + 10 + 4 bytes; from 128 bytes of data on the length takes two.
    assert refs_of(tmp_path, [10, 130, 3], [0, 0, 1], 1000) == [(0, 8), (0, 24), (0, 161)]


def test_a_batch_that_does_not_fit_the_rest_begins_a_segment(tmp_path: Path) -> None:
    # Counted with ten bytes beside the data: 8 + 50 <= 60, then 54 + 20 + ... > 60, so series 1 begins segment 1.
    assert refs_of(tmp_path, [40, 10], [0, 1], 60) == [(0, 8), (1, 8)]


def test_the_part_of_a_batch_that_fits_the_rest_stays_in_the_segment(tmp_path: Path) -> None:
    assert refs_of(tmp_path, [10, 10, 40], [0, 1, 1], 60) == [(0, 8), (0, 24), (1, 8)]


def test_a_chunk_larger_than_a_segment_is_written_alone(tmp_path: Path) -> None:
    assert refs_of(tmp_path, [100, 100], [0, 0], 50) == [(0, 8), (1, 8)]


NAMES = st.sampled_from(["__name__", "a", "A", "_x", "job", "zürich", "n" * 130])
VALUES = st.text(max_size=5).map(lambda text: text + "v")
SETS = st.lists(st.dictionaries(NAMES, VALUES, min_size=1), min_size=1, max_size=12)
SPANS = st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 10**6), st.integers(1, 2**31)), max_size=4)


def unique_sorted(sets: list[dict[str, str]]) -> LabelTable:
    distinct = {tuple(sorted(s.items())) for s in sets}
    table = label_table([list(pairs) for pairs in distinct])
    return take(table, sort_order(table))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(SETS, st.data(), st.booleans())
def test_an_index_of_any_series_reads_back_with_the_plain_reader(
    tmp_path: Path, sets: list[dict[str, str]], data: st.DataObject, label_indices: bool
) -> None:
    labels = unique_sorted(sets)
    expected, ref = [], 0
    columns: list[tuple[int, int, int]] = []
    chunk_at = [0]
    for i in range(len(labels)):
        now, chunks = data.draw(st.integers(-(10**12), 10**12)), []
        for gap, span, step in data.draw(SPANS):
            now, ref = now + gap, ref + step
            chunks.append((now, now + span, ref))
            now += span
        columns += chunks
        chunk_at.append(len(columns))
        expected.append(({n.encode(): v.encode() for n, v in labels.pairs(i)}, chunks))
    arrays = np.array(columns, np.int64).reshape(-1, 3).T
    write_index(tmp_path / "index", labels, np.array(chunk_at), *arrays, label_indices=label_indices)
    assert reference.index((tmp_path / "index").read_bytes()) == expected


def test_ulids_carry_their_time() -> None:
    # Both by hand: 2**80 is the lowest bit of the time, the tenth character.
    assert new_ulid(1, 0) == "0000000001" + "0" * 16
    assert new_ulid(1_700_006_400_000, 2**80 - 1)[10:] == "Z" * 16
    assert ulid_time_ms(new_ulid(1_700_006_400_000)) == 1_700_006_400_000
    assert is_ulid(ULID) and not is_ulid("8" + ULID[1:]) and not is_ulid(ULID.lower())
