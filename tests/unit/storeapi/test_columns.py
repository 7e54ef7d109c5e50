"""Frames of columns against frames of protobuf messages, and against hostile bytes."""

from __future__ import annotations

import importlib.util
import random
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.model.errors import DataError
from athanor.storeapi import column_kernels, frames
from athanor.storeapi.columns import METADATA, frame_writer, read_column_frame, write_column_frames
from athanor.storeapi.frames import write_series_frames

_spec = importlib.util.spec_from_file_location("storeapi_reference", Path(__file__).with_name("reference.py"))
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)

names = st.sampled_from(["__name__", "a", "ab", "b", "job", "z", "le", "ü"])
values = st.text(alphabet="ab:1é", min_size=1, max_size=150)
label_sets = st.dictionaries(names, values, max_size=6).map(lambda d: sorted(d.items(), key=lambda p: p[0].encode()))
times = st.integers(-(2**63), 2**63 - 1) | st.integers(1_700_000_000_000, 1_700_000_100_000)
sub_chunk = st.tuples(st.integers(0, 2), st.binary(max_size=40), st.just(0))
chunks = st.tuples(times, times, st.dictionaries(st.sampled_from(reference.SUB_CHUNKS), sub_chunk, min_size=1))
series_lists = st.lists(st.tuples(label_sets, st.lists(chunks, max_size=4)), min_size=1, max_size=5)

# By hand: one series {a="b"} with a raw XOR chunk "xyz" from 1 to 2 ms.
BY_HAND = (
    b"\x7a\x49" + struct.pack("<4q", 1, 1, 8, 3) + struct.pack("<2q", 1, 2) + struct.pack("<3I", 8, 1, 3)
    + b"\x01\x00" + bytes.fromhex("0a060a0161120162") + b"xyz"
)  # fmt: skip


def read(data):
    return read_column_frame(data, where="a peer")


@settings(max_examples=150, deadline=None)
@given(series_lists)
def test_columns_say_what_the_tables_held(series):
    tables = reference.tables(series)
    written = list(write_column_frames(*tables, 1))
    assert len(written) == 1
    expected = reference.rows_of(frames.SeriesFrame(*tables))
    assert reference.rows_of(read(written[0])) == expected


def test_a_frame_has_the_layout_that_its_page_tells():
    assert reference.rows_of(read(BY_HAND)) == [([("a", "b")], [(1, 2, 0, 1, b"xyz", 0)])]
    tables = reference.tables([([("a", "b")], [(1, 2, {"raw": (0, b"xyz", 7)})])])
    assert list(write_column_frames(*tables, 1)) == [BY_HAND]


def test_chunks_that_lie_anywhere_are_put_end_to_end():
    labels, table = reference.tables([([("a", str(i))], [(1, 2, {"raw": (0, bytes([i]) * 3, 0)})]) for i in range(3)])
    order = np.array([2, 0, 1])
    moved = frames.ChunkTable(
        table.series, table.first_ms, table.last_ms, table.encoding, table.aggregate, table.hash, table.at[order],
        table.size, table.arena,
    )  # fmt: skip
    (data,) = write_column_frames(labels, moved, 1)
    assert [rows[0][4] for _, rows in reference.rows_of(read(data))] == [b"\2\2\2", b"\0\0\0", b"\1\1\1"]


def test_a_frame_closes_at_a_megabyte_and_a_giant_series_goes_through_whole():
    big = {"raw": (0, bytes(400_000), 0)}
    series = [([("a", str(i))], [(1, 2, big)] * (5 if i == 2 else 1)) for i in range(6)]
    written = [read(data) for data in write_column_frames(*reference.tables(series), 1)]
    assert [len(frame) for frame in written] == [2, 1, 2, 1]


def test_a_chunk_with_times_only_is_kept_where_a_proxy_asks_for_it():
    tables = frames.read_series_frame(
        reference.single_frame(reference.series_message([("a", "b")], [(5, 6, {})])), keep_empty=True
    )
    (data,) = write_column_frames(tables.labels, tables.chunks, 1)
    assert len(read(data).chunks) == 0 and len(read(data)) == 1
    assert read_column_frame(data, where="a peer", keep_empty=True).chunks.first_ms.tolist() == [5]


def test_only_who_says_that_it_knows_columns_gets_them():
    assert frame_writer({}) is write_series_frames
    assert frame_writer({"athanor-frames": "rows"}) is write_series_frames
    assert frame_writer(METADATA) is write_column_frames


