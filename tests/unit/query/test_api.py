"""Behaviour of the API beyond the recorded answers: limits, deadlines, stores that fail, memory, slots."""

from __future__ import annotations

import json
import threading
import time

import pytest

from athanor.model.cancel import Cancelled, CancelToken
from athanor.model.errors import DataError
from athanor.model.metrics import Registry
from athanor.query.gate import Gate, GateMetrics
from athanor.query.params import parse_duration_param, parse_time_ms
from athanor.query.query_params import dynamic_lookback_ms
from athanor.query.requests import ApiError, ApiRequest, parse_pairs
from athanor.storeapi.client import CallError
from athanor.storeapi.matching import StoreFacts
from athanor.storeapi.streams import StreamError, StreamFailure

from .conftest import open_querier

AT = ("time", "1700000060")
REFUSED = 'rpc error: code = Unavailable desc = connection error: desc = "connect: connection refused"'


class DeadStore:
    """A store whose process is gone."""

    facts = StoreFacts("127.0.0.1:9", "store", (), 0, 2**62)

    def series(self, request, cancel, metadata):
        class Call:
            def __iter__(self):
                raise StreamError(StreamFailure(REFUSED, "UNAVAILABLE", opening=True))
                yield b""

            def cancel(self):
                pass

        return Call()

    def label_names(self, request, cancel, metadata):
        raise CallError("UNAVAILABLE", REFUSED)

    label_values = label_names


class Failing:
    """A storage that raises."""

    def __init__(self, error):
        self.error = error

    def select(self, selection, budget, context):
        raise self.error
        yield


class Endless:
    """A storage that never answers, until the query is given up."""

    def __init__(self, cancel):
        self.cancel = cancel

    def select(self, selection, budget, context):
        while True:
            self.cancel.wait(0.01)
            context.check()
        yield


DEAD_TEXT = f"fetch series for Store Gateway Addr: 127.0.0.1:9 MinTime: 0 MaxTime: {2**62}: {REFUSED}"


@pytest.fixture
def half_dead(recorded_store):
    return open_querier([recorded_store, DeadStore()])


def test_a_dead_store_is_a_warning_and_the_answer_must_not_be_cached(half_dead):
    status, headers, body = half_dead.ask("GET", "/api/v1/query", [("query", "demo_temp"), AT])
    answer = json.loads(body)
    assert status == 200
    assert len(answer["data"]["result"]) == 2
    assert answer["warnings"] == [DEAD_TEXT]
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("engine", "prefix"), [("prometheus", "expanding series: proxy Series(): "),
                                                ("thanos", "proxy Series(): ")])  # fmt: skip
def test_without_partial_response_a_dead_store_is_an_error(half_dead, engine, prefix):
    params = [("query", "demo_temp"), AT, ("partial_response", "false"), ("engine", engine)]
    status, _, body = half_dead.ask("GET", "/api/v1/query", params)
    assert (status, json.loads(body)["errorType"]) == (422, "execution")
    assert json.loads(body)["error"] == prefix + DEAD_TEXT


def test_label_calls_warn_of_a_dead_store_too(half_dead):
    dead = f"Addr: 127.0.0.1:9 MinTime: 0 MaxTime: {2**62}: {REFUSED}"
    for path, what, where in (
        ("/api/v1/labels", "names", "LabelNames"),
        ("/api/v1/label/instance/values", "values", "LabelValues"),
    ):
        status, headers, body = half_dead.ask("GET", path)
        assert status == 200
        assert json.loads(body)["warnings"] == [f"fetch label {what} from store {dead}"]
        assert headers["Cache-Control"] == "no-store"
        status, _, body = half_dead.ask("GET", path, [("partial_response", "0")])
        assert (status, json.loads(body)["error"]) == (422, f"proxy {where}(): fetch label {what} from store {dead}")


def test_series_warns_of_a_dead_store(half_dead):
    status, headers, body = half_dead.ask("GET", "/api/v1/series", [("match[]", "demo_temp")])
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    assert json.loads(body)["warnings"] == [DEAD_TEXT]
    assert len(json.loads(body)["data"]) == 2
    assert half_dead.memory.held_bytes == 0


def test_a_query_over_its_memory_is_an_error_with_numbers(recorded_store):
    querier = open_querier([recorded_store], query_bytes=100)
    status, _, body = querier.ask("GET", "/api/v1/query", [("query", "demo_temp"), AT])
    assert (status, json.loads(body)["errorType"]) == (422, "execution")
    assert "of its 100" in json.loads(body)["error"]
    assert querier.memory.held_bytes == 0


def test_the_memory_is_held_until_the_last_piece_is_taken(recorded_store):
    querier = open_querier([recorded_store])
    params = [("query", "demo_temp"), ("start", "1700000000"), ("end", "1700003600"), ("step", "1")]
    reply = querier.reply("GET", "/api/v1/query_range", params)
    pieces = iter(reply.body)
    next(pieces)
    assert querier.memory.held_bytes > 0
    pieces.close()
    assert querier.memory.held_bytes == 0


