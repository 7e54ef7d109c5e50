"""The client against a small HTTP server that answers what a test tells it to."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from athanor.model.cancel import Cancelled, CancelToken
from athanor.model.errors import AthanorError, DataError, OperatorError, TransientError
from athanor.model.log import silent
from athanor.model.matchers import Matcher, MatchType
from athanor.model.metrics import Gauge
from athanor.model.rpc import StatusError
from athanor.sidecar.prometheus import (
    Prometheus,
    external_labels_of,
    lowest_timestamp_of,
    seconds_text,
    selector_text,
)
from athanor.sidecar.remote_read import STREAMED_TYPE
from athanor.sidecar.state import PrometheusFacts, SidecarState
from athanor.sidecar.watch import PrometheusWatcher

UP = [Matcher(MatchType.EQ, "__name__", "up")]
METRICS = b"prometheus_tsdb_lowest_timestamp_seconds 1.7e+09\n"
CONFIG = b'{"status":"success","data":{"yaml":"global:\\n  external_labels:\\n    replica: a\\n"}}'
NO_LABELS_CONFIG = b'{"status":"success","data":{"yaml":"global: {}\\n"}}'
BUILD = b'{"status":"success","data":{"version":"2.42.0"}}'


class Answers(ThreadingHTTPServer):
    """answers: path -> (status, body); seen: the paths with their queries."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, tuple[int, bytes]] = {
            "/metrics": (200, METRICS),
            "/api/v1/status/config": (200, CONFIG),
            "/api/v1/status/buildinfo": (200, BUILD),
        }
        self.seen: list[str] = []
        self.content_type = "application/json"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Answers

    def do_GET(self) -> None:
        self.server.seen.append(self.path)
        status, body = self.server.answers.get(self.path.partition("?")[0], (404, b"no such page"))
        self.send_response(status)
        self.send_header("Content-Type", self.server.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Answers]:
    answers = Answers()
    thread = threading.Thread(target=answers.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield answers
    answers.shutdown()
    answers.server_close()


class Probes:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def ready(self) -> None:
        self.calls.append("ready")

    def not_ready(self, reason: object = None) -> None:
        self.calls.append("not ready")


def watcher_of(server: Answers, state: SidecarState, probes: Probes, up: Gauge) -> PrometheusWatcher:
    return PrometheusWatcher(
        Prometheus(server.url, "test"), state, probes, up, interval_ms=20, timeout_ms=2_000, log=silent()
    )


def state_of() -> SidecarState:
    return SidecarState(lambda now_ms: 1_000_000)


def test_selectors_have_go_escapes_and_quoted_odd_names():
    matchers = [
        Matcher(MatchType.EQ, "__name__", 'a"b\\c\n'),
        Matcher(MatchType.NRE, "job", "x.*"),
        Matcher(MatchType.NEQ, "odd name", ""),
    ]
    assert selector_text(matchers) == '{__name__="a\\"b\\\\c\\n",job!~"x.*","odd name"!=""}'


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [(1700000000123, "1700000000.123"), (1700000000000, "1700000000"), (0, "0"), (-1500, "-1.5")],
)
def test_times_are_the_shortest_decimal_seconds(time_ms: int, text: str):
    assert seconds_text(time_ms) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("global:\n  external_labels:\n    b: 0123\n    a: yes\n", (("a", "yes"), ("b", "0123"))),
        ("global: {}\n", ()),
        ("", ()),
        ("global:\n  external_labels:\n", ()),
    ],
)
def test_external_labels_are_texts_sorted_by_name(text: str, expected: tuple):
    assert external_labels_of(text) == expected


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        (b"# HELP x\nprometheus_tsdb_lowest_timestamp_seconds 1.7000064e+09\nother 1\n", 1700006400000),
        (b"prometheus_tsdb_lowest_timestamp_seconds 9.223372036854776e+15\n", -(2**63)),
        (b"prometheus_tsdb_lowest_timestamp_seconds_other 5\n", 0),
    ],
)
def test_the_lowest_time_is_read_from_the_metrics(text: bytes, expected_ms: int):
    assert lowest_timestamp_of(text) == expected_ms


def test_a_broken_lowest_time_is_named():
    with pytest.raises(DataError, match="lowest_timestamp_seconds is b'NaN'"):
        lowest_timestamp_of(b"prometheus_tsdb_lowest_timestamp_seconds NaN\n")


def test_a_path_in_the_url_is_kept_and_the_query_carries_selector_times_and_limit(server: Answers):
    server.answers["/prefix/api/v1/labels"] = (200, b'{"status":"success","data":["b","a","c"]}')
    names = Prometheus(server.url + "/prefix/", "test").label_names(UP, 1000, 2500, 2, 5)
    assert names == ["b", "a"]
    assert server.seen == ["/prefix/api/v1/labels?match%5B%5D=%7B__name__%3D%22up%22%7D&start=1&end=2.5&limit=2"]


def test_no_content_is_an_empty_answer(server: Answers):
    server.answers["/api/v1/series"] = (204, b"")
    assert Prometheus(server.url, "test").series(UP, 0, 1, 0, 5) == []


CODES = {
    400: "INVALID_ARGUMENT",
    404: "NOT_FOUND",
    422: "INTERNAL",
    503: "UNAVAILABLE",
    500: "INTERNAL",
    418: "INTERNAL",
}


@pytest.mark.parametrize(("status", "code"), CODES.items())
def test_an_error_of_the_api_becomes_a_status(server: Answers, status: int, code: str):
    server.answers["/api/v1/series"] = (status, b'{"status":"error","errorType":"x","error":"the reason"}')
    with pytest.raises(StatusError) as raised:
        Prometheus(server.url, "test").series(UP, 0, 1, 0, 5)
    assert (raised.value.code, raised.value.message) == (code, "the reason")


