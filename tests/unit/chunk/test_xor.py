"""XOR chunks are read and written as Prometheus does, and broken ones end in an error."""

from __future__ import annotations

import json
import math
import random
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xor_reference as reference
from block_reference import Guarded
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.chunk import xor, xor_kernels
from athanor.model.arrays import as_bytes
from athanor.model.errors import DataError, NotAvailableError
from athanor.model.tables import ChunkTable
from athanor.model.workspace import Workspace

GOLDEN = Path(__file__).parents[2] / "golden" / "chunk"


def table(chunks: list[bytes], encoding: int = 1) -> ChunkTable:
    n = len(chunks)
    sizes = np.array([len(c) for c in chunks], np.int64)
    zeros = np.zeros(n, np.int64)
    return ChunkTable(
        np.zeros(n, np.int32), zeros, zeros, np.full(n, encoding, np.uint8), np.zeros(n, np.uint8),
        np.zeros(n, np.uint64), np.cumsum(sizes) - sizes, sizes, as_bytes(b"".join(chunks)),
    )  # fmt: skip


def decode(chunks: list[bytes]) -> list[list[tuple[int, int]]]:
    samples = xor.decode_chunks(table(chunks), np.arange(len(chunks)), Workspace())
    pairs = list(zip(samples.ts_ms.tolist(), samples.values.view(np.uint64).tolist(), strict=True))
    return [pairs[a:b] for a, b in zip(samples.offsets[:-1], samples.offsets[1:], strict=True)]


def encode(series: list[list[tuple[int, int]]], cut: xor.Cut | None = None) -> list[bytes]:
    flat = [sample for samples in series for sample in samples]
    offsets = np.cumsum([0, *(len(s) for s in series)])
    values = np.array([v for _, v in flat], np.uint64).view(np.float64)
    encoded = xor.encode_series(np.array([t for t, _ in flat], np.int64), values, offsets, cut)
    return [encoded.arena[a : a + s].tobytes() for a, s in zip(encoded.at, encoded.size, strict=True)]


