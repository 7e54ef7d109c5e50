"""Histogram chunks are read as Prometheus reads them, and broken ones end in an error."""

from __future__ import annotations

import gzip
import itertools
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from block_reference import Guarded

from athanor.chunk.histogram import HistogramSamples, decode_histogram_chunks
from athanor.model.arrays import as_bytes
from athanor.model.errors import DataError
from athanor.model.tables import ChunkTable

GOLDEN = json.loads((Path(__file__).parents[2] / "golden/chunk/histogram_chunks.json").read_text())
START_TIMES = json.loads(
    gzip.decompress((Path(__file__).parents[2] / "golden/chunk/histogram_start_times.json.gz").read_bytes())
)["chunks"]
CHUNKS = [bytes.fromhex(case["dataHex"]) for case in GOLDEN]
STALE_BITS = 0x7FF0000000000002
EDITS = 4000
# By hand, from the format's description: schema 0, threshold 2**-128, a span of two buckets, two samples.
TWO_SAMPLES = bytes.fromhex("0002007446478fa27140040000000000008be0ea626d626c62")
# Custom bounds 0.005 0.01 0.25 1 33554.43 1e6; spans (0, 2) (1, 1).
CUSTOM = bytes.fromhex(
    "00020000ee5ca48c56b62f9f7e3e9fdffffff20974240000000007f0000c5e7f2b400587ff000000000000118c7e0ea624c26fffe2b8"
)


def table(chunks: list[bytes], encodings: list[int], arena: Any = None) -> ChunkTable:
    n = len(chunks)
    sizes = np.array([len(c) for c in chunks], np.int64)
    zeros = np.zeros(n, np.int64)
    return ChunkTable(
        np.zeros(n, np.int32), zeros, zeros, np.array(encodings, np.uint8), np.zeros(n, np.uint8),
        np.zeros(n, np.uint64), np.cumsum(sizes) - sizes, sizes, as_bytes(b"".join(chunks)) if arena is None else arena,
    )  # fmt: skip


def decode(chunks: list[bytes], encodings: list[int]) -> HistogramSamples:
    return decode_histogram_chunks(table(chunks, encodings), np.arange(len(chunks)))


def rows(decoded: HistogramSamples, chunk: int) -> list[dict[str, Any]]:
    """The samples of one chunk as plain values."""
    h, a = decoded.table, decoded.table.layouts
    found = []
    for row in range(int(decoded.offsets[chunk]), int(decoded.offsets[chunk + 1])):
        i = int(h.layout[row])
        first, middle, end = int(a.pos_at[i]), int(a.neg_at[i]), int(a.pos_at[i + 1])
        at = int(h.bucket_at[row])
        split = at + middle - first
        positive = zip(a.index[first:middle].tolist(), h.buckets[at:split].tolist(), strict=True)
        negative = zip(a.index[middle:end].tolist(), h.buckets[split : at + end - first].tolist(), strict=True)
        found.append({
            "t": int(decoded.ts_ms[row]), "schema": int(a.schema[i]), "threshold": float(a.zero_threshold[i]),
            "count": float(h.count[row]), "sum": int(h.sum.view(np.uint64)[row]), "zero": float(h.zero_count[row]),
            "hint": int(h.hint[row]), "bounds": a.bounds[a.bounds_at[i] : a.bounds_at[i + 1]].tolist(),
            "positive": dict(positive), "negative": dict(negative),
        })  # fmt: skip
    return found


def indexes(spans: list[dict[str, int]]) -> list[int]:
    found, at = [], 0
    for span in spans:
        at += span["offset"]
        found += range(at, at + span["length"])
        at += span["length"]
    return found


def bits(value: float | str) -> int:
    return int(np.float64(value).view(np.uint64))


def expected(case: dict[str, Any]) -> list[dict[str, Any]]:
    shape = case["decoded"]
    found = []
    for number, sample in enumerate(shape["samples"]):
        if "positiveCounts" not in sample and "positiveDeltas" not in sample:
            found.append((sample["t"], "stale"))
            continue
        sides = []
        for side in ("positive", "negative"):
            counts = sample.get(f"{side}Counts")
            if counts is None:
                counts = list(itertools.accumulate(sample[f"{side}Deltas"]))
            sides.append(dict(zip(indexes(shape[f"{side}Spans"]), map(float, counts), strict=True)))
        found.append({
            "t": sample["t"], "schema": shape["schema"], "threshold": shape["zeroThreshold"],
            "count": float(sample["count"]), "sum": bits(sample["sum"]), "zero": float(sample["zeroCount"]),
            "hint": 3 if shape["counterResetHeader"] == "c0" else (2 if number else 0),
            "bounds": shape.get("customValues", []), "positive": sides[0], "negative": sides[1],
        })  # fmt: skip
    return found


