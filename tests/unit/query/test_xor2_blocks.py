"""A block that a Prometheus with XOR2 chunks has written, from the bucket to the answer."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np

from athanor.block.meta import BlockMeta, Compaction, ThanosMeta
from athanor.block.writer import write_block
from athanor.model.tables import ENCODING_XOR2, ChunkTable, label_table
from athanor.store.service import services

from .conftest import FIRST_MS, LAST_MS, LocalStore, open_gateway, open_querier

GOLDEN = json.loads(gzip.decompress((Path(__file__).parents[2] / "golden/xor2/chunks.json.gz").read_bytes()))["chunks"]


def test_the_samples_of_a_block_with_xor2_chunks_are_answered(tmp_path):
    chunks = [chunk for chunk in GOLDEN if chunk["case"] == "xor2_1s"][:3]
    data = [bytes.fromhex(chunk["hex"]) for chunk in chunks]
    n, sizes = len(data), np.array([len(one) for one in data], np.int64)
    first_ms, last_ms = (np.array([chunk["ts_ms"][k] for chunk in chunks], np.int64) for k in (0, -1))
    table = ChunkTable(
        np.zeros(n, np.int32), first_ms, last_ms, np.full(n, ENCODING_XOR2, np.uint8), np.zeros(n, np.uint8),
        np.zeros(n, np.uint64), np.cumsum(sizes) - sizes, sizes, np.frombuffer(b"".join(data), np.uint8),
    )  # fmt: skip
    ulid = "01HF0000000000000000000000"
    meta = BlockMeta(
        ulid, int(first_ms[0]), int(last_ms[-1]) + 1, compaction=Compaction(1, (ulid,)),
        thanos=ThanosMeta(labels={"cluster": "a"}, segment_files=("000001",)),
    )  # fmt: skip
    write_block(tmp_path / "bucket", label_table([[("__name__", "m")]]), table, meta)
    gateway = open_gateway(tmp_path / "bucket", tmp_path / "store")
    querier = open_querier([LocalStore(services(gateway, lambda: FIRST_MS, lambda: LAST_MS))])
    at_ms = int(last_ms[-1])
    _, _, body = querier.ask("GET", "/api/v1/query", [("query", "m[1h]"), ("time", f"{at_ms / 1000}")])
    (series,) = json.loads(body)["data"]["result"]
    expected = [
        (t / 1000, np.uint64(int(b, 16)).view(np.float64))
        for c in chunks
        for t, b in zip(c["ts_ms"], c["bits"], strict=True)
    ]
    assert [(t, float(v)) for t, v in series["values"]] == expected