def bits(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


T = 1_700_000_000_000
QUIET, STALE = 0x7FF8000000000001, 0x7FF0000000000002
VECTORS = [
    ("000580a0abfef9623ff0000000000000987500", [(T + 15000 * k, bits(1.0)) for k in range(5)]),
    (
        "000680a0abfef9623ff00000000000009875c25fff8001d80efffb585c000e82a7d74060",
        [(T, bits(1)), (T + 15000, bits(2)), (T + 30001, bits(3)), (T + 45000, bits(4)), (T + 60000, bits(1000)),
         (T + 75000, bits(1001))],
    ),
    (
        "000580a0abfef9623fe000000000000098753505f80000000001b59f461fe014000000000000fffffffffffe4a60c600300a00000000000040",
        [(T, bits(0.5)), (T + 15000, bits(0.5)), (T + 30000, bits(0.25)), (T + 3630000, QUIET),
         (T + 3645000, bits(-0.25))],
    ),
    (
        "0003f6cdc9fdf9627ff80000000000019875d9a4000000000001a8000000000003",
        [(1699999200123 + 15000 * k, v) for k, v in enumerate((QUIET, STALE, QUIET))],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("data", "samples"), VECTORS)
def test_vectors_are_read_and_written(data: str, samples: list[tuple[int, int]]) -> None:
    assert decode([bytes.fromhex(data)]) == [samples]
    assert encode([samples]) == [bytes.fromhex(data)]


def test_a_byte_after_the_last_sample_is_ignored() -> None:
    data, samples = VECTORS[0]
    assert decode([bytes.fromhex(data + "00")]) == [samples]


def test_every_chunk_of_a_real_block_equals_the_plain_reader_and_is_written_back_identically() -> None:
    chunks = [bytes.fromhex(c["dataHex"]) for c in json.loads((GOLDEN / "block-main.chunks.json").read_text())]
    expected = [reference.decode(chunk) for chunk in chunks]
    assert decode(chunks) == expected
    flat_cut = xor.Cut(range_ms=1 << 60, target_samples=1 << 30, max_bytes=0, zero_byte=True)
    assert [encode([samples], flat_cut)[0] for samples in expected] == chunks


def _environment() -> dict[str, Any]:
    def mix(i: int) -> int:
        m = 2**64 - 1
        z = ((i + 1) * 0x9E3779B97F4A7C15) & m
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & m
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & m
        return z ^ (z >> 31)

    special = {"STALE": np.uint64(STALE), "QNAN": np.uint64(QUIET)}
    return {
        "T0": 1_700_006_400_000,
        "mix": mix,
        "u": lambda i: (mix(i) >> 11) / 2**53,
        "math": math,
        "inf": math.inf,
    } | special


CASES = {
    case["name"]: case
    for case in json.loads((GOLDEN / "float_cuts.json").read_text())["cases"]
    if [step["op"] for step in case["steps"]] == ["append", "memory"] and "errors" not in case["steps"][0]
}


def _input(case: dict[str, Any]) -> dict[str, list[tuple[int, int]]]:
    names = case.get("series", ["a"])
    series: dict[str, list[tuple[int, int]]] = {name: [] for name in names}
    for segment in case["input"]:
        for i in range(segment["n"]):
            scope = _environment() | {"i": i}
            t, v = eval(segment["t"], scope), eval(segment["v"], scope)
            samples = series[names[eval(str(segment.get("s", 0)), scope)]]
            if not samples or t > samples[-1][0]:
                samples.append((t, int(v) if isinstance(v, np.uint64) else bits(float(v))))
    return series


@pytest.mark.parametrize("name", sorted(CASES))
def test_series_are_cut_into_the_chunks_of_prometheus(name: str) -> None:
    case = CASES[name]
    expected = case["steps"][-1]["series"]
    for label, samples in _input(case).items():
        chunks = encode([samples], xor.Cut(range_ms=case["range"]))
        found = [[c[0][0], c[-1][0], len(c)] for c in decode(chunks)]
        assert found == [chunk[:3] for chunk in expected[label]]
        assert [len(c) for c in chunks] == [chunk[4] for chunk in expected[label]]
        for chunk, recorded in zip(chunks, expected[label], strict=True):
            if len(recorded) > 6:
                assert chunk.hex() == recorded[6]


I63 = st.integers(-(2**63), 2**63 - 1)
VALUES = st.one_of(
    st.sampled_from([0, bits(1.0), bits(-0.0), STALE, QUIET, bits(5e-324), 2**64 - 1]),
    st.integers(0, 2**64 - 1),
    st.integers(0, 10**6).map(lambda n: bits(float(n))),
)
SAMPLES = st.lists(
    st.tuples(st.one_of(I63, st.integers(0, 40).map(lambda k: T + 15000 * k)), VALUES), min_size=1, max_size=60
)


@given(st.lists(SAMPLES, min_size=1, max_size=4))
def test_coding_any_samples_equals_the_plain_reference_and_comes_back(series: list[list[tuple[int, int]]]) -> None:
    chunks = encode(series)
    assert chunks == [reference.encode(samples) for samples in series]
    assert decode(chunks) == series


@settings(max_examples=400)
@given(SAMPLES, st.data())
def test_broken_chunks_read_as_the_plain_reader_reads_them_or_are_refused(
    samples: list[tuple[int, int]], data: Any
) -> None:
    chunk = bytearray(reference.encode(samples))
    for _ in range(data.draw(st.integers(1, 3))):
        chunk[data.draw(st.integers(0, len(chunk) - 1))] = data.draw(st.integers(0, 255))
    broken = bytes(chunk[: data.draw(st.integers(0, len(chunk)))])
    try:
        expected = reference.decode(broken)
    except (EOFError, OverflowError, ValueError):
        with pytest.raises(DataError, match="chunk 0"):
            decode([broken])
        return
    assert decode([broken]) == [expected]
    assert decode([broken, bytes(60)])[0] == expected  # away from the arena's end the other loop runs


def test_no_chunk_is_read_past_its_arena_however_it_is_damaged() -> None:
    rng = random.Random(4)
    guard = Guarded(1 << 16)
    for recorded in json.loads((GOLDEN / "block-main.chunks.json").read_text()):
        sound = bytes.fromhex(recorded["dataHex"])
        for _ in range(40):
            broken = bytearray(sound[: rng.choice((len(sound), rng.randrange(len(sound)))) or 1])
            broken[rng.randrange(len(broken))] = rng.randrange(256)
            whole = table([bytes(broken)])
            try:
                expected = reference.decode(bytes(broken))
            except (EOFError, OverflowError, ValueError):
                expected = None
            try:
                samples = xor.decode_chunks(replace(whole, arena=guard.put(bytes(broken))), np.arange(1), Workspace())
            except DataError:
                assert expected is None
                continue
            assert list(zip(samples.ts_ms.tolist(), samples.values.view(np.uint64).tolist(), strict=True)) == expected


def test_samples_without_room_are_not_written() -> None:
    data = bytes.fromhex(VECTORS[0][0])
    ts_ms, bits_out, bad_at = np.zeros(4, np.int64), np.zeros(4, np.uint64), np.zeros(1, np.int64)
    at, size, out_at = np.zeros(1, np.int64), np.array([len(data)]), np.zeros(1, np.int64)
    assert xor_kernels.decode(as_bytes(data), at, size, out_at, ts_ms, bits_out, bad_at) == 1
    assert (bad_at[0], ts_ms.any(), bits_out.any()) == (-2, False, False)


def test_other_encodings_are_refused_by_name() -> None:
    with pytest.raises(NotAvailableError, match="native histogram"):
        xor.decode_chunks(table([b"\0\0\0"], 2), np.arange(1), Workspace())
    with pytest.raises(DataError, match="encoding 9"):
        xor.decode_chunks(table([b"\0\0\0"], 9), np.arange(1), Workspace())


def test_a_workspace_hands_the_same_memory_out_again() -> None:
    workspace = Workspace()
    first = workspace.take("x", 100, np.int64)
    assert np.shares_memory(first, workspace.take("x", 50, np.float64))
    assert not np.shares_memory(first, workspace.take("y", 50, np.float64))