@pytest.mark.parametrize(("engine", "status", "kind", "text"), [
    ("prometheus", 503, "timeout", "query timed out in query execution"),
    ("thanos", 422, "execution", "context deadline exceeded"),
])  # fmt: skip
def test_a_query_past_its_timeout_ends_as_each_engine_says(engine, status, kind, text):
    querier = open_querier([], lambda params, cancel: Endless(cancel))
    params = [("query", "up"), AT, ("timeout", "50ms"), ("engine", engine)]
    started_at = time.monotonic()
    found, _, body = querier.ask("GET", "/api/v1/query", params)
    assert time.monotonic() - started_at < 1
    assert (found, json.loads(body)["errorType"], json.loads(body)["error"]) == (status, kind, text)


def test_a_client_that_leaves_ends_its_query_and_frees_its_memory():
    querier = open_querier([], lambda params, cancel: Endless(cancel))
    token = CancelToken()
    answers = []
    asking = threading.Thread(
        target=lambda: answers.append(querier.ask("GET", "/api/v1/query", [("query", "up"), AT], cancel=token))
    )
    asking.start()
    time.sleep(0.05)
    token.cancel("the client left")
    asking.join(0.2)
    assert not asking.is_alive()
    assert (answers[0][0], json.loads(answers[0][2])["errorType"]) == (503, "canceled")
    assert querier.memory.held_bytes == 0


def test_broken_data_is_an_execution_error_that_names_it():
    querier = open_querier([], lambda params, cancel: Failing(DataError("block X: chunk at 7 is broken")))
    status, _, body = querier.ask("GET", "/api/v1/query", [("query", "up"), AT])
    assert (status, json.loads(body)["error"]) == (422, "block X: chunk at 7 is broken")


def test_a_mistake_of_ours_is_an_internal_error_and_no_traceback():
    querier = open_querier([], lambda params, cancel: Failing(RuntimeError("oops")))
    status, _, body = querier.ask("GET", "/api/v1/query", [("query", "up"), AT])
    assert (status, json.loads(body)["errorType"]) == (500, "internal")


@pytest.mark.parametrize(("text", "at_ms"), [
    ("1700000060", 1_700_000_060_000), ("1700000060.0005", 1_700_000_060_000), ("1700000060.123", 1_700_000_060_123),
    (".5", 500), ("5.", 5_000), ("1e3", 1_000_000), ("-1.5", -1_500), ("1_000", 1_000_000), ("0x1p4", 16_000),
    ("NaN", -9223372036854), ("+Inf", -9223372036854), ("2023-11-14T22:13:20Z", 1_700_000_000_000),
    ("2023-11-14T22:13:20.1239Z", 1_700_000_000_123), ("2023-11-15T00:13:20+02:00", 1_700_000_000_000),
])  # fmt: skip
def test_times_are_read_as_go_reads_them(text, at_ms):
    assert parse_time_ms(text) == at_ms


@pytest.mark.parametrize("text", ["", " 1", "0x10", "1e400", "2023-11-14t22:13:20Z", "2023-11-14T22:13:20", "x",
                                  "2023-02-30T00:00:00Z"])  # fmt: skip
def test_other_times_are_refused(text):
    with pytest.raises(ApiError) as caught:
        parse_time_ms(text)
    assert caught.value.text == f'cannot parse "{text}" to a valid timestamp'


@pytest.mark.parametrize(("text", "seconds"), [("60", 60), ("0.5", 0.5), ("1h30m", 5400), ("1d", 86400), ("0", 0),
                                               ("-1", -1), ("10ms", 0.01), ("1e3", 1000)])  # fmt: skip
def test_durations_are_seconds_or_units(text, seconds):
    assert parse_duration_param(text) == seconds * 10**9


def test_a_duration_too_long_is_refused():
    with pytest.raises(ApiError, match=r'cannot parse "1e20" to a valid duration\. It overflows int64'):
        parse_duration_param("1e20")


