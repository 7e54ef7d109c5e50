"""Blocks that are wrong: left out and reported, the others served."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from athanor.block.meta import BlockMeta, Compaction, ThanosMeta
from athanor.bucket import FilesystemBucket
from athanor.model.errors import DataError, TransientError
from athanor.store.discover import FoundBlock, duplicates
from athanor.storeapi.messages import thanos

BLOCK_A, BLOCK_B = "01M85PJ3KHR8M7MY2BREAE10XS", "01M85PJ3QQABZXVZ2XCY7R6KVX"
FIRST_MS, LAST_MS = 1_700_006_400_000, 1_700_006_600_000


def up_series(store, **fields):
    """(code, labels of all series, warnings) of ``up``."""
    matchers = [thanos.LabelMatcher(name="__name__", value="up")]
    request = thanos.SeriesRequest(min_time=FIRST_MS, max_time=LAST_MS, matchers=matchers, **fields)
    code, message, frames = store.call("/thanos.Store/Series", request.SerializeToString())
    found, warnings = [], []
    for frame in frames:
        response = thanos.SeriesResponse.FromString(frame)
        if response.warning:
            warnings.append(response.warning)
        else:
            found.append({label.name: label.value for label in response.series.labels}["replica"])
    return code, message, found, warnings


def served(store):
    return {block.ulid for block in store.blocks.served.blocks}


def damage(path, at, size=4):
    content = bytearray(path.read_bytes())
    content[at : at + size] = bytes(b ^ 0xFF for b in content[at : at + size])
    path.write_bytes(content)


def test_a_block_without_one_of_its_files_is_left_out(golden_store):
    bucket = golden_store.copy()
    (bucket / BLOCK_A / "chunks" / "000001").unlink()
    store = golden_store.open(FilesystemBucket(bucket))
    assert BLOCK_A not in served(store) and len(served(store)) == 7
    assert up_series(store)[2] == ["b", "b"]
    assert any(BLOCK_A in line and "chunks/000001 is missing" in line for line in store.log)


def test_a_block_whose_file_has_another_size_is_left_out(golden_store):
    bucket = golden_store.copy()
    with (bucket / BLOCK_A / "index").open("ab") as file:
        file.write(b"\0")
    store = golden_store.open(FilesystemBucket(bucket))
    assert BLOCK_A not in served(store)
    assert any("meta.json says" in line for line in store.log)


def test_a_block_comes_back_when_its_file_is_there(golden_store):
    bucket = golden_store.copy()
    file = bucket / BLOCK_A / "chunks" / "000001"
    content = file.read_bytes()
    file.unlink()
    store = golden_store.open(FilesystemBucket(bucket))
    file.write_bytes(content)
    store.blocks.sync()
    assert BLOCK_A in served(store)


@pytest.mark.parametrize("place", ["toc", "table", "symbols"])
def test_a_block_with_a_broken_index_is_left_out(golden_store, place):
    bucket = golden_store.copy()
    index = bucket / BLOCK_A / "index"
    size = index.stat().st_size
    damage(index, {"toc": size - 20, "table": size - 80, "symbols": 12}[place])
    store = golden_store.open(FilesystemBucket(bucket))
    assert BLOCK_A not in served(store)
    assert up_series(store)[2] == ["b", "b"]
    assert any("loading block failed" in line and BLOCK_A in line for line in store.log)
    assert not (golden_store.tmp_path / "data" / BLOCK_A).exists()


def test_a_block_with_broken_postings_is_quarantined_and_the_answer_says_so(golden_store):
    bucket = golden_store.copy()
    store = golden_store.open(FilesystemBucket(bucket))
    block = next(b for b in store.blocks.served.blocks if b.ulid == BLOCK_A)
    header = store.blocks.reader(block).header
    damage(bucket / BLOCK_A / "index", int(header.list_at[header.rows_of("__name__")[1] - 2]))
    for _ in range(2):
        code, _, found, warnings = up_series(store)
        assert (code, found) == ("OK", ["b", "b"])
        (warning,) = warnings
        assert BLOCK_A in warning and "its data is missing" in warning
    assert sum("block is quarantined" in line for line in store.log) == 1


@pytest.mark.parametrize(("file", "text"), [("index", "series entry"), ("chunks/000001", "checksum mismatch")])
def test_broken_series_or_chunks_end_the_call_with_the_place(golden_store, file, text):
    bucket = golden_store.copy()
    path = bucket / BLOCK_A / file
    store = golden_store.open(FilesystemBucket(bucket))
    content = path.read_bytes()
    begin, end = (8, len(content)) if file != "index" else (content.index(b"\0\0\0\0", 400), 900)
    path.write_bytes(content[:begin] + bytes(b ^ 1 for b in content[begin:end]) + content[end:])
    code, message, _, _ = up_series(store)
    assert code == "UNKNOWN"
    assert message.startswith(f"receive series from {BLOCK_A}: block {BLOCK_A}: ") and text in message
    assert store.budget.held_bytes == 0


def test_a_broken_header_file_is_built_again(golden_store):
    golden_store.open()
    path = golden_store.tmp_path / "data" / BLOCK_A / "index-header"
    good = path.read_bytes()
    path.write_bytes(good[:-7])
    store = golden_store.open()
    assert path.read_bytes() == good
    assert any("index-header is built again" in line for line in store.log)
    assert up_series(store)[2] == ["a", "b", "a", "b"]


def test_headers_on_disk_need_no_request(golden_store):
    first = golden_store.open()
    again = golden_store.open()
    assert first.counters.requests["get_range"] == 8 * 4
    assert again.counters.requests["get_range"] == 0


def test_a_block_marked_for_deletion_goes_after_the_delay(golden_store):
    bucket = golden_store.copy()
    mark = {"id": BLOCK_A, "version": 1, "deletion_time": int(time.time()) - 60}
    (bucket / BLOCK_A / "deletion-mark.json").write_text(json.dumps(mark))
    assert BLOCK_A in served(golden_store.open(FilesystemBucket(bucket), deletion_delay_ms=3_600_000))
    assert BLOCK_A not in served(golden_store.open(FilesystemBucket(bucket), deletion_delay_ms=1_000))


def test_a_mark_of_an_unknown_version_fails_the_sync(golden_store):
    bucket = golden_store.copy()
    (bucket / BLOCK_A / "deletion-mark.json").write_text('{"version": 2}')
    with pytest.raises(DataError, match="unexpected deletion-mark file version 2, expected 1"):
        golden_store.open(FilesystemBucket(bucket))


def test_an_unreadable_mark_is_ignored(golden_store):
    bucket = golden_store.copy()
    (bucket / BLOCK_A / "deletion-mark.json").write_text("{")
    assert BLOCK_A in served(golden_store.open(FilesystemBucket(bucket)))


def test_a_block_that_is_gone_is_dropped_with_its_header(golden_store):
    bucket = golden_store.copy()
    store = golden_store.open(FilesystemBucket(bucket))
    shutil.rmtree(bucket / BLOCK_A)
    store.blocks.sync()
    assert BLOCK_A not in served(store)
    assert not (golden_store.tmp_path / "data" / BLOCK_A).exists()


def test_a_block_that_cannot_be_judged_drops_nothing(golden_store):
    bucket = golden_store.copy()
    store = golden_store.open(FilesystemBucket(bucket))
    shutil.rmtree(bucket / BLOCK_A)
    meta = bucket / BLOCK_B / "meta.json"
    strange = bucket / "01M85PJ3QQABZXVZ2XCY7R6KVZ"
    strange.mkdir()
    (strange / "meta.json").write_text(meta.read_text().replace('"version": 1', '"version": 9'))
    with pytest.raises(TransientError, match="incomplete view: 01M85PJ3QQABZXVZ2XCY7R6KVZ"):
        store.blocks.sync()
    assert BLOCK_A in served(store)


def golden_duplicates():
    return json.loads((Path(__file__).parents[2] / "golden/store/duplicate_filter.json").read_text())["cases"]


@pytest.mark.parametrize("case", golden_duplicates(), ids=lambda case: case["id"])
def test_duplicates_are_those_of_the_original(case):
    def ulid(number):
        return f"{number:026d}"

    blocks = [
        FoundBlock(
            ulid(b["id"]),
            BlockMeta(
                ulid(b["id"]), 0, 1, compaction=Compaction(1, tuple(map(ulid, b["sources"]))),
                thanos=ThanosMeta(resolution_ms=b["resolution"]),
            ),
            {},
        )
        for b in case["blocks"]
    ]  # fmt: skip
    dropped = set(duplicates(blocks))
    assert sorted(b["id"] for b in case["blocks"] if ulid(b["id"]) not in dropped) == case["expected_kept"]
