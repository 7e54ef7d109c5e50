"""XOR2 chunks: those of a real Prometheus, hand-made ones, and damaged ones against a plain reader."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import numpy as np
import pytest
import xor2_reference
from block_reference import Guarded

from athanor.chunk.xor import BrokenChunk, decode_chunks, encode_series
from athanor.model.tables import ENCODING_XOR, ENCODING_XOR2, ChunkTable
from athanor.model.workspace import Workspace

GOLDEN = json.loads(gzip.decompress((Path(__file__).parents[2] / "golden/xor2/chunks.json.gz").read_bytes()))["chunks"]
BASE_MS, STALE = 1_700_000_000_000, 0x7FF0000000000002


def table(chunks: list[tuple[int, bytes]], arena: np.ndarray | None = None) -> ChunkTable:
    """(encoding, data) of each chunk."""
    sizes = np.array([len(data) for _, data in chunks], np.int64)
    n = len(chunks)
    return ChunkTable(
        np.arange(n, dtype=np.int32), np.zeros(n, np.int64), np.zeros(n, np.int64),
        np.array([encoding for encoding, _ in chunks], np.uint8), np.zeros(n, np.uint8), np.zeros(n, np.uint64),
        np.cumsum(sizes) - sizes, sizes,
        np.frombuffer(b"".join(data for _, data in chunks), np.uint8) if arena is None else arena,
    )  # fmt: skip


def decode(chunks: ChunkTable) -> list[list[tuple[int, int]]]:
    samples = decode_chunks(chunks, np.arange(len(chunks)), Workspace())
    pairs = list(zip(samples.ts_ms.tolist(), samples.values.view(np.uint64).tolist(), strict=True))
    return [pairs[a:b] for a, b in zip(samples.offsets[:-1].tolist(), samples.offsets[1:].tolist(), strict=True)]


@pytest.mark.parametrize("chunk", GOLDEN, ids=lambda chunk: f"{chunk['case']} {len(chunk['ts_ms'])}")
def test_the_chunks_of_a_real_head_are_read(chunk):
    data = bytes.fromhex(chunk["hex"])
    expected = list(zip(chunk["ts_ms"], (int(b, 16) for b in chunk["bits"]), strict=True))
    assert decode(table([(ENCODING_XOR2, data)])) == [expected]
    assert xor2_reference.decode(data) == expected


def test_an_interval_that_changes_and_stale_markers_are_read():
    data = bytes.fromhex(
        "000a0080a0abfef9623ff00000000000009875c12fffb0005bfff980f00072c2ffe00000000000da814ce07efffffffffff257ebe0"
    )
    after = (0, 15_000, 30_000, 45_001, 60_001, 75_002, 90_003, 1_000_000, 1_015_000, 1_030_000)
    values = (1.0, 2.0, 2.0, 2.0, 3.0, 4.0, None, 4.5, None, 4.5)
    expected = [STALE if v is None else int(np.float64(v).view(np.uint64)) for v in values]
    assert decode(table([(ENCODING_XOR2, data)])) == [[(BASE_MS + t, v) for t, v in zip(after, expected, strict=True)]]


def test_chunks_of_both_encodings_stand_beside_each_other():
    ts_ms, values = np.array([1, 2, 3], np.int64), np.array([5.0, 6.0, 8.0])
    old = encode_series(ts_ms, values, np.array([0, 3])).arena.tobytes()
    new = bytes.fromhex(GOLDEN[0]["hex"])
    found = decode(table([(ENCODING_XOR, old), (ENCODING_XOR2, new), (ENCODING_XOR, old)]))
    assert found[0] == found[2] == list(zip(ts_ms.tolist(), values.view(np.uint64).tolist(), strict=True))
    assert [t for t, _ in found[1]] == GOLDEN[0]["ts_ms"]


def test_a_broken_chunk_is_told_with_its_place():
    data = bytes.fromhex(GOLDEN[0]["hex"])
    with pytest.raises(BrokenChunk, match=r"chunk 1 at byte \d+: XOR chunk of 120 samples broke at byte \d+ of 20"):
        decode(table([(ENCODING_XOR2, data), (ENCODING_XOR2, data[:20])]))


def check_damaged(guard: Guarded, data: bytes) -> None:
    arena = guard.put(data)
    try:
        found = decode(table([(ENCODING_XOR2, data)], arena))[0]
    except BrokenChunk:
        found = None
    assert found == (xor2_reference.decode(data) if len(data) >= 3 else None)


def test_damaged_chunks_read_as_the_plain_reader_reads_them_or_are_refused():
    guard, rng = Guarded(1 << 13), random.Random(3)
    short = [bytes.fromhex(c["hex"]) for c in GOLDEN if len(c["hex"]) < 400]
    for data in short[:4]:
        for i in range(len(data)):
            for changed in (data[i] ^ 0x01, data[i] ^ 0x80, 0xFF):
                check_damaged(guard, data[:i] + bytes([changed]) + data[i + 1 :])
            check_damaged(guard, data[:i])
    for _ in range(500):
        data = bytearray(rng.choice(short))
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(2, len(data))] = rng.randrange(256)
        check_damaged(guard, bytes(data))
