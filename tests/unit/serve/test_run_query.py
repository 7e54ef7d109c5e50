"""The query role as a process: pages, prefixes, the API over HTTP, gRPC as a store, memory limits."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
from collections.abc import Iterator

import grpc
import pytest

from athanor.serve import run_query
from athanor.serve.config import default_config
from athanor.serve.config_query import QueryConfig
from athanor.serve.http_server import HttpServer
from athanor.serve.listen import split_address
from athanor.serve.memory import memory_limit_bytes
from athanor.serve.process import Runtime
from athanor.storeapi.messages import info
from athanor.ui.assets import is_built

needs_ui = pytest.mark.skipif(not is_built(), reason="the web UI is not built here")


class Site:
    """The role's servers, without the process around them."""

    def __init__(self, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, **changes) -> None:
        made: dict[str, object] = {}

        def keep(name, cls):
            def make(*args, **kwargs):
                made[name] = cls(*args, **kwargs)
                return made[name]

            monkeypatch.setattr(run_query, cls.__name__, make)

        keep("http", HttpServer)
        keep("grpc", run_query.GrpcServer)
        config = default_config(
            QueryConfig, "query", http_address="127.0.0.1:0", grpc_address="127.0.0.1:0", http_grace_period_ms=0,
            grpc_grace_period_ms=0, **changes,
        )  # fmt: skip
        run_query.run(config, runtime)
        self.parts = runtime.group._parts
        for part in self.parts:
            part.start()
        self.http, self.grpc = made["http"], made["grpc"]
        self.host, self.port = split_address(self.http.address)

    def get(self, path: str, method: str = "GET", **headers: str):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, dict(response.getheaders()), body

    def stop(self) -> None:
        for part in reversed(self.parts):
            part.stop(None)


@pytest.fixture
def start(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    sites = []

    def begin(**changes) -> Site:
        sites.append(Site(runtime, monkeypatch, **changes))
        return sites[-1]

    yield begin
    for site in sites:
        site.stop()


def test_without_stores_a_query_answers_over_http(start):
    site = start()
    status, headers, body = site.get("/api/v1/query?query=vector(1)&time=7")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert headers["Access-Control-Allow-Origin"] == "*"
    expected = '{"resultType":"vector","result":[{"metric":{},"value":[7,"1"]}],"analysis":{}}'
    assert body.decode() == f'{{"status":"success","data":{expected}}}'
    assert site.get("/-/ready")[0] == 200
    assert site.get("/api/v1/stores")[2] == b'{"status":"success","data":{}}'


def test_a_large_answer_comes_in_pieces_and_compressed_when_asked(start):
    site = start()
    path = "/api/v1/query_range?query=vector(time())&start=0&end=11000&step=1"
    plain = site.get(path)[2]
    assert len(json.loads(plain)["data"]["result"][0]["values"]) == 11_001
    _, headers, packed = site.get(path, Accept_Encoding="gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed) == plain


def test_an_error_is_sent_before_the_answer_begins(start):
    status, headers, body = start().get("/api/v1/query?query=sum(")
    assert (status, headers["Cache-Control"]) == (400, "no-store")
    assert json.loads(body)["error"] == "1:5: parse error: unclosed left parenthesis"


@needs_ui
def test_pages_are_served_at_the_paths_of_thanos(start):
    site = start()
    for path in ("/", "/graph", "/stores"):
        status, headers, body = site.get(path)
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert b"athanor-config" in body
    assert site.get("/graph", "POST")[0] == 405
    assert site.get("/graph", "OPTIONS")[1]["Allow"] == "GET, OPTIONS"
    assert site.get("/static/nope.js")[0] == 404
    assert site.get("/static/../index.html")[0] in (307, 404)
    assert site.get("/favicon.svg")[1]["Content-Type"] == "image/svg+xml"


@needs_ui
def test_with_a_prefix_the_root_redirects_and_everything_lives_below_it(start):
    site = start(external_prefix="/metrics-ui")
    for path in ("/", "/metrics-ui"):
        status, headers, _ = site.get(path)
        assert (status, headers["Location"]) == (302, "/metrics-ui/graph")
    assert b"/metrics-ui/static/" in site.get("/metrics-ui/graph")[2]
    assert site.get("/metrics-ui/api/v1/query?query=1&time=1")[0] == 200
    assert site.get("/api/v1/query?query=1&time=1")[0] == 404
    assert site.get("/metrics-ui/api/v1/any", "OPTIONS")[0] == 204


@needs_ui
def test_the_prefix_header_moves_the_links(start):
    site = start(prefix_header="X-Prefix")
    assert b"/behind/static/" in site.get("/graph", X_Prefix="/behind")[2]
    assert site.get("/graph")[0] == 200


def test_the_querier_is_a_store_itself(start):
    site = start(selector_labels=(("region", "eu"),))
    with grpc.insecure_channel(f"127.0.0.1:{site.grpc.port}") as channel:
        answer = channel.unary_unary("/thanos.info.Info/Info")(b"", timeout=5)
    found = info.InfoResponse.FromString(answer)
    assert found.ComponentType == "query"
    assert found.HasField("store")
    assert [(label.name, label.value) for label in found.label_sets[0].labels] == [("region", "eu")]


class Endless:
    """A storage that never answers, until the query is given up."""

    def __init__(self, proxy, params, cancel):
        self.cancel = cancel
        Endless.running.set()

    running = threading.Event()

    def select(self, selection, budget, context):
        budget.take("endless", 1000)
        while True:
            self.cancel.wait(1)
            context.check()
        yield


def test_twenty_clients_that_leave_end_their_queries_within_200_ms(start, monkeypatch):
    monkeypatch.setattr(run_query, "make_storage", Endless)
    site = start()
    clients = []
    for _ in range(20):
        connection = http.client.HTTPConnection(site.host, site.port, timeout=10)
        connection.request("GET", "/api/v1/query?query=up&time=1")
        clients.append(connection)
    waiting = threading.Event()
    while 'prometheus_engine_queries{engine="prometheus",mode="local"} 20' not in site.get("/metrics")[2].decode():
        waiting.wait(0.01)
    assert "athanor_memory_held_bytes 20000" in site.get("/metrics")[2].decode()
    for connection in clients:
        connection.close()
    waiting.wait(0.2)
    page = site.get("/metrics")[2].decode()
    assert 'prometheus_engine_queries{engine="prometheus",mode="local"} 0' in page
    assert "athanor_memory_held_bytes 0" in page


def test_the_memory_limit_is_that_of_the_control_group_where_it_is_smaller(tmp_path):
    meminfo, limit = tmp_path / "meminfo", tmp_path / "memory.max"
    meminfo.write_text("MemFree: 5 kB\nMemTotal:       2097152 kB\n")
    assert memory_limit_bytes((str(limit),), str(meminfo)) == 2 << 30
    limit.write_text("max\n")
    assert memory_limit_bytes((str(limit),), str(meminfo)) == 2 << 30
    limit.write_text(f"{1 << 30}\n")
    assert memory_limit_bytes((str(limit),), str(meminfo)) == 1 << 30
    assert memory_limit_bytes((), str(tmp_path / "none")) == 4 << 30
