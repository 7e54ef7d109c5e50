"""The ordered merge and the streams that feed it: golden cases of the reference proxy, and a plain reference."""

from __future__ import annotations

import importlib.util
import itertools
import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.model.budget import Budget, OverBudget
from athanor.model.cancel import Cancelled, CancelToken
from athanor.storeapi.frames import SeriesFrame, read_joined_frames, read_series_frame, warning_frame
from athanor.storeapi.merge import merge_streams
from athanor.storeapi.shards import Shard, matching_rows, shard_hashes
from athanor.storeapi.streams import StoreStream, StreamError, StreamFailure, StreamOptions

_spec = importlib.util.spec_from_file_location("storeapi_reference", Path(__file__).with_name("reference.py"))
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)

GOLDEN = Path(__file__).parents[2] / "golden" / "storeapi"
MERGE = json.loads((GOLDEN / "series_merge.json").read_text())


class ListSource:
    """Frames that are already there; reserves their bytes as a stream does."""

    def __init__(self, frames, budget):
        self._frames = list(frames)
        self._budget = budget

    def next_frame(self):
        if not self._frames:
            return None
        frame = self._frames.pop(0)
        self._budget.take("test", frame.n_bytes)
        return frame


class ListCall:
    """A Series call that yields messages, raises where a message is an exception, and blocks at None until
    cancelled."""

    def __init__(self, messages):
        self._messages = messages
        self.cancelled = threading.Event()

    def __iter__(self):
        for message in self._messages:
            if message is None:
                self.cancelled.wait(20)
            if isinstance(message, Exception):
                raise message
            if self.cancelled.is_set():
                return
            if message is not None:
                yield message

    def cancel(self):
        self.cancelled.set()


def merge_frames(streams):
    """Merged rows of lists of frames; checks that the budget ends where it began."""
    budget = Budget(1 << 30)
    out, order = [], []
    for batch in merge_streams([ListSource(frames, budget) for frames in streams], budget):
        out += reference.rows_of(SeriesFrame(batch.labels, batch.chunks))
        order.append(len(batch))
        budget.give(batch.held_bytes)
    assert budget.held_bytes == 0
    return out


def expected_rows(items):
    return [
        ([tuple(p) for p in item["labels"]], reference.rows_of_message(reference.golden_frames([item])[0])[0][1])
        for item in items
    ]


def test_the_chunks_of_the_reference_are_the_golden_ones():
    for chunk in MERGE["xor_chunks_used"]:
        assert reference.xor_chunk(chunk["samples"]).hex() == chunk["xor_chunk_hex"]


@pytest.mark.parametrize("case", MERGE["merge_series_sets"][:-1], ids=lambda c: c["name"])
@pytest.mark.parametrize("split", [1, 99])
def test_sorted_sets_merge_as_in_the_reference(case, split):
    streams = []
    for items in case["sets"]:
        messages = reference.golden_frames(items)
        streams.append([read_joined_frames(b"".join(messages[i : i + split])) for i in range(0, len(messages), split)])
    assert merge_frames(streams) == expected_rows(case["expected"])


@pytest.mark.parametrize("case", MERGE["response_deduplicator"], ids=lambda c: c["name"])
def test_chunks_of_one_series_are_ordered_and_deduplicated_as_in_the_reference(case):
    messages = reference.golden_frames([{"labels": [["a", "b"]], "chunks": c} for c in case["same_series_frames"]])
    expected = expected_rows([{"labels": [["a", "b"]], "chunks": case["expected_chunks"]}])
    assert merge_frames([[read_series_frame(m) for m in messages]]) == expected
    assert merge_frames([[read_series_frame(m)] for m in messages]) == expected
    assert merge_frames([[read_joined_frames(b"".join(messages))]]) == expected


@pytest.mark.parametrize("case", MERGE["loser_tree_order"], ids=lambda c: c["name"])
def test_streams_merge_in_label_order_and_each_set_comes_once(case):
    streams = [
        [read_series_frame(m) for m in reference.golden_frames([{"labels": s, "chunks": []} for s in stream])]
        for stream in case["streams"]
    ]
    expected = [k for k, _ in itertools.groupby([tuple(p) for p in s] for s in case["expected"])]
    assert [labels for labels, _ in merge_frames(streams)] == expected


