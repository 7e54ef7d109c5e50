"""What every store must answer (the original's acceptance cases), with blocks written for each case."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from athanor.block.meta import BlockMeta, Compaction, ThanosMeta
from athanor.block.writer import encode_samples, write_block
from athanor.bucket import FilesystemBucket
from athanor.kernel.labels import sort_order, take
from athanor.model.tables import Samples, label_table
from athanor.storeapi.messages import thanos

GOLDEN = json.loads((Path(__file__).parents[2] / "golden/store/store_acceptance.json").read_text())
NOW_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
TYPES = {"EQ": 0, "NEQ": 1, "RE": 2, "NRE": 3}
BOUNDS = {"min": -(2**62), "max": 2**62, "now-4h": NOW_MS - 4 * HOUR_MS}
# compat: a store gateway cannot hold a block without series, and does not refuse an empty label name.
CASES = [case for case in GOLDEN["cases"] if case["series"]]


def write(root, case):
    """Two blocks that differ in the external label ``replica``, as in the original's test."""
    series = sorted({tuple(map(tuple, s["labels"])): s["timestamp"] for s in case["series"]}.items())
    labels = label_table([s for s, _ in series])
    order = sort_order(labels)
    ts_ms = np.array([NOW_MS if t == "now" else int(t) for _, t in series], np.int64)[order]
    samples = Samples(ts_ms, np.ones(len(series)), np.arange(len(series) + 1, dtype=np.int64))
    chunks = encode_samples(samples)
    for number, replica in enumerate(("r1", "r2")):
        ulid = f"01HF000000000000000000000{number}"
        external = {**dict(GOLDEN["external_labels"]), "replica": replica}
        thanos_meta = ThanosMeta(labels=external, segment_files=("000001",))
        meta = BlockMeta(
            ulid, int(ts_ms.min()), int(ts_ms.max()) + 1, compaction=Compaction(1, (ulid,)), thanos=thanos_meta
        )
        write_block(root, take(labels, order), chunks, meta)


def matchers(found):
    return [thanos.LabelMatcher(type=TYPES[m["type"]], name=m["name"], value=m["value"]) for m in found]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["desc"])
def test_the_store_answers_as_every_store_must(case, golden_store):
    root = golden_store.tmp_path / "blocks"
    root.mkdir()
    write(root, case)
    store = golden_store.open(FilesystemBucket(root))
    common = {"without_replica_labels": GOLDEN["without_replica_labels"]}
    for asked in case["label_names"]:
        request = thanos.LabelNamesRequest(
            start=BOUNDS[asked["start"]], end=BOUNDS[asked["end"]], matchers=matchers(asked["matchers"]), **common
        )
        _, _, (answer,) = store.call("/thanos.Store/LabelNames", request.SerializeToString())
        assert list(thanos.LabelNamesResponse.FromString(answer).names) == asked["expected"]
    for asked in case["label_values"]:
        request = thanos.LabelValuesRequest(
            start=BOUNDS[asked["start"]], end=BOUNDS[asked["end"]], label=asked["label"],
            matchers=matchers(asked["matchers"]), **common,
        )  # fmt: skip
        _, _, (answer,) = store.call("/thanos.Store/LabelValues", request.SerializeToString())
        assert list(thanos.LabelValuesResponse.FromString(answer).values) == asked["expected"]
    for asked in case["series_calls"]:
        request = thanos.SeriesRequest(
            min_time=BOUNDS[asked["start"]], max_time=BOUNDS[asked["end"]], skip_chunks=asked.get("skip_chunks", False),
            matchers=matchers(asked["matchers"]), **common,
        )  # fmt: skip
        code, message, frames = store.call("/thanos.Store/Series", request.SerializeToString())
        if asked.get("error"):
            assert asked["error"].endswith(message)
            continue
        assert code == "OK", message
        found = [thanos.SeriesResponse.FromString(frame).series for frame in frames]
        assert [[[label.name, label.value] for label in s.labels] for s in found] == asked["expected"]
