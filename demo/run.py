"""``make demo``: Athanor at work on this machine, until Ctrl-C.

Everything lives in one directory (``demo-data``), which each run starts anew. Where there is no Prometheus, the demo
says how to get one and goes on over the generated history alone.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

from demo import programs
from demo.cluster import ATHANOR, CLUSTER, Cluster, StartError
from demo.history import STEP_MS, write_history

MARKER = ".athanor-demo"
N_DAYS = 7
SHOWN = 4

EXAMPLES = (
    ("requests per second, now", "sum by (code) (rate(shop_requests_total[5m]))"),
    ("the same, a day ago: from the bucket", "sum by (code) (rate(shop_requests_total[5m] offset 1d))"),
    ("the busiest five minutes of the week", "max_over_time(sum(rate(shop_requests_total[5m]))[7d:5m])"),
    (
        "90th percentile of the latency, seconds",
        "histogram_quantile(0.9, sum by (le) (rate(shop_request_duration_seconds_bucket[1h])))",
    ),
)
LIVE_EXAMPLES = (
    ("what the two Prometheus see, deduplicated", "count by (job) (up)"),
    ("memory of the components, MB", 'sort_desc(process_resident_memory_bytes{job="athanor"} / 1e6)'),
)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m demo.run", description="Athanor at work on this machine.")
    parser.add_argument("--data-dir", type=Path, default=programs.ROOT / "demo-data", help="started anew by every run")
    parser.add_argument("--days", type=int, default=N_DAYS, help="days of history")
    parser.add_argument("--no-prometheus", action="store_true", help="history alone")
    options = parser.parse_args(arguments)
    stopping = Stopping()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.begin())
    try:
        return run(options.data_dir.resolve(), options.days, options.no_prometheus, stopping)
    except Stopped:
        return 0
    except (StartError, OSError, subprocess.CalledProcessError) as error:
        if stopping.has_begun:  # the terminal's Ctrl-C reached a child first
            return 0
        print(f"\nThe demo cannot go on: {error}", file=sys.stderr)
        return 1


class Stopped(Exception):
    """Somebody asked the demo to end."""


class Stopping:
    """Whether somebody asked. A signal only leaves a mark: an exception out of its handler could break anything."""

    def __init__(self) -> None:
        self.has_begun = False

    def begin(self) -> None:
        self.has_begun = True

    def check(self) -> None:
        if self.has_begun:
            raise Stopped


def run(directory: Path, n_days: int, without_prometheus: bool, stopping: Stopping) -> int:
    prepare(directory)
    say("Kernels")
    subprocess.run([*ATHANOR, "kernels", "warm"], check=True)
    stopping.check()
    prometheus = None if without_prometheus else find_prometheus()
    with Cluster(directory, prometheus, check=stopping.check) as cluster:
        try:
            write_bucket(cluster.bucket, n_days)
            say("Processes")
            for name in cluster.start():
                print(f"  {name:14} ready  {cluster.ports[name].url}", flush=True)
            wait_for_data(cluster)
            show(cluster)
            watch(cluster)
        except Stopped:
            print("\nStopping ...", flush=True)
    codes = {name: process.child.returncode for name, process in cluster.processes.items()}
    unclean = {name: code for name, code in codes.items() if code != 0}
    print(f"Stopped; these did not end cleanly: {unclean}" if unclean else "Stopped. Everything ended cleanly.")
    return 1 if unclean else 0


def prepare(directory: Path) -> None:
    """An empty directory; only one that a demo made is emptied."""
    if directory.exists() and any(directory.iterdir()):
        if not (directory / MARKER).exists():
            raise StartError(f"{directory} holds something that no demo put there: choose another --data-dir")
        shutil.rmtree(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MARKER).touch()


def find_prometheus() -> Path | None:
    found = programs.find("prometheus")
    if found is None:
        print("No prometheus on PATH; asking Debian's archive for it ...", flush=True)
        found = programs.find_or_fetch("prometheus")
    if found is None:
        print(f"{programs.how_to_get('prometheus')}.\nGoing on without: the history in the bucket is all there is.")
    return found


def write_bucket(bucket: Path, n_days: int) -> None:
    say("History")
    start = time.monotonic()
    end_ms = int(time.time() * 1000) // STEP_MS * STEP_MS
    n_blocks = n_samples = 0
    for meta in write_history(bucket, end_ms, n_days, CLUSTER):
        n_blocks, n_samples = n_blocks + 1, n_samples + meta.stats.n_samples
    print(f"  {n_blocks} blocks, {n_samples:,} samples of two replicas in {time.monotonic() - start:.1f} s: {bucket}")


def wait_for_data(cluster: Cluster) -> None:
    """Until every endpoint is known and the live replicas were scraped twice."""
    wanted = "2" if cluster.replicas else None
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        cluster.check()
        if wanted is None:
            stores = cluster.ask("stores")["data"]
            if any(stores.values()):
                return
        else:
            answer = cluster.ask("query", query='min(count_over_time(up{job="shop"}[1m]))', dedup="false")
            result = answer["data"]["result"]
            if result and float(result[0]["value"][1]) >= float(wanted):
                return
        time.sleep(0.5)
    raise StartError("no data after a minute; the logs are in " + str(cluster.directory / "logs"))


def show(cluster: Cluster) -> None:
    say("Examples")
    for title, query in EXAMPLES + (LIVE_EXAMPLES if cluster.replicas else ()):
        cluster.check()
        print(f"  {title}\n    {query}")
        start = time.monotonic()
        try:
            answer = cluster.ask("query", query=query)
        except HTTPError as error:
            print(f"      {error.read().decode(errors='replace').strip()}")
            continue
        elapsed_ms = (time.monotonic() - start) * 1000
        for line in lines(answer["data"]["result"]):
            print(f"      {line}")
        print(f"      ({elapsed_ms:.0f} ms)")
    graph = {"g0.expr": EXAMPLES[0][1], "g0.tab": "0", "g0.range_input": "1w"}
    print(f"\nOpen {cluster.url}/graph?{urlencode(graph)}")
    print(f"Endpoints: {cluster.url}/stores    Logs: {cluster.directory / 'logs'}")
    print("Ctrl-C ends the demo.", flush=True)


def lines(result: Any) -> list[str]:
    if not result:
        return ["(no data)"]
    shown = []
    for series in result[:SHOWN]:
        labels = ", ".join(f'{name}="{value}"' for name, value in series["metric"].items())
        shown.append(f"{{{labels}}} {float(series['value'][1]):.6g}")
    return shown + ([f"... and {len(result) - SHOWN} more"] if len(result) > SHOWN else [])


def watch(cluster: Cluster) -> None:
    """Waits until somebody stops the demo, or a process ends by itself."""
    while True:
        cluster.check()
        for process in cluster.processes.values():
            if process.child.poll() is not None:
                raise StartError(f"{process.name} ended with code {process.child.returncode}:\n{process.last_lines()}")
        time.sleep(0.2)


def say(title: str) -> None:
    print(f"\n── {title} " + "─" * (60 - len(title)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