@pytest.mark.parametrize("body", [b"", b"[]", b'{"data":{}}', b'{"data":["a"]}'])
def test_an_answer_that_is_none_of_the_api_is_a_data_error(server: Answers, body: bytes):
    server.answers["/api/v1/series"] = (200, body)
    with pytest.raises(DataError):
        Prometheus(server.url, "test").series(UP, 0, 1, 0, 5)


@pytest.mark.parametrize(("status", "version"), [(200, "2.42.0"), (404, "0"), (405, "0")])
def test_an_old_server_has_version_0(server: Answers, status: int, version: str):
    server.answers["/api/v1/status/buildinfo"] = (status, BUILD)
    assert Prometheus(server.url, "test").version(5) == version


@pytest.mark.parametrize(
    ("version", "expected"),
    [("2.24.0", True), ("v3.1.0-rc.1", True), ("2.23.9", False), ("0", False), ("", False), ("2.42", False)],
)
def test_label_calls_take_matchers_since_2_24(version: str, expected: bool):
    assert PrometheusFacts(version=version).label_calls_take_matchers is expected


def test_a_refused_remote_read_tells_status_and_message(server: Answers):
    server.answers["/api/v1/read"] = (500, b"no luck\n")
    with pytest.raises(AthanorError, match=r"query Prometheus: request failed with code 500 .*; msg no luck"):
        list(Prometheus(server.url, "test").remote_read(b"x", CancelToken()))


def test_a_remote_read_of_an_unknown_type_is_refused(server: Answers):
    server.answers["/api/v1/read"] = (200, b"x")
    with pytest.raises(AthanorError, match="not supported remote read content type: application/json"):
        list(Prometheus(server.url, "test").remote_read(b"x", CancelToken()))


@pytest.mark.parametrize("sends_headers", [False, True])
def test_a_cancelled_remote_read_ends_at_once_also_before_the_first_byte(sends_headers: bool):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        cancel = CancelToken()

        def answer() -> None:
            peer, _ = listener.accept()
            with peer:
                if sends_headers:
                    head = f"HTTP/1.1 200 OK\r\nContent-Type: {STREAMED_TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n"
                    peer.sendall(head.encode() + b"3\r\nabc\r\n")
                while peer.recv(4096):
                    pass

        threading.Thread(target=answer, daemon=True).start()
        threading.Timer(0.1, cancel.cancel).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        started_at = time.monotonic()
        with pytest.raises(Cancelled):
            list(Prometheus(url, "test").remote_read(b"x", cancel))
        assert time.monotonic() - started_at < 1


def test_a_stream_that_breaks_off_is_a_transient_failure():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(4096)
                head = f"HTTP/1.1 200 OK\r\nContent-Type: {STREAMED_TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n"
                peer.sendall(head.encode() + b"ff\r\nabc")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(TransientError):
            list(Prometheus(f"http://127.0.0.1:{listener.getsockname()[1]}", "test").remote_read(b"x", CancelToken()))


def test_the_wait_ends_when_labels_and_times_are_known(server: Answers):
    state, probes, up = state_of(), Probes(), Gauge()
    watcher_of(server, state, probes, up).wait_until_known(CancelToken())
    assert state.facts == PrometheusFacts((("replica", "a"),), 1_700_000_000_000, "2.42.0")
    assert (state.is_up, up.value, probes.calls) == (True, 1, ["ready"])
    assert state.min_time_ms == 1_700_000_000_000


def test_without_external_labels_the_sidecar_refuses_to_run(server: Answers):
    server.answers["/api/v1/status/config"] = (200, NO_LABELS_CONFIG)
    with pytest.raises(OperatorError, match="no external labels configured on Prometheus server"):
        watcher_of(server, state_of(), Probes(), Gauge()).wait_until_known(CancelToken())


def test_with_a_bucket_the_wait_gives_up(server: Answers):
    def validate() -> None:
        raise OperatorError("compaction is on")

    with pytest.raises(OperatorError, match=r"aborting as no external labels found after waiting 0\.1s: not uploading"):
        watcher_of(server, state_of(), Probes(), Gauge()).wait_until_known(CancelToken(), validate, 100)


def test_a_wait_ends_with_the_process(server: Answers):
    server.answers = {}
    cancel = CancelToken()
    threading.Timer(0.05, cancel.cancel).start()
    with pytest.raises(Cancelled):
        watcher_of(server, state_of(), Probes(), Gauge()).wait_until_known(cancel)


def test_the_heartbeat_turns_not_ready_while_prometheus_is_away_and_ready_again(server: Answers):
    state, probes, up, cancel = state_of(), Probes(), Gauge(), CancelToken()
    watcher = watcher_of(server, state, probes, up)
    watcher.wait_until_known(CancelToken())
    good = server.answers.pop("/metrics")
    beat = threading.Thread(target=watcher.run, args=(cancel,), daemon=True)
    beat.start()
    assert wait_for(lambda: "not ready" in probes.calls)
    assert (state.is_up, up.value) == (False, 0)
    server.answers["/metrics"] = good
    assert wait_for(lambda: probes.calls[-1] == "ready")
    assert (state.is_up, up.value) == (True, 1)
    cancel.cancel()
    beat.join(5)
    assert not beat.is_alive()


def wait_for(condition) -> bool:
    pause = threading.Event()
    return any(condition() or pause.wait(0.02) for _ in range(250))


def test_a_closed_port_may_pass():
    with pytest.raises(TransientError):
        Prometheus("http://127.0.0.1:1", "test").version(1)