def run_stream(messages, **options):
    budget, warnings, failures = Budget(1 << 30), [], []
    stream = StoreStream(
        ListCall(messages), StreamOptions("store x", **options), budget, CancelToken(), warnings.append, failures.append
    )
    rows = []
    while (frame := stream.next_frame()) is not None:
        rows += reference.rows_of(frame)
        budget.give(frame.n_bytes)
    stream.close()
    assert budget.held_bytes == 0
    return rows, warnings, failures


@pytest.mark.parametrize("case", MERGE["sort_without_labels"], ids=lambda c: ",".join(c["remove_labels"]))
def test_labels_that_a_store_cannot_remove_are_removed_here_and_the_stream_is_sorted_again(case):
    messages = []
    for item in case["input"]:
        if "warning" in item:
            messages.append(warning_frame(item["warning"]))
        else:
            messages += reference.golden_frames([{"labels": item["series"], "chunks": []}])
    rows, warnings, failures = run_stream(messages, drop_labels=tuple(case["remove_labels"]))
    assert [labels for labels, _ in rows] == [
        [tuple(p) for p in i["series"]] for i in case["expected"] if "series" in i
    ]
    assert warnings == [i["warning"] for i in case["expected"] if "warning" in i]
    assert failures == []


small_labels = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from(["1", "2", "10"]), max_size=3)
small_chunk = st.tuples(
    st.integers(0, 3),
    st.integers(3, 6),
    st.sets(st.sampled_from(range(6)), min_size=1),
    st.sampled_from([b"x", b"xy", b"z"]),
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.tuples(small_labels, st.lists(small_chunk, max_size=3)), max_size=6), min_size=1, max_size=4),
    st.integers(1, 4),
    st.booleans(),
)
def test_any_split_into_frames_and_streams_gives_the_reference_answer(streams, split, known_hashes):
    made = []
    for stream in streams:
        series = [
            (sorted(labels.items()), [
                (first, last, {
                    reference.SUB_CHUNKS[a]: (0, data, reference.xxhash.xxh64_intdigest(data) if known_hashes else 0)
                    for a in sorted(kinds)
                })
                for first, last, kinds, data in chunks
            ])
            for labels, chunks in stream
        ]  # fmt: skip
        made.append(sorted(series, key=lambda s: s[0]))
    # Neighbours that read as one aggregate chunk do so in the columns too: take the chunks from what was read.
    frames, rows = [], []
    for series in made:
        messages = [reference.single_frame(reference.series_message(*s)) for s in series]
        frames.append([read_joined_frames(b"".join(messages[i : i + split])) for i in range(0, len(messages), split)])
        for message in messages:
            (labels, chunk_rows), chunks = reference.rows_of_message(message)[0], []
            for row in chunk_rows:
                row = (*row[:5], reference.xxhash.xxh64_intdigest(row[4]))  # noqa: PLW2901
                last = list(chunks[-1].values())[-1] if chunks else None
                if last and last[:2] == row[:2] and row[2] > last[2]:
                    chunks[-1][row[2]] = row
                else:
                    chunks.append({row[2]: row})
            rows.append((labels, chunks))
    got = [(labels, [r[:5] for r in chunk_rows]) for labels, chunk_rows in merge_frames(frames)]
    assert got == [(labels, [r[:5] for r in chunk_rows]) for labels, chunk_rows in reference.merged(rows)]


def simple(value, n_chunks=1, label="a"):
    chunks = [(10 * i, 10 * i + 9, {"raw": (0, bytes([i]) * 50, i + 1)}) for i in range(n_chunks)]
    return reference.single_frame(reference.series_message([(label, value)], chunks))


def test_one_stream_passes_through_without_a_copy():
    budget = Budget(1 << 30)
    frames = [read_series_frame(simple(v, 3)) for v in ("1", "2", "3")]
    batches = list(merge_streams([ListSource(frames, budget)], budget))
    assert [np.shares_memory(b.chunks.arena, f.chunks.arena) for b, f in zip(batches, frames, strict=True)] == [
        True
    ] * 3