@pytest.mark.parametrize(
    ("at", "byte", "problem"),
    [
        (1, 0x4C, "not one whole field"),
        (2, 2, "do not fill the frame"),
        (10, 2, "do not fill the frame"),
        (9, 0x80, "do not fill the frame"),
        (50, 7, "label sets add up to 7 instead of 8"),
        (54, 2, "chunk rows add up to 2 instead of 1"),
        (58, 2, "chunks add up to 2 instead of 3"),
        (63, 6, "aggregate 6 is unknown"),
        (66, 0x0B, "label set 0 of 1 is not in canonical form"),
    ],
)
def test_what_breaks_the_layout_is_told_with_its_place(at, byte, problem):
    with pytest.raises(DataError, match=rf"a peer: byte \d+ of {len(BY_HAND)}: .*{problem}"):
        read(BY_HAND[:at] + bytes([byte]) + BY_HAND[at + 1 :])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=12) | label_sets.map(lambda pairs: reference.tables([(pairs, [])])[0].encoded(0))))
def test_a_label_set_is_canonical_where_writing_its_pairs_again_gives_its_bytes(sets):
    ends = np.cumsum([0, *map(len, sets)])
    arena = np.frombuffer(b"".join(sets), np.uint8)

    def is_canonical(data):
        try:
            series = reference.thanos.Series.FromString(data)
        except Exception:
            return False
        pairs = [(label.name, label.value) for label in series.labels]
        plain = all(v for _, v in pairs) and [n for n, _ in pairs] == sorted({n for n, _ in pairs}, key=str.encode)
        return plain and not series.chunks and _written(pairs) == data

    found = column_kernels.first_not_canonical(arena, ends)
    assert found == next((i for i, data in enumerate(sets) if not is_canonical(data)), -1)


def _written(pairs):
    """Label messages with both fields told, which protobuf leaves out of empty names."""
    out = b""
    for name, value in ((n.encode(), v.encode()) for n, v in pairs):
        if len(name) > 100 or len(value) > 100:
            return reference.tables([(pairs, [])])[0].encoded(0)
        inner = bytes([0x0A, len(name)]) + name + bytes([0x12, len(value)]) + value
        out += bytes([0x0A, len(inner)]) + inner
    return out


def hostile_base():
    aggregates = {name: (0, bytes([i] * 20), 0) for i, name in enumerate(reference.SUB_CHUNKS[1:])}
    cs = [(1_700_000_000_000, 1_700_000_100_000, {"raw": (2, b"abc" * 60, 0)}), (5, -6, aggregates)]
    labels = [[("__name__", "up"), ("instance", f"i{i}"), ("job", "x" * 130)] for i in range(3)]
    (data,) = write_column_frames(*reference.tables([(pairs, cs) for pairs in labels]), 1)
    return data


GUARDED = reference.Guarded(1 << 13)


def check_hostile(data):
    """A DataError, or tables whose spans lie inside the frame. The frame ends at a page that may not be touched."""
    try:
        frame = read_column_frame(memoryview(GUARDED.put(data)), where="a peer")
    except DataError:
        return
    table = frame.chunks
    assert ((table.at >= 0) & (table.size >= 0) & (table.at + table.size <= len(data))).all()
    assert ((table.series >= 0) & (table.series < len(frame))).all() and (np.diff(table.series) >= 0).all()
    assert (np.diff(frame.labels.offsets) >= 0).all() and frame.labels.offsets[-1] == frame.labels.arena.size
    assert all(frame.labels.pairs(i) or not frame.labels.encoded(i) for i in range(len(frame)))


def test_every_flipped_byte_and_every_truncation_ends_in_an_error_or_in_tables_that_hold():
    base = hostile_base()
    for i in range(len(base)):
        for changed in (base[i] ^ 0x01, base[i] ^ 0x80, 0xFF):
            check_hostile(base[:i] + bytes([changed]) + base[i + 1 :])
        check_hostile(base[:i])


def run_seeded_edits(seed, n):
    """Edits that prefer the sizes; half of them in pairs that keep a column's sum."""
    rng, base = random.Random(seed), hostile_base()
    for _ in range(n):
        data = bytearray(base)
        for _ in range(rng.randint(1, 3)):
            i = rng.randrange(2, 2 + 32 + 36 * 6) if rng.random() < 0.7 else rng.randrange(len(data))
            by = rng.choice((1, 2, 128, rng.randrange(256)))
            data[i] = (data[i] + by) % 256
            if rng.random() < 0.5 and i + 4 < len(data):
                data[i + 4] = (data[i + 4] - by) % 256
        check_hostile(bytes(data))


def test_seeded_edits_end_in_an_error_or_in_tables_that_hold():
    run_seeded_edits(7, 4000)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_a_hundred_thousand_seeded_edits_end_in_an_error_or_in_tables_that_hold(seed):
    run_seeded_edits(seed, 10_000)