def test_golden_chunks_decode_to_the_samples_of_prometheus():
    decoded = decode(CHUNKS, [case["encoding"] for case in GOLDEN])
    n_stale = 0
    for i, case in enumerate(GOLDEN):
        ours = rows(decoded, i)
        assert len(ours) == case["numSamples"]
        for got, wanted in zip(ours, expected(case), strict=True):
            if isinstance(wanted, tuple):
                n_stale += 1
                assert (got["t"], got["sum"], got["positive"], got["hint"]) == (wanted[0], STALE_BITS, {}, 0)
            else:
                assert got == wanted
    assert n_stale == sum(
        "positiveDeltas" not in s and "positiveCounts" not in s for c in GOLDEN for s in c["decoded"]["samples"]
    )


def test_chunks_with_start_times_decode_to_what_was_appended():
    decoded = decode([bytes.fromhex(case["data"]) for case in START_TIMES], [case["encoding"] for case in START_TIMES])
    assert decoded.start_ms is not None
    for i, case in enumerate(START_TIMES):
        first, end = int(decoded.offsets[i]), int(decoded.offsets[i + 1])
        assert decoded.start_ms[first:end].tolist() == [sample["start"] for sample in case["samples"]]
        for number, (got, sample) in enumerate(zip(rows(decoded, i), case["samples"], strict=True)):
            populated = {int(k): v for k, v in sample["positive"].items() if v}
            assert {k: v for k, v in got["positive"].items() if v} == populated
            same = ("t", "schema", "threshold", "count", "zero")
            assert [got[name] for name in same] == [sample[name] for name in same]
            hint = 3 if sample["hint"] == 3 else (2 if number else 0)
            assert (got["sum"], got["hint"], got["negative"]) == (bits(sample["sum"]), hint, {})


def test_chunks_of_both_kinds_stand_beside_each_other():
    """Without a start time a sample has 0; a table of chunks none of which tells one has no column."""
    starts = bytes.fromhex(START_TIMES[-1]["data"])
    decoded = decode([TWO_SAMPLES, starts], [2, START_TIMES[-1]["encoding"]])
    assert decoded.start_ms is not None
    assert decoded.start_ms[:2].tolist() == [0, 0]
    assert decoded.start_ms[2:].tolist() == [sample["start"] for sample in START_TIMES[-1]["samples"]]
    assert decode([TWO_SAMPLES], [2]).start_ms is None


def test_a_chunk_of_the_format_description_is_read():
    first, second = rows(decode([TWO_SAMPLES], [2]), 0)
    assert (first["t"], first["schema"], first["threshold"], first["count"], first["zero"]) == (
        1000,
        0,
        2.0**-128,
        3,
        1,
    )
    assert (first["sum"], first["positive"], first["hint"]) == (bits(2.5), {0: 1.0, 1: 1.0}, 0)
    assert (second["t"], second["count"], second["sum"], second["hint"]) == (16000, 6, bits(7.5), 2)
    assert second["positive"] == {0: 2.0, 1: 3.0}


def test_custom_bounds_are_read_in_both_spellings():
    first, second = rows(decode([CUSTOM], [2]), 0)
    assert first["schema"] == -53
    assert first["bounds"] == [0.005, 0.01, 0.25, 1.0, 33554.43, 1e6]
    assert (first["t"], first["count"], first["sum"]) == (1_700_000_000_000, 6.0, bits(1.5))
    assert first["positive"] == {0: 1.0, 1: 2.0, 3: 3.0}
    assert (second["t"], second["count"], second["positive"]) == (1_700_000_015_000, 8.0, {0: 2.0, 1: 3.0, 3: 3.0})


