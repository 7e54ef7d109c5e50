"""The main job: two replicas of a real Prometheus and a bucket, seen as one.

The tests run in this order over one installation; the last ones break it, piece by piece.
"""

from __future__ import annotations

import json
import math
import socket
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np
import pytest

from demo.cluster import CLUSTER, Cluster
from demo.shop import instance_series
from tests.interop.main_job.reference import Sample, fold, rate, without_resets

Labels = frozenset[tuple[str, str]]
WINDOW = "10m"
WINDOW_MS, MINUTE_MS, LOOKBACK_MS = 600_000, 60_000, 300_000
REPLICA_LABELS = frozenset({"replica"})
COUNTERS = '{__name__=~"prometheus_tsdb_head_samples_appended_total|process_cpu_seconds_total",job="prometheus"}'
GAUGES = '{__name__=~"go_goroutines|process_resident_memory_bytes|up",job="prometheus"}'


def matrix(answer: Any, without: Iterable[str] = ()) -> dict[Labels, list[tuple[float, str]]]:
    """Label set -> (time, value as text)."""
    left_out = set(without)
    series = {}
    for entry in answer["data"]["result"]:
        key = frozenset((name, value) for name, value in entry["metric"].items() if name not in left_out)
        assert key not in series, f"two series of {sorted(key)}"
        series[key] = [tuple(point) for point in entry["values"]]
    return series


def vector(answer: Any, without: Iterable[str] = ()) -> dict[Labels, float]:
    left_out = set(without)
    return {
        frozenset((name, value) for name, value in entry["metric"].items() if name not in left_out): float(
            entry["value"][1]
        )
        for entry in answer["data"]["result"]
    }


def raw_samples(
    cluster: Cluster, selector: str, moment_s: float, range_ms: int = WINDOW_MS
) -> dict[str, dict[Labels, list[Sample]]]:
    """What each Prometheus itself holds in (moment - range, moment], by replica, with its external labels added."""
    found = {}
    for replica in cluster.replicas:
        answer = cluster.ask_prometheus(
            replica, "query", query=f"{selector}[{range_ms // 1000}s]", time=f"{moment_s:.3f}"
        )
        found[replica] = {
            key | {("cluster", CLUSTER)}: [
                (round(at * 1000), float(value))
                for at, value in points
                if round(at * 1000) > moment_s * 1000 - range_ms  # the window of Prometheus 2 is closed on the left
            ]
            for key, points in matrix(answer).items()
        }
    return found


def expected_folds(
    cluster: Cluster, selector: str, moment_s: float, range_ms: int, *, is_counter: bool = False
) -> dict[Labels, list[Sample]]:
    """The reference's choice for each series; the replica whose chunk begins first comes first."""
    replicas: dict[Labels, list[list[Sample]]] = defaultdict(list)
    for series in raw_samples(cluster, selector, moment_s, range_ms).values():
        for key, samples in series.items():
            if samples:
                replicas[key].append(without_resets(samples) if is_counter else samples)
    return {
        key: fold(sorted(found, key=lambda samples: (samples[0][0], samples[-1][0])), is_counter=is_counter)
        for key, found in replicas.items()
    }


def ask(cluster: Cluster, query: str, moment_s: float, **more: str) -> Any:
    answer = cluster.ask("query", query=query, time=f"{moment_s:.3f}", **more)
    assert answer["status"] == "success"
    return answer


def close(left: dict[Labels, float], right: dict[Labels, float]) -> bool:
    return left.keys() == right.keys() and all(math.isclose(left[key], right[key], rel_tol=1e-11) for key in left)


def without_name(key: Labels) -> Labels:
    return frozenset((name, value) for name, value in key if name != "__name__")


