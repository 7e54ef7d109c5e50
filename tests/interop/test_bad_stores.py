"""Stores that are slow, silent or send garbage: the others are served, and the answer says what it lacks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from athanor.storeapi.frames import SeriesFrame, read_series_frame
from tests.interop.fake_store import LAST_S, Answer, FakeStore, frames, good, silent, slow
from tests.interop.pair import Reply, ask, metrics, start_query_with

TIMEOUT_S = 1
GOOD = frames("good", 1, 50)


@contextmanager
def query_over(directory: Path, answers: Sequence[Answer]) -> Iterator[tuple[int, list[str]]]:
    """A query over one fake store for each answer. Gives its port and the addresses of the stores."""
    stores = [FakeStore(answer, [("store", str(i))]) for i, answer in enumerate(answers)]
    addresses = [store.address for store in stores]
    flags = [*(f"--endpoint={address}" for address in addresses), f"--store.response-timeout={TIMEOUT_S}s"]
    process, port = start_query_with(flags, directory)
    try:
        yield port, addresses
    finally:
        process.stop()
        for store in stores:
            store.__exit__()


def instant(port: int, query: str, **more: str) -> Reply:
    return ask(port, "query", {"query": query, "time": str(LAST_S), **more})


def count_of(reply: Reply) -> int:
    result = reply.document["data"]["result"]
    return int(result[0]["value"][1]) if result else 0


def test_evaluation_begins_before_a_slow_store_has_sent_its_last_frame(tmp_path: Path):
    n_frames, n_series = 20, 100
    made = frames("slow", n_frames, n_series)
    n_bytes = sum(map(len, made[:-1]))
    go_on = threading.Event()
    with query_over(tmp_path, [slow(made, n_frames - 1, go_on)]) as (port, _):
        replies: list[Reply] = []
        asking = threading.Thread(target=lambda: replies.append(instant(port, "sum(slow)")))
        asking.start()
        # Silence would end the call, so the store goes on before that; a frame's bytes go back when it was decoded.
        held = []
        deadline = time.monotonic() + 0.8 * TIMEOUT_S
        while time.monotonic() < deadline:
            held.append(metrics(port)["athanor_memory_held_bytes"])
            time.sleep(0.02)
        assert asking.is_alive(), replies
        go_on.set()
        asking.join(30)
        assert max(held) > 0
        assert 0 < held[-1] < 6 * n_bytes / n_frames, f"{held[-1]} of {n_bytes} bytes are held until the last frame"
        assert count_of(replies[0]) == n_frames * n_series  # each of these series ends with a 1
        assert "warnings" not in replies[0].document
        assert metrics(port)["athanor_memory_held_bytes"] == 0


@pytest.mark.parametrize("n_frames", [0, 2], ids=["from the start", "after two frames"])
def test_a_silent_store_is_a_warning_once_the_response_timeout_has_passed(tmp_path: Path, n_frames: int):
    with query_over(tmp_path, [good(GOOD), silent(frames("hung", 2, 5)[:n_frames])]) as (port, addresses):
        reply = instant(port, 'count({__name__=~"good|hung"})')
        assert reply.status == 200
        assert TIMEOUT_S <= reply.elapsed_s < TIMEOUT_S + 2
        assert count_of(reply) == 50 + 5 * n_frames
        (warning,) = reply.document["warnings"]
        assert warning.startswith(f"failed to receive any data in {TIMEOUT_S}s from ")
        assert addresses[1] in warning
        refused = instant(port, "count(good)", partial_response="false")
        assert refused.status == 422
        assert addresses[1] in refused.error
        assert metrics(port)["athanor_memory_held_bytes"] == 0


WHOLE = frames("bad", 1, 5)[0]
GARBAGE = {
    "noise": b"\xff" * 100,
    "a length past the end": b"\x0a\xff\xff\xff\x7f",
    "half a frame": WHOLE[: len(WHOLE) // 2],
    "a wrong wire type": b"\x09" + bytes(8),
    "text": b"HTTP/1.1 200 OK\r\n\r\nhello",
    "a warning that is none": b"\x12\xff",
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_in_a_frame_names_the_store_and_the_others_are_served(tmp_path: Path, kind: str):
    with query_over(tmp_path, [good(GOOD), good([GARBAGE[kind]])]) as (port, addresses):
        reply = instant(port, 'count({__name__=~"good|bad"})')
        assert reply.status == 200, reply.error
        assert count_of(reply) == 50
        (warning,) = reply.document["warnings"]
        assert addresses[1] in warning
        assert "byte" in warning or "decode" in warning or "parse" in warning.lower()
        refused = instant(port, "count(good)", partial_response="false")
        assert refused.status == 422
        assert addresses[1] in refused.error
        assert metrics(port)["athanor_memory_held_bytes"] == 0


def test_garbage_after_good_frames_keeps_what_came_before(tmp_path: Path):
    with query_over(tmp_path, [good([WHOLE, GARBAGE["noise"]])]) as (port, addresses):
        reply = instant(port, "count(bad)")
        assert count_of(reply) == 5
        assert addresses[0] in reply.document["warnings"][0]


def test_garbage_inside_a_chunk_is_an_error_and_never_other_samples(tmp_path: Path):
    broken = bytearray(WHOLE)
    frame = read_series_frame(WHOLE)
    assert isinstance(frame, SeriesFrame)
    begin, size = int(frame.chunks.at[0]), int(frame.chunks.size[0])
    broken[begin + 30 : begin + size] = b"\xff" * (size - 30)
    with query_over(tmp_path, [good(GOOD), good([bytes(broken)])]) as (port, addresses):
        reply = instant(port, "sum(bad)")
        assert reply.status == 422
        assert "broke at byte" in reply.error
        only_good = {"storeMatch[]": f'{{__address__="{addresses[0]}"}}'}
        assert count_of(instant(port, "count(good)", **only_good)) == 50
