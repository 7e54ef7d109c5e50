"""Clients that leave in mid-query: soon nothing works for them and nothing is held for them, in query and store."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from bench.measure import cpu_s
from tests.interop.pair import END_S, FIRST_S, Pair, ask_range, metrics

N_CLIENTS = 20
SOON_S = 0.2
ATTEMPTS = 4
STEP_S = 8
BEGIN_S = 0.25
QUIET_S = 0.5
AT_REST_S = 0.08
"""CPU seconds of both processes in QUIET_S: two pages of metrics, timers of the runtime."""

QUERIES = {
    "selector": '{__name__=~"c|g"}',
    "rate": "rate(c[1h])",
    "reduction": "sum by (instance) (rate(c[1h]))",
    "quantile": "quantile by (cpu) (0.9, g)",
    "topk": "topk(50, g)",
    "binary": "c / on(instance, job, code, cpu) c",
    "subquery": "max_over_time(g[1h:1m])",
    "subquery of an aggregation": "max_over_time(sum by (instance) (rate(c[5m]))[1h:30s])",
    "sorted samples": "quantile_over_time(0.5, g[1h])",
    "deviations": "stddev_over_time(g[1h])",
    "extremes": "max_over_time(g[1h])",
    "regression": "predict_linear(g[1h], 60)",
    "presence": "absent(g + g)",
    "functions of samples": "abs(ln(g) - 3)",
    "samples and a number": "g > 50",
    "set": 'g unless on(instance, cpu) g{job="web"} > 50',
    "many to one": 'c / on(instance, code) group_left() c{job="web"}',
    "labels": 'label_replace(g, "host", "$1", "instance", "(.*):.*")',
    "counted values": 'count_values("v", round(g))',
    "classic histogram": 'histogram_quantile(0.9, sum by (job, le) (label_replace(c, "le", "$1", "code", "(.*)")))',
}
HELD = {
    "query": ("athanor_memory_held_bytes", "athanor_queries_held"),
    "store": ("athanor_memory_held_bytes", "thanos_bucket_store_series_gate_queries_in_flight"),
}

pytestmark = pytest.mark.alone


def held(pair: Pair) -> dict[str, float]:
    """What both processes hold for queries, where it is not zero."""
    pages = {"query": metrics(pair.port), "store": metrics(pair.store_port)}
    return {f"{role} {name}": pages[role][name] for role, names in HELD.items() for name in names if pages[role][name]}


def worked_s(pair: Pair) -> tuple[float, float]:
    """CPU seconds of query and store so far."""
    return cpu_s(pair.query.pid), cpu_s(pair.store.pid)


def begin(port: int, query: str) -> socket.socket:
    """A client that has asked and does not read yet."""
    parameters = {"query": query, "start": str(FIRST_S + 3600), "end": str(END_S), "step": str(STEP_S)}
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(f"GET /api/v1/query_range?{urlencode(parameters)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return client


def leave(client: socket.socket, is_abrupt: bool) -> None:
    """With a reset, as a client that was killed, or by closing."""
    if is_abrupt:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def all_leave(pair: Pair, clients: list[socket.socket], is_abrupt: bool) -> float:
    """They leave. Seconds until nothing was held for them; of these, on a busy machine, what one process worked."""
    left_at, before_s = time.monotonic(), worked_s(pair)
    for client in clients:
        leave(client, is_abrupt)
    while (left := held(pair)) and time.monotonic() < left_at + 10:
        time.sleep(0.02)
    elapsed_s = time.monotonic() - left_at
    needed_s = max(after - before for after, before in zip(worked_s(pair), before_s, strict=True))
    assert not left
    return min(elapsed_s, needed_s)


def soon(attempt: Callable[[], float]) -> bool:
    """Whether it took less than SOON_S once in some attempts: others may hold up the message that a client left."""
    return any(attempt() < SOON_S for _ in range(ATTEMPTS))


@pytest.fixture(scope="module")
def warm(pair: Pair) -> Pair:
    """The pair after one answer of each kind."""
    for query in QUERIES.values():
        assert ask_range(pair.port, query, END_S - 600, END_S).status == 200
    return pair


@pytest.mark.parametrize("is_abrupt", [True, False], ids=["reset", "closed"])
@pytest.mark.parametrize("kind", QUERIES)
def test_twenty_clients_leave_and_nothing_is_left_of_them(warm: Pair, kind: str, is_abrupt: bool):
    def left_s() -> float:
        clients = [begin(warm.port, QUERIES[kind]) for _ in range(N_CLIENTS)]
        time.sleep(BEGIN_S)
        assert held(warm).get("query athanor_queries_held"), "every client was answered before it could leave"
        return all_leave(warm, clients, is_abrupt)

    assert soon(left_s)
    before_s = worked_s(warm)
    time.sleep(QUIET_S)
    assert sum(worked_s(warm)) - sum(before_s) <= AT_REST_S
    assert not held(warm)


def test_clients_that_leave_while_the_answer_is_written_hold_nothing(warm: Pair):
    def left_s() -> float:
        clients = [begin(warm.port, "g") for _ in range(N_CLIENTS)]
        for client in clients:
            client.settimeout(30)
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")
        assert held(warm)["query athanor_queries_held"]
        return all_leave(warm, clients, True)

    assert soon(left_s)
