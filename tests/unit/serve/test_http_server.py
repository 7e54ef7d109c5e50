"""The HTTP server: probes, routes, bodies, cancellation."""

from __future__ import annotations

import gzip
import http.client
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from athanor.model.cancel import Cancelled, CancelToken
from athanor.model.errors import OperatorError
from athanor.serve.http_bodies import accepts_gzip
from athanor.serve.http_server import HttpServer
from athanor.serve.http_types import HttpCall, HttpReply
from athanor.serve.listen import split_address
from athanor.serve.process import Runtime, error_chain


class Site:
    """A running server with the routes of the tests."""

    def __init__(self, runtime: Runtime, **options) -> None:
        self.seen: list[HttpCall] = []
        self.started = threading.Event()
        self.gave_up = threading.Event()
        self.server = HttpServer(
            runtime, address="127.0.0.1:0", grace_ms=2000, n_threads=4, tenant_header="THANOS-TENANT", **options
        )
        both = ("GET", "POST")
        self.server.route("/api/v1/query", self.echo, methods=both, name="query", api=True)
        self.server.route("/api/v1/label/:name/values", self.echo, name="label_values", api=True)
        self.server.route("/api/v1/pieces", self.pieces, name="query", api=True)
        self.server.route("/api/v1/slow", self.slow, name="query", api=True)
        self.server.route("/api/v1/broken", self.broken, name="query", api=True)
        self.server.start()
        self.host, self.port = split_address(self.server.address)

    def echo(self, call: HttpCall, cancel: CancelToken) -> HttpReply:
        self.seen.append(call)
        return HttpReply(200, b"x" * int(call.param("size", "2")))

    def pieces(self, call: HttpCall, cancel: CancelToken) -> HttpReply:
        def body() -> Iterator[bytes]:
            try:
                for i in range(int(call.param("n", "3"))):
                    cancel.check()
                    yield bytes([65 + i % 26]) * 100_000
            except (Cancelled, GeneratorExit):
                self.gave_up.set()
                raise

        return HttpReply(200, body())

    def slow(self, call: HttpCall, cancel: CancelToken) -> HttpReply:
        self.started.set()
        if cancel.wait(20):
            self.gave_up.set()
        cancel.check()
        return HttpReply(200, b"late")

    def broken(self, call: HttpCall, cancel: CancelToken) -> HttpReply:
        raise ValueError("oops")

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        data = response.read()
        connection.close()
        return response.status, dict(response.getheaders()), data


@pytest.fixture
def site(runtime: Runtime) -> Iterator[Site]:
    site = Site(runtime)
    yield site
    site.server.stop()


def test_probes_follow_the_state_of_the_component(site: Site, runtime: Runtime):
    assert site.ask("GET", "/-/healthy")[::2] == (200, b"OK")
    status, headers, body = site.ask("POST", "/-/ready")
    assert (status, body) == (503, b"NOT OK\n")
    assert headers["X-Content-Type-Options"] == "nosniff"
    runtime.probes.ready()
    assert site.ask("GET", "/-/ready")[::2] == (200, b"OK")


def test_metrics_are_text_and_compressed_when_asked(site: Site):
    site.ask("GET", "/api/v1/query")
    status, headers, body = site.ask("GET", "/metrics")
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
    assert b'http_requests_total{code="200",handler="query",method="get",tenant=""} 1\n' in body
    assert b'thanos_status{check="healthy",component="query"} 1\n' in body
    headers, packed = site.ask("GET", "/metrics", Accept_Encoding="gzip")[1:]
    assert headers["Content-Encoding"] == "gzip"
    assert b"thanos_status" in gzip.decompress(packed)


def test_form_values_come_before_those_of_the_url(site: Site):
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert site.ask("POST", "/api/v1/query?size=5&b=1", b"size=3&a=x+y", **form)[2] == b"xxx"
    call = site.seen[0]
    assert call.params == {"size": ["3", "5"], "a": ["x y"], "b": ["1"]}
    assert call.query == {"size": ["5"], "b": ["1"]}


def test_named_parts_of_a_route_are_decoded(site: Site):
    site.ask("GET", "/api/v1/label/a%2Fb/values")
    assert dict(site.seen[0].route) == {"name": "a/b"}


