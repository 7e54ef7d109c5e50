"""Frames of series against protobuf objects, against golden bytes, and against hostile bytes."""

from __future__ import annotations

import importlib.util
import json
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.model.errors import DataError
from athanor.storeapi import frames, rows
from athanor.storeapi.frames import (
    SeriesFrame,
    WarningFrame,
    read_joined_frames,
    read_series_frame,
    write_series_frames,
)
from athanor.storeapi.messages import thanos

_spec = importlib.util.spec_from_file_location("storeapi_reference", Path(__file__).with_name("reference.py"))
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)

GOLDEN = Path(__file__).parents[2] / "golden" / "storeapi"
WIRE = [
    m for m in json.loads((GOLDEN / "wire_messages.json").read_text())["messages"] if "SeriesResponse" in m["message"]
]

names = st.sampled_from(["__name__", "a", "ab", "b", "job", "z", "le", "ü"])
values = st.text(alphabet="ab:1é", min_size=1, max_size=150)
label_sets = st.dictionaries(names, values, max_size=6).map(lambda d: sorted(d.items(), key=lambda p: p[0].encode()))
times = st.integers(-(2**63), 2**63 - 1) | st.integers(1_700_000_000_000, 1_700_000_100_000)
sub_chunk = st.tuples(st.integers(0, 2), st.binary(max_size=40), st.integers(1, 2**64 - 1))
chunks = st.tuples(times, times, st.dictionaries(st.sampled_from(reference.SUB_CHUNKS), sub_chunk, min_size=1)).map(
    lambda c: (c[0], c[1], {name: c[2][name] for name in reference.SUB_CHUNKS if name in c[2]})
)
series_lists = st.lists(st.tuples(label_sets, st.lists(chunks, max_size=4)), max_size=5)


def distinct_neighbours(series):
    """Two aggregate chunks of equal times, the second's kinds above the first's, are one chunk to the columns."""
    for _, cs in series:
        for a, b in pairwise(cs):
            first_kind = reference.SUB_CHUNKS.index(next(iter(b[2])))
            if a[:2] == b[:2] and first_kind > reference.SUB_CHUNKS.index(list(a[2])[-1]):
                return False
    return True


@settings(max_examples=150, deadline=None)
@given(series_lists)
def test_a_batch_reads_as_protobuf_reads_it(series):
    data = reference.batch_frame([reference.series_message(labels, cs) for labels, cs in series])
    assert reference.rows_of(read_series_frame(data)) == reference.rows_of_message(data)


@settings(max_examples=150, deadline=None)
@given(series_lists.filter(distinct_neighbours), st.integers(0, 3))
def test_written_frames_are_the_bytes_that_protobuf_writes(series, batch_size):
    written = list(write_series_frames(*reference.tables(series), batch_size))
    made = [reference.series_message(labels, cs) for labels, cs in series]
    if batch_size < 2:
        assert written == [reference.single_frame(m) for m in made]
    else:
        assert written == [reference.batch_frame(made[i : i + batch_size]) for i in range(0, len(made), batch_size)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.tuples(names | st.just(""), values | st.just("")), max_size=6), min_size=1, max_size=3))
def test_label_sets_in_any_order_are_rewritten_to_the_canonical_form(sets):
    data = reference.batch_frame([reference.series_message(labels, []) for labels in sets])
    frame = read_series_frame(data)
    expected, _ = reference.tables([(labels, []) for labels in sets])
    assert [frame.labels.encoded(i) for i in range(len(frame))] == [expected.encoded(i) for i in range(len(expected))]


def test_a_length_that_is_not_the_shortest_is_rewritten():
    data = bytes.fromhex("0a0b" + "0a8800" + "0a0161" + "12820061" + "62")
    frame = read_series_frame(data)
    assert frame.labels.encoded(0).hex() == "0a070a016112026162"


def test_the_golden_series_is_read_and_written_byte_for_byte():
    data = bytes.fromhex(WIRE[0]["hex"])
    frame = read_series_frame(data)
    assert reference.rows_of(frame) == [
        (
            [("__name__", "up"), ("job", "a")],
            [(1, 3, 0, 1, bytes.fromhex("0003023ff000000000000001c25fff6c06"), 14853728993738741392)],
        )
    ]
    assert list(write_series_frames(frame.labels, frame.chunks, 0)) == [data]


def test_the_golden_batch_is_read_and_written_byte_for_byte():
    data = bytes.fromhex(WIRE[1]["hex"])
    frame = read_series_frame(data)
    assert [frame.labels.pairs(i) for i in range(2)] == [[("a", "a")], [("a", "b")]]
    assert list(write_series_frames(frame.labels, frame.chunks, 64)) == [data]


def test_a_warning_and_hints_are_told_apart():
    assert read_series_frame(bytes.fromhex(WIRE[2]["hex"])) == WarningFrame("warning")
    hints = read_series_frame(bytes.fromhex(WIRE[3]["hex"]))
    assert frames.warning_frame("warning").hex() == WIRE[2]["hex"]
    assert hints.data == bytes.fromhex(WIRE[3]["hex"])[2:]


def test_a_hash_that_the_table_does_not_know_is_computed():
    data = bytes.fromhex(WIRE[0]["hex"])
    frame = read_series_frame(data)
    unknown = replace(frame.chunks, hash=np.zeros(1, np.uint64))
    assert list(write_series_frames(frame.labels, unknown, 0)) == [data]


def test_the_chunk_arena_is_the_frame_itself():
    data = bytes.fromhex(WIRE[0]["hex"])
    frame = read_series_frame(data)
    assert np.shares_memory(frame.chunks.arena, np.frombuffer(data, np.uint8))


