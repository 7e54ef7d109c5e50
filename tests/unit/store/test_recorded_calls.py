"""Calls recorded from the original store gateway, made again over the same bucket."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

from athanor.bucket import FilesystemBucket
from athanor.storeapi.messages import hints, info, thanos
from tests.unit.store.conftest import open_store

GOLDEN = Path(__file__).parents[2] / "golden/store"
CASES = json.loads((GOLDEN / "store_gateway.json").read_text())
# These answers come from the server, not from a method (tests of the gRPC server hold them).
SERVER_CASES = {"unknown_method", "unknown_service"}
# Where the original panics, ours evens the value out or names the mistake.
PANICS = {"batch_neg", "res_negative"}
ANSWERS = {
    "/thanos.Store/LabelNames": (thanos.LabelNamesResponse, hints.LabelNamesResponseHints),
    "/thanos.Store/LabelValues": (thanos.LabelValuesResponse, hints.LabelValuesResponseHints),
}


def comparable(method, frames):
    """Frames with what is random in the original put in order."""
    if method == "/thanos.info.Info/Info":
        message = info.InfoResponse.FromString(frames[0])
        infos = sorted(message.store.tsdb_infos, key=lambda i: (i.labels.SerializeToString(), i.min_time))
        del message.store.tsdb_infos[:]
        message.store.tsdb_infos.extend(infos)
        return message
    if method in ANSWERS and frames:
        message_class, hint_class = ANSWERS[method]
        message = message_class.FromString(frames[0])
        queried = hint_class()
        has_hints = message.HasField("hints")
        message.hints.Unpack(queried)
        blocks = sorted(block.id for block in queried.queried_blocks)
        message.ClearField("hints")
        return message, has_hints, blocks
    return [frame.hex() for frame in frames]


@pytest.mark.parametrize("name", sorted(set(CASES) - SERVER_CASES - PANICS))
def test_the_answer_is_that_of_the_original(recorded_store, name):
    case = CASES[name]
    metadata = case.get("metadata") or {}
    code, message, frames = recorded_store.call(case["method"], bytes.fromhex(case["request"]), **metadata)
    assert (code, message) == (case["code"], case["message"])
    recorded = [bytes.fromhex(frame) for frame in case["frames"]]
    assert comparable(case["method"], frames) == comparable(case["method"], recorded)
    assert recorded_store.budget.held_bytes == 0


def test_a_negative_resolution_is_a_mistake_of_the_caller(recorded_store):
    case = CASES["res_negative"]
    code, message, _ = recorded_store.call(case["method"], bytes.fromhex(case["request"]))
    assert code == "INVALID_ARGUMENT"
    assert "max_resolution_window -1 is negative" in message


def test_a_negative_batch_size_asks_for_single_series(recorded_store):
    case = CASES["batch_neg"]
    code, _, frames = recorded_store.call(case["method"], bytes.fromhex(case["request"]))
    assert code == "OK"
    assert [thanos.SeriesResponse.FromString(f).WhichOneof("result") for f in frames] == ["series"] * 4


@pytest.mark.parametrize("path", sorted((GOLDEN / "index-header").iterdir()), ids=lambda p: p.stem)
def test_the_header_file_is_that_of_the_original(golden_store, path):
    golden_store.open()
    assert (golden_store.tmp_path / "data" / path.stem / "index-header").read_bytes() == path.read_bytes()


BLOCK = re.compile(r"\b01[0-9A-Z]{24}\b")  # the recording renamed its blocks afterwards
HISTOGRAMS = Path(__file__).parents[2] / "golden/histograms"


@pytest.mark.parametrize(("recording", "blocks"), [("store", "blocks"), ("downsampled", "blocks_downsample")])
def test_frames_of_native_histograms_are_those_of_the_original(recording, blocks, tmp_path):
    store = open_store(FilesystemBucket(HISTOGRAMS / blocks), tmp_path)
    cases = json.loads(gzip.decompress((HISTOGRAMS / f"storeapi_{recording}.json.gz").read_bytes()))
    for name, case in cases.items():
        code, message, frames = store.call(case["method"], bytes.fromhex(case["request"]))
        assert (name, code, BLOCK.sub("", message)) == (name, case["code"], BLOCK.sub("", case["message"]))
        recorded = [frame for frame in case["frames"] if not is_hints(frame)]
        assert [frame.hex() for frame in frames] == recorded, name


def is_hints(frame):
    return thanos.SeriesResponse.FromString(bytes.fromhex(frame)).WhichOneof("result") == "hints"