def test_a_series_leaves_as_soon_as_every_stream_has_passed_it():
    budget = Budget(1 << 30)
    pulled = []

    class Counted(ListSource):
        def next_frame(self):
            frame = super().next_frame()
            pulled.append(None if frame is None else frame.labels.pairs(0)[0][1])
            return frame

    fast = Counted([read_series_frame(simple(v)) for v in ("a", "b", "c", "d")], budget)
    slow = Counted([read_series_frame(simple(v)) for v in ("b", "z")], budget)
    merged = merge_streams([fast, slow], budget)
    assert next(merged).labels.pairs(0) == [("a", "a")]
    assert pulled == ["a", "b", "b"]


def test_small_messages_are_parsed_together():
    rows, _, _ = run_stream([simple(str(i)) for i in range(1, 9)])
    assert [labels for labels, _ in rows] == [[("a", str(i))] for i in range(1, 9)]


def test_a_store_that_breaks_the_order_fails_with_both_label_sets():
    big = [
        reference.single_frame(reference.series_message([("a", v)], [(1, 2, {"raw": (0, bytes(300_000), 1)})]))
        for v in "21"
    ]
    rows, _, failures = run_stream(big)
    assert [labels for labels, _ in rows] == [[("a", "2")]]
    assert "series out of order: [('a', '1')] came after [('a', '2')]" in failures[0].text


def test_series_that_arrived_before_an_error_are_kept():
    failure = StreamFailure("rpc error", "UNAVAILABLE")
    rows, warnings, failures = run_stream([simple("1"), warning_frame("w"), StreamError(failure)])
    assert [labels for labels, _ in rows] == [[("a", "1")]]
    assert (warnings, failures) == (["w"], [failure])


def test_a_frame_that_does_not_fit_the_budget_ends_the_query():
    budget = Budget(100)
    stream = StoreStream(ListCall([simple("1", 9)]), StreamOptions("store x"), budget, CancelToken(), print, print)
    with pytest.raises(OverBudget):
        stream.next_frame()
    stream.close()
    assert budget.held_bytes == 0


def test_a_silent_store_is_given_up_after_the_response_timeout():
    start = time.monotonic()
    rows, _, failures = run_stream([warning_frame("w"), None], response_timeout_s=0.1)
    assert 0.1 <= time.monotonic() - start < 1 and rows == []
    assert [(f.timed_out, f.text) for f in failures] == [(True, "context canceled")]


def test_cancelling_unblocks_the_reader_and_the_consumer_within_200_ms():
    budget, cancel = Budget(1 << 30), CancelToken()
    chunk = (1, 2, {"raw": (0, bytes(600_000), 1)})
    series = [reference.series_message([("a", f"{i:03}")], [chunk]) for i in range(20)]
    big = [reference.batch_frame([one]) for one in series]
    full = StoreStream(ListCall(big), StreamOptions("full queue"), budget, cancel, print, print)
    silent = StoreStream(ListCall([None]), StreamOptions("silent"), budget, cancel, print, print)
    threading.Timer(0.1, lambda: cancel.cancel("client left")).start()
    start = time.monotonic()
    with pytest.raises(Cancelled, match="client left"):
        silent.next_frame()
    full.close()
    silent.close()
    assert time.monotonic() - start < 0.3
    assert budget.held_bytes == 0
    assert not {thread.name for thread in threading.enumerate()} & {"series full queue", "series silent"}


SHARDS = json.loads((GOLDEN / "shard_matching.json").read_text())


@pytest.mark.parametrize("case", [c for c in SHARDS["cases"] if c["shard_info"]], ids=lambda c: c["name"])
def test_shards_are_chosen_by_the_hash_of_the_reference(case):
    from athanor.model.tables import label_table

    info = case["shard_info"]
    shard = Shard(info["shard_index"], info["total_shards"], info["by"], tuple(info["labels"]))
    table = label_table([[tuple(p) for p in case["series"]]])
    assert (matching_rows(table, shard).size == 1) is case["matches"]
    assert int(shard_hashes(table, shard)[0]) == int(case["xxh64"])
