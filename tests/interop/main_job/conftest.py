"""One whole installation for the tests of this folder.

``ATHANOR_INTEROP_QUERY=/path/to/thanos`` puts the query of a real Thanos over Athanor's sidecars and store.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo import programs
from demo.cluster import ATHANOR, CLUSTER, Cluster
from demo.history import STEP_MS, write_history

N_DAYS = 3
LEAST_SAMPLES = 25
MOST_SAMPLES = 115
"""A head chunk is cut at 120 samples; below that each replica's series is one chunk, and the fold has two sides."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two Prometheus that scrape every second, three days of history."""
    program = programs.find("prometheus")
    if program is None:
        pytest.skip(programs.how_to_get("prometheus"))
    subprocess.run([*ATHANOR, "kernels", "warm"], check=True, stdin=subprocess.DEVNULL, capture_output=True)
    directory: Path = tmp_path_factory.mktemp("cluster")
    query = shlex.split(os.environ.get("ATHANOR_INTEROP_QUERY", "")) or ATHANOR
    with Cluster(directory, program, scrape_interval="1s", query_program=query) as running:
        end_ms = int(time.time() * 1000) // STEP_MS * STEP_MS
        list(write_history(running.bucket, end_ms, N_DAYS, CLUSTER))
        list(running.start())
        yield running


@pytest.fixture(scope="module")
def moment_s(cluster: Cluster) -> float:
    """A time, seconds since the epoch, until which both replicas have settled and hold enough live samples."""
    deadline = time.monotonic() + 120
    query = 'min(count_over_time(up{job="prometheus"}[10m]))'
    while time.monotonic() < deadline:
        counts = [
            float(result["value"][1])
            for replica in cluster.replicas
            for result in cluster.ask_prometheus(replica, "query", query=query)["data"]["result"]
        ]
        if len(counts) == len(cluster.replicas) and min(counts) >= LEAST_SAMPLES:
            assert max(counts) <= MOST_SAMPLES
            moment = int(time.time())
            time.sleep(2)  # whatever was scraped before the moment has been appended
            return float(moment)
        time.sleep(0.5)
    raise AssertionError("the replicas do not scrape; their logs are in " + str(cluster.directory / "logs"))