def test_without_deduplication_each_replica_is_its_prometheus_sample_for_sample(cluster: Cluster, moment_s: float):
    selector = '{job=~"prometheus|shop"}'
    answer = matrix(ask(cluster, f"{selector}[1m]", moment_s, dedup="false"))
    assert answer
    for replica in cluster.replicas:
        own = matrix(cluster.ask_prometheus(replica, "query", query=f"{selector}[1m]", time=f"{moment_s:.3f}"))
        mine = {
            key - {("replica", replica), ("cluster", CLUSTER)}: [p for p in points if p[0] > live_from_s(own, key)]
            for key, points in answer.items()
            if ("replica", replica) in key
        }
        for key, points in own.items():
            inside = [point for point in points if round(point[0] * 1000) > moment_s * 1000 - MINUTE_MS]
            assert mine.get(key, []) == inside, sorted(key)


def live_from_s(own: dict[Labels, list[tuple[float, str]]], key: Labels) -> float:
    """Just before the live samples of a series: what is older comes from the generated history in the bucket."""
    plain = frozenset((name, value) for name, value in key if name not in ("replica", "cluster"))
    return own[plain][0][0] - 0.001 if plain in own else 0.0


@pytest.mark.parametrize("selector", [COUNTERS, GAUGES], ids=["counters", "gauges"])
def test_a_deduplicated_window_holds_the_samples_that_the_reference_chooses(
    cluster: Cluster, moment_s: float, selector: str
):
    answer = matrix(ask(cluster, f"{selector}[{WINDOW}]", moment_s))
    expected = expected_folds(cluster, selector, moment_s, WINDOW_MS)
    assert answer.keys() == expected.keys()
    for key, samples in expected.items():
        assert [(round(at * 1000), float(value)) for at, value in answer[key]] == samples, sorted(key)


def test_rates_equal_those_of_the_reference(cluster: Cluster, moment_s: float):
    folds = expected_folds(cluster, COUNTERS, moment_s, MINUTE_MS, is_counter=True)
    expected: dict[Labels, float] = {}
    for key, samples in folds.items():
        per_s = rate(samples, round(moment_s * 1000), MINUTE_MS)
        assert per_s is not None
        if ("__name__", "process_cpu_seconds_total") in key:
            expected[without_name(key)] = per_s
    answer = vector(ask(cluster, 'rate(process_cpu_seconds_total{job="prometheus"}[1m])', moment_s))
    assert close(answer, expected), (answer, expected)


def test_sums_equal_those_of_the_reference(cluster: Cluster, moment_s: float):
    folds = expected_folds(cluster, 'go_goroutines{job="prometheus"}', moment_s, LOOKBACK_MS)
    expected = sum(samples[-1][1] for samples in folds.values())
    answer = vector(ask(cluster, 'sum(go_goroutines{job="prometheus"})', moment_s))
    assert answer == {frozenset(): expected}


def test_maxima_over_time_equal_those_of_the_reference(cluster: Cluster, moment_s: float):
    selector = 'process_resident_memory_bytes{job="prometheus"}'
    folds = expected_folds(cluster, selector, moment_s, WINDOW_MS)
    expected = {without_name(key): max(value for _, value in samples) for key, samples in folds.items()}
    assert vector(ask(cluster, f"max_over_time({selector}[{WINDOW}])", moment_s)) == expected