def test_a_finer_schema_than_8_is_read_as_8():
    """By hand: schema 9 (varbit 1110000001001), index 3 and 4 of a span (3, 2) fall into bucket 2 of schema 8."""
    bits_text = "00000000" + "1110000001001" + "10001" + "10010" + "10011" + "0" + "10001" + "10010" + "0"
    bits_text += format(bits(1.5), "064b") + "10001" + "0"
    data = bytes([0, 1, 0]) + int(bits_text.ljust(-(-len(bits_text) // 8) * 8, "0"), 2).to_bytes(
        -(-len(bits_text) // 8), "big"
    )
    (sample,) = rows(decode([data], [2]), 0)
    assert (sample["schema"], sample["count"], sample["positive"]) == (8, 2.0, {2: 2.0})


def outcome(data: bytes, encoding: int, arena: Any = None) -> HistogramSamples | str:
    """What is read of a chunk, or the error's own words."""
    try:
        return decode_histogram_chunks(table([data], [encoding], arena), np.arange(1))
    except DataError as error:
        return str(error)


def names_the_place(found: HistogramSamples | str) -> bool:
    """Whether it is an error, which must say where."""
    assert not isinstance(found, str) or "chunk 0 at byte 0" in found
    return isinstance(found, str)


ALL_CHUNKS = [(data, case["encoding"]) for data, case in zip(CHUNKS, GOLDEN, strict=True)] + [
    (bytes.fromhex(case["data"]), case["encoding"]) for case in START_TIMES
]


@pytest.mark.parametrize("number", range(len(ALL_CHUNKS)))
def test_every_byte_changed_and_every_truncation_is_an_error_or_another_chunk(number: int):
    data, encoding = ALL_CHUNKS[number]
    guarded = Guarded(len(data))
    n_errors = 0
    for at in range(len(data)):
        for changed in (data[at] ^ 0x01, data[at] ^ 0x80, 0xFF):
            broken = data[:at] + bytes([changed]) + data[at + 1 :]
            n_errors += names_the_place(outcome(broken, encoding, guarded.put(broken)))
        cut = data[:at]
        n_errors += names_the_place(outcome(cut, encoding, guarded.put(cut) if cut else None))
    assert n_errors >= len(data) // 2


def test_seeded_edits_never_read_outside_nor_claim_memory():
    random_edits = random.Random(7)
    guarded = Guarded(max(len(data) for data, _ in ALL_CHUNKS))
    for _ in range(EDITS):
        data = bytearray(random_edits.choice(ALL_CHUNKS)[0])
        for _ in range(random_edits.randrange(1, 6)):
            at = (
                random_edits.randrange(min(len(data), 40))
                if random_edits.random() < 0.7
                else random_edits.randrange(len(data))
            )
            data[at] = random_edits.randrange(256)
        encoding = random_edits.choice((2, 3, 5, 6))
        found = outcome(bytes(data), encoding, guarded.put(bytes(data)))
        if isinstance(found, HistogramSamples):
            assert found.table.buckets.size <= 8 * len(data)


def test_a_span_of_two_to_the_thirty_buckets_is_broken():
    """Threshold 0, schema 0, one span whose length is a varbit of 2**30: 11111110 and 56 bits."""
    bits_text = "00000000" + "0" + "10001" + "11111110" + format(1 << 30, "056b") + "0" + "0" * 200
    data = bytes([0, 1, 0]) + int(bits_text.ljust(-(-len(bits_text) // 8) * 8, "0"), 2).to_bytes(
        -(-len(bits_text) // 8), "big"
    )
    with pytest.raises(DataError, match="broke at byte 3"):
        decode([data], [2])


def test_an_unknown_schema_is_named():
    bits_text = "00000000" + "110111111"  # 6 bits hold -1 at most 63: use -30, below -9
    bits_text = "00000000" + "110" + format((-30) & 63, "06b") + "0" * 60
    data = bytes([0, 1, 0]) + int(bits_text.ljust(-(-len(bits_text) // 8) * 8, "0"), 2).to_bytes(
        -(-len(bits_text) // 8), "big"
    )
    with pytest.raises(DataError, match="schema that is not between -9 and 52, nor -53"):
        decode([data], [2])


def test_a_chunk_without_samples_and_no_chunk_at_all_are_nothing():
    assert decode([b"\0\0\0"], [2]).ts_ms.size == 0
    assert decode([], []).ts_ms.size == 0
    with pytest.raises(DataError, match="histogram chunk of 2 bytes"):
        decode([b"\0\1"], [2])