def test_forms_are_read_as_go_reads_them():
    form, error = parse_pairs(b"a=1&b=x+y%20z&a=2&c&d=%zz&e=1;f=2&=v")
    assert form == {"a": ["1", "2"], "b": ["x y z"], "c": [""], "": ["v"]}
    assert error == 'invalid URL escape "%zz"'
    posted = ApiRequest(
        "POST", "/", "a=url&only=url", {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, b"a=body"
    )
    assert (posted.value("a"), posted.values("a"), posted.value("only")) == ("body", ["body", "url"], "url")
    assert ApiRequest("POST", "/", "a=url", {"Content-Type": "application/json"}, b"a=body").values("a") == ["url"]


@pytest.mark.parametrize(("configured_ms", "resolution_ms", "expected_ms"), [
    (300_000, 0, 300_000), (300_000, 300_000, 300_000), (60_000, 300_000, 300_000), (300_000, 3_600_000, 3_600_000),
    (7_200_000, 3_600_000, 7_200_000),
])  # fmt: skip
def test_the_lookback_grows_with_the_resolution(configured_ms, resolution_ms, expected_ms):
    assert dynamic_lookback_ms(configured_ms, resolution_ms) == expected_ms


class TestGate:
    """Slots."""

    def gate(self, limit=1):
        registry = Registry()
        return Gate(limit, GateMetrics(registry, "g", limit)), registry

    def test_waits_until_a_slot_is_free(self):
        gate, _ = self.gate()
        order = []

        def work():
            with gate.slot(CancelToken()):
                order.append("second")

        with gate.slot(CancelToken()):
            other = threading.Thread(target=work)
            other.start()
            time.sleep(0.02)
            order.append("first")
        other.join(1)
        assert order == ["first", "second"]

    def test_gives_up_at_the_deadline_and_loses_no_slot(self):
        gate, registry = self.gate()
        with gate.slot(CancelToken()), pytest.raises(Cancelled), gate.slot(CancelToken(timeout_s=0.02)):
            pass
        with gate.slot(CancelToken(timeout_s=0.1)):
            shown = {f.name: f.samples[0][2] for f in registry.families() if f.kind != "histogram"}
        assert shown == {"g_in_flight": 1.0, "g_max": 1.0, "g_total": 2.0}

    def test_many_threads_never_exceed_the_limit(self):
        gate, _ = self.gate(3)
        running, most = [0], [0]
        lock = threading.Lock()

        def work(i):
            token = CancelToken(timeout_s=0.001 if i % 5 == 0 else 5)
            try:
                with gate.slot(token):
                    with lock:
                        running[0] += 1
                        most[0] = max(most[0], running[0])
                    time.sleep(0.001)
                    with lock:
                        running[0] -= 1
            except Cancelled:
                pass

        threads = [threading.Thread(target=work, args=(i,)) for i in range(60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert most[0] == 3
        for _ in range(3):
            slot = gate.slot(CancelToken(timeout_s=0.1))
            slot.__enter__()


class SilentStore(DeadStore):
    """A store that takes the request and says nothing until the call is cancelled."""

    def series(self, request, cancel, metadata):
        left = threading.Event()

        class Call:
            def __iter__(self):
                left.wait(10)
                raise StreamError(StreamFailure("rpc error: code = Canceled desc = context canceled", "CANCELLED"))
                yield b""

            def cancel(self):
                left.set()

        return Call()


def test_a_silent_store_does_not_hold_a_query_past_its_timeout(recorded_store):
    querier = open_querier([recorded_store, SilentStore()])
    started_at = time.monotonic()
    status, _, body = querier.ask("GET", "/api/v1/query", [("query", "demo_temp"), AT, ("timeout", "200ms")])
    assert time.monotonic() - started_at < 1
    assert (status, json.loads(body)["errorType"]) == (503, "timeout")
    assert querier.memory.held_bytes == 0


def test_a_silent_store_does_not_hold_a_series_call_past_the_timeout_of_queries(recorded_store):
    querier = open_querier([recorded_store, SilentStore()], timeout_ms=200)
    status, _, body = querier.ask("GET", "/api/v1/series", [("match[]", "demo_temp")])
    assert (status, json.loads(body)["errorType"]) == (503, "timeout")
    assert querier.memory.held_bytes == 0


def test_a_client_that_leaves_frees_a_query_that_waits_for_a_store(recorded_store):
    querier = open_querier([recorded_store, SilentStore()])
    token = CancelToken()
    asking = threading.Thread(
        target=lambda: querier.ask("GET", "/api/v1/query", [("query", "demo_temp"), AT], cancel=token)
    )
    asking.start()
    time.sleep(0.05)
    token.cancel("the client left")
    asking.join(0.2)
    assert not asking.is_alive()
    assert querier.memory.held_bytes == 0


def test_a_client_that_leaves_ends_the_series_call_too(recorded_store):
    querier = open_querier([recorded_store, SilentStore()])
    token = CancelToken()
    asking = threading.Thread(
        target=lambda: querier.ask("GET", "/api/v1/series", [("match[]", "demo_temp")], cancel=token)
    )
    asking.start()
    time.sleep(0.05)
    token.cancel("the client left")
    asking.join(0.2)
    assert not asking.is_alive()
    assert querier.memory.held_bytes == 0


@pytest.mark.parametrize("n_times", [1, 40])
def test_escapes_become_their_bytes_in_short_and_in_long_texts(n_times):
    every = bytes(range(256))
    escaped = b"".join(b"%%%02x" % byte if byte % 3 else b"%%%02X" % byte for byte in every) + b"z%41b"
    form, error = parse_pairs(b"q=" + escaped * n_times)
    assert error == ""
    assert form["q"] == [((every + b"zAb") * n_times).decode("utf-8", "surrogateescape")]