def test_messages_of_one_series_each_are_read_together():
    series = [reference.series_message([("a", str(i))], [(i, i, {"raw": (0, b"x", 7)})]) for i in range(3)]
    joined = b"".join(reference.single_frame(s) for s in series)
    assert reference.rows_of(read_joined_frames(joined)) == reference.rows_of_message(reference.batch_frame(series))
    with pytest.raises(DataError, match="more than one result"):
        read_series_frame(joined)


def test_a_chunk_with_times_only_is_kept_where_a_proxy_asks_for_it():
    data = reference.single_frame(reference.series_message([("a", "b")], [(5, 6, {})]))
    assert len(read_series_frame(data).chunks) == 0
    kept = read_series_frame(data, keep_empty=True)
    assert (kept.chunks.encoding.tolist(), kept.chunks.first_ms.tolist()) == ([0], [5])
    assert list(write_series_frames(kept.labels, kept.chunks, 1)) == [data]


def test_a_frame_closes_at_a_megabyte_and_a_giant_series_goes_through_whole():
    big = {"raw": (0, bytes(400_000), 1)}
    series = [([("a", str(i))], [(1, 2, big)] * (5 if i == 2 else 1)) for i in range(6)]
    written = list(write_series_frames(*reference.tables(series), 1000))
    counts = [len(thanos.SeriesResponse.FromString(data).batch.series) for data in written]
    assert counts == [2, 1, 2, 1]


def test_an_unknown_field_is_skipped_wherever_it_stands():
    unknown = bytes.fromhex("f80102" + "fa0103616263" + "fd0100000000" + "f9010000000000000000")
    label = bytes.fromhex("0a0161120162") + unknown
    series = bytes([0x0A, len(label)]) + label + unknown
    data = unknown + bytes([0x0A, len(series)]) + series + unknown
    assert reference.rows_of(read_series_frame(data)) == [([("a", "b")], [])]


def test_a_gather_copies_each_span_from_its_own_arena():
    _, chunks = reference.tables([([("a", "b")], [(1, 2, {"raw": (0, b"xxxx", 0)}), (3, 4, {"raw": (0, b"yy", 0)})])])
    arenas = [np.frombuffer(b"..yy", np.uint8), np.frombuffer(b".xxxx", np.uint8)]
    moved = replace(chunks, at=np.array([1, 2]))
    gathered = rows.gather(moved, arenas, np.array([1, 0], np.int32))
    assert gathered.arena.tobytes() == b"xxxxyy" and gathered.at.tolist() == [0, 4]
    with pytest.raises(DataError, match="chunk row 0: 4 bytes at 1 run past 4"):
        rows.gather(moved, arenas, np.array([0, 0], np.int32))


def hostile_base():
    labels = [[("__name__", "up"), ("instance", f"i{i}"), ("job", "x" * 130)] for i in range(3)]
    aggregates = {name: (0, bytes([i] * 20), 2**63 + i) for i, name in enumerate(reference.SUB_CHUNKS[1:])}
    cs = [(1_700_000_000_000, 1_700_000_100_000, {"raw": (2, b"abc" * 60, 1)}), (5, -6, aggregates)]
    made = [reference.series_message(pairs, cs) for pairs in labels]
    return reference.batch_frame(made), reference.single_frame(made[0])


GUARDED = reference.Guarded(1 << 13)


def check_hostile(data):
    """A DataError, or columns whose spans lie inside the frame and are what protobuf reads where it accepts the bytes.

    The frame ends at a page that may not be touched.
    """
    try:
        frame = read_series_frame(memoryview(GUARDED.put(data)))
    except DataError:
        return
    if not isinstance(frame, SeriesFrame):
        return
    columns = frame.chunks
    assert ((columns.at >= 0) & (columns.size >= 0) & (columns.at + columns.size <= len(data))).all()
    assert (np.diff(frame.labels.offsets) >= 0).all() and frame.labels.offsets[-1] <= frame.labels.arena.size
    try:
        expected = reference.rows_of_message(data)
    except (
        Exception
    ):  # protobuf refuses text that is not UTF-8 and groups; the reference implementation does not read on
        return
    got = reference.rows_of(frame)
    for (pairs, got_rows), (want_pairs, want_rows) in zip(got, expected, strict=True):
        assert pairs == want_pairs
        assert [r[:3] + r[4:] for r in got_rows] == [r[:3] + r[4:] for r in want_rows]


@pytest.mark.parametrize("base", hostile_base(), ids=["batch", "single"])
def test_every_flipped_byte_and_every_truncation_ends_in_an_error_or_the_reference_answer(base):
    for i in range(len(base)):
        for changed in (base[i] ^ 0x01, base[i] ^ 0x80, 0xFF):
            check_hostile(base[:i] + bytes([changed]) + base[i + 1 :])
        check_hostile(base[:i])


def edited(rng, base):
    """A few edits that prefer lengths: a byte replaced, bytes put in or taken out."""
    data = bytearray(base)
    for _ in range(rng.randint(1, 4)):
        i = rng.randrange(len(data))
        if rng.random() < 0.5:
            data[i] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif rng.random() < 0.5:
            data[i:i] = bytes(rng.choice((0x80, 0xFF, 0x0A, 0x12)) for _ in range(rng.randint(1, 10)))
        elif len(data) > 8:
            del data[i : i + rng.randint(1, 8)]
    return bytes(data)


def run_seeded_edits(seed, n):
    rng, bases = random.Random(seed), hostile_base()
    for _ in range(n):
        check_hostile(edited(rng, rng.choice(bases)))


def test_seeded_edits_of_lengths_end_in_an_error_or_the_reference_answer():
    run_seeded_edits(20, 4000)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_a_hundred_thousand_seeded_edits_end_in_an_error_or_the_reference_answer(seed):
    run_seeded_edits(seed, 10_000)