def test_history_is_the_bucket_s_sample_for_sample(cluster: Cluster, moment_s: float):
    then_s = (moment_s // 86_400 - 1) * 86_400 + 3 * 3_600 + 7  # three o'clock of yesterday: no replica is down
    answer = ask(cluster, 'shop_queue_length{instance="shop-2"}[5m]', then_s, dedup="false")
    series = matrix(answer)
    assert len(series) == 2
    for points in series.values():
        assert len(points) == 10
        times_s = np.array([at for at, _ in points], np.float64)
        wanted = next(
            s.values for s in instance_series("shop-2", times_s) if ("__name__", "shop_queue_length") in s.labels
        )
        assert [float(value) for _, value in points] == wanted.tolist()


def test_one_query_runs_from_history_into_the_present(cluster: Cluster, moment_s: float):
    answer = cluster.ask(
        "query_range",
        query='count(up{job="shop"})',
        start=f"{moment_s - 86_400:.0f}",
        end=f"{moment_s:.0f}",
        step="60",
    )
    (points,) = matrix(answer).values()
    assert len(points) == 1441
    assert {value for _, value in points} == {"3"}
    assert "warnings" not in answer


def test_clients_that_leave_stop_the_work(cluster: Cluster, moment_s: float):
    parameters = urlencode(
        {
            "query": 'sum by (le) (quantile_over_time(0.9, {job="shop"}[1d]))',
            "start": f"{moment_s - 86_400:.0f}",
            "end": f"{moment_s:.0f}",
            "step": "10",
        }
    )
    request = f"GET /api/v1/query_range?{parameters} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    workers = [cluster.processes[name] for name in ("query", "store")]
    clients = []
    for _ in range(20):
        client = socket.create_connection(("127.0.0.1", cluster.ports["query"].http))
        client.sendall(request)
        clients.append(client)
    time.sleep(1.5)
    assert sum(busy_s(process.pid, 0.3) for process in workers) > 0.1, "the query ended before its clients left"
    for client in clients:
        client.close()
    time.sleep(0.2)
    # Scrapes and probes go on, so the limit is not zero: a tenth of one core in each process.
    assert sum(busy_s(process.pid, 1.0) for process in workers) < 0.2
    for name in ("query", "store"):
        assert held_bytes(cluster.ports[name].url) == 0, name


def busy_s(pid: int, during_s: float) -> float:
    """CPU seconds that a process spends while we wait."""
    from bench.measure import cpu_s

    before = cpu_s(pid)
    time.sleep(during_s)
    return cpu_s(pid) - before


def held_bytes(url: str) -> float:
    """The accounted memory of a process."""
    text = urlopen(f"{url}/metrics", timeout=5).read().decode()
    found = [line for line in text.splitlines() if line.startswith("athanor_memory_held_bytes")]
    assert found, "no gauge of the accounted memory"
    return sum(float(line.rsplit(" ", 1)[1]) for line in found)


def test_one_dead_replica_leaves_the_answer_complete(cluster: Cluster, moment_s: float):
    cluster.processes["prometheus-a"].kill()
    cluster.processes["sidecar-a"].kill()
    time.sleep(8)
    now_s = int(time.time()) - 2
    answer = cluster.ask(
        "query_range", query='count(up{job="shop"})', start=f"{moment_s - 20:.0f}", end=f"{now_s}", step="1"
    )
    (points,) = matrix(answer).values()
    assert [value for _, value in points] == ["3"] * (now_s - int(moment_s) + 21)


def test_a_dead_store_is_never_silent(cluster: Cluster, moment_s: float):
    cluster.processes["store"].kill()
    killed_s = time.monotonic()
    then_s = moment_s - 86_400
    for wait_until_s in (0, 65):
        time.sleep(max(0.0, killed_s + wait_until_s - time.monotonic()))
        answer = ask(cluster, 'count(up{job="shop"})', then_s, partial_response="true")
        assert answer["data"]["result"] == []
        assert any(str(cluster.ports["store"].grpc) in warning for warning in answer["warnings"]), wait_until_s
        with pytest.raises(HTTPError) as refused:
            ask(cluster, 'count(up{job="shop"})', then_s, partial_response="false")
        body = json.load(refused.value)
        assert body["status"] == "error"
        assert str(cluster.ports["store"].grpc) in body["error"], wait_until_s


def test_everything_that_still_runs_ends_cleanly(cluster: Cluster):
    codes = cluster.stop()
    killed = {"prometheus-a", "sidecar-a", "store"}
    assert {name: code for name, code in codes.items() if name not in killed} == {
        name: 0 for name in codes if name not in killed
    }