def test_api_answers_carry_cors_headers_and_are_compressed_from_1024_bytes(site: Site):
    headers, body = site.ask("GET", "/api/v1/query?size=1023", Accept_Encoding="gzip")[1:]
    assert "Content-Encoding" not in headers
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Vary"] == "Accept-Encoding"
    headers, body = site.ask("GET", "/api/v1/query?size=1024", Accept_Encoding="gzip")[1:]
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == b"x" * 1024


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_body_of_pieces_arrives_whole(site: Site, encoding: str):
    headers, body = site.ask("GET", "/api/v1/pieces?n=3", Accept_Encoding=encoding)[1:]
    if encoding:
        assert headers["Content-Encoding"] == "gzip"
        body = gzip.decompress(body)
    assert body == b"A" * 100_000 + b"B" * 100_000 + b"C" * 100_000


def test_no_answer_says_what_the_server_runs_on(site: Site):
    for path in ("/-/healthy", "/metrics", "/api/v1/query", "/api/v1/pieces", "/nowhere"):
        assert "Server" not in site.ask("GET", path)[1]


def test_unknown_paths_and_methods_are_answered_as_by_the_original(site: Site):
    assert site.ask("GET", "/nope")[::2] == (404, b"404 page not found\n")
    status, headers, body = site.ask("PUT", "/api/v1/query")
    assert (status, body, headers["Allow"]) == (405, b"Method Not Allowed\n", "GET, OPTIONS, POST")
    assert site.ask("HEAD", "/api/v1/query")[0] == 405
    status, headers, _ = site.ask("OPTIONS", "/api/v1/anything")
    assert (status, headers["Access-Control-Allow-Methods"]) == (204, "GET, POST, OPTIONS")
    status, headers, _ = site.ask("GET", "/api/v1/query/?a=1")
    assert (status, headers["Location"]) == (301, "/api/v1/query?a=1")
    status, headers, _ = site.ask("GET", "/api//v1/query?a=1")
    assert (status, headers["Location"]) == (307, "/api/v1/query?a=1")


def test_a_failing_handler_is_an_internal_error_and_a_log_line(site: Site, lines: list[str]):
    assert site.ask("GET", "/api/v1/broken")[0] == 500
    assert 'err="ValueError: oops"' in lines[-1]


def _leave(site: Site, path: str) -> socket.socket:
    client = socket.create_connection((site.host, site.port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return client


def test_a_client_that_leaves_stops_the_work_at_once(site: Site):
    client = _leave(site, "/api/v1/slow")
    assert site.started.wait(5)
    left_at = time.monotonic()
    client.close()
    assert site.gave_up.wait(5)
    assert time.monotonic() - left_at < 0.2


def test_a_client_that_leaves_while_reading_closes_the_body(site: Site):
    client = _leave(site, "/api/v1/pieces?n=100000")
    client.recv(1000)
    client.close()
    assert site.gave_up.wait(5)


def test_stopping_waits_for_active_requests_up_to_the_grace_period(runtime: Runtime, lines: list[str]):
    site = Site(runtime)
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(_try(lambda: site.ask("GET", "/api/v1/slow")[0])))
    thread.start()
    assert site.started.wait(5)
    started_at = time.monotonic()
    site.server.stop()
    assert 1.5 < time.monotonic() - started_at < 6
    assert site.gave_up.wait(5)
    thread.join(5)
    assert answers != [200]
    assert 'msg="internal server is shutdown gracefully" err=null' in "".join(lines)


def _try(work):
    try:
        return work()
    except (OSError, http.client.HTTPException) as err:
        return err


def test_a_port_in_use_names_the_address(runtime: Runtime):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        server = HttpServer(runtime, address=address, grace_ms=0, n_threads=1)
        with pytest.raises(OperatorError) as caught:
            server.start()
    assert error_chain(caught.value) == [
        f"listen tcp {address}: bind: address already in use",
        "serve HTTP and metrics",
    ]


def test_an_address_without_a_port_is_refused_as_by_go():
    with pytest.raises(OperatorError, match=r"listen tcp: address 127\.0\.0\.1: missing port in address"):
        split_address("127.0.0.1")
    assert split_address(":80") == ("", 80)
    assert split_address("[::1]:80") == ("::1", 80)


@pytest.mark.parametrize(
    ("header", "wanted"),
    [("gzip", True), ("GZIP, br", True), ("gzip;q=0", False), ("*", False), ("", False), ("br, gzip;q=0.5", True)],
)
def test_gzip_must_be_named(header: str, wanted: bool):
    assert accepts_gzip(header) is wanted
