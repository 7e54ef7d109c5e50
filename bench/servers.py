"""The servers of the benchmark, each with the same blocks."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

from demo.processes import Process, free_ports

ATHANOR = (sys.executable, "-m", "athanor.serve.main")
DISTURBED = (sys.executable, "-m", "bench.disturbed")
PAUSE_S = 0.05  # of a neighbour that leaves some of a core to others
PACED = ("env", f"ATHANOR_BENCH_PAUSE_S={PAUSE_S}", *DISTURBED)
FEATURES = ("--enable-feature=promql-experimental-functions",)
IMPORT_ATTEMPTS = 6
MERGE_S = 3.0  # the merge after an import runs in the background
PROMETHEUS_PATH, VICTORIA_PATH = "/api/v1/query_range", "/prometheus/api/v1/query_range"


@dataclass(frozen=True, slots=True)
class Server:
    """What answers at one port; pids are all processes that work for an answer."""

    name: str
    port: int
    path: str
    processes: tuple[Process, ...]

    def pause(self) -> None:
        """Stops the processes' clocks, so that they take nothing from a server that is being measured."""
        for process in self.processes:
            process.child.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        for process in self.processes:
            process.child.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.stop()


def start_prometheus(program: Path, blocks: Path, directory: Path) -> Server:
    """Prometheus over a copy of the blocks, which it neither compacts nor drops."""
    data = directory / "data"
    shutil.copytree(blocks, data)
    config = directory / "prometheus.yml"
    config.write_text("{}\n")
    (port,) = free_ports(1)
    command: list[str | Path] = [
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=100y",
        "--storage.tsdb.min-block-duration=2h",
        "--storage.tsdb.max-block-duration=2h",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    process = Process("prometheus", command, directory / "log")
    process.wait_until_ready(f"http://127.0.0.1:{port}/-/ready")
    return Server("Prometheus", port, PROMETHEUS_PATH, (process,))


def start_victoria(program: Path, vmctl: Path, blocks: Path, directory: Path) -> Server:
    """VictoriaMetrics, filled by vmctl. Now and then vmctl loses a series or two, so what came is counted."""
    n_wanted, n_found = n_samples(blocks), 0
    for attempt in range(IMPORT_ATTEMPTS):
        server = _import_victoria(program, vmctl, blocks, directory / str(attempt))
        n_found = _count_samples(server.port, blocks)
        if n_found == n_wanted:
            return server
        server.stop()
    raise RuntimeError(f"VictoriaMetrics got {n_found} of {n_wanted} samples, after {IMPORT_ATTEMPTS} imports")


def n_samples(blocks: Path) -> int:
    """All samples of some blocks, as their meta.json counts them."""
    return sum(json.loads(path.read_bytes())["stats"]["numSamples"] for path in blocks.glob("*/meta.json"))


def _import_victoria(program: Path, vmctl: Path, blocks: Path, directory: Path) -> Server:
    directory.mkdir(parents=True)
    (port,) = free_ports(1)
    command: list[str | Path] = [
        program,
        f"-storageDataPath={directory}/data",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-retentionPeriod=100y",
        "-search.disableCache",
    ]
    process = Process("victoria-metrics", command, directory / "log")
    process.wait_until_ready(f"http://127.0.0.1:{port}/health")
    load = [vmctl, "prometheus", "-s", f"--prom-snapshot={blocks}", f"--vm-addr=http://127.0.0.1:{port}"]
    # vmctl wants a terminal; script gives it one.
    ended = subprocess.run(
        ["script", "-qec", shlex.join(map(str, load)), "/dev/null"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        raise RuntimeError(f"vmctl ended with {ended.returncode}: {ended.stdout[-1000:]}")
    for step in ("force_flush", "force_merge"):
        urlopen(f"http://127.0.0.1:{port}/internal/{step}", timeout=60).close()
    time.sleep(MERGE_S)
    return Server("VictoriaMetrics", port, VICTORIA_PATH, (process,))


def _count_samples(port: int, blocks: Path) -> int:
    metas = [json.loads(path.read_bytes()) for path in blocks.glob("*/meta.json")]
    first_s, end_s = min(m["minTime"] for m in metas) // 1000, max(m["maxTime"] for m in metas) // 1000
    parameters = {"query": f'sum(count_over_time({{__name__!=""}}[{end_s - first_s + 60}s]))', "time": str(end_s)}
    with urlopen(f"http://127.0.0.1:{port}/prometheus/api/v1/query?{urlencode(parameters)}", timeout=60) as answer:
        result = json.load(answer)["data"]["result"]
    return int(result[0]["value"][1]) if result else 0


def start_store(bucket: Path, directory: Path, program: Sequence[str] = ATHANOR) -> tuple[Process, int, int, float]:
    """A store over a bucket. Returns it, its HTTP and gRPC port and the seconds from exec to ready."""
    http, grpc = free_ports(2)
    config = f"{{type: FILESYSTEM, config: {{directory: {json.dumps(str(bucket))}}}}}"
    start = time.monotonic()
    process = Process(
        "store",
        [*program, "store", f"--data-dir={directory}/store", f"--objstore.config={config}", *listen(http, grpc)],
        directory / "store.log",
    )
    process.wait_until_ready(f"http://127.0.0.1:{http}/-/ready")
    return process, http, grpc, time.monotonic() - start


def start_query(
    endpoints: Sequence[int], directory: Path, program: Sequence[str] = ATHANOR, *, more: Sequence[str] = ()
) -> tuple[Process, int, float]:
    """A query over stores on these gRPC ports. Returns it, its HTTP port and the seconds from exec to ready."""
    http, grpc = free_ports(2)
    start = time.monotonic()
    flags = [*(f"--endpoint=127.0.0.1:{port}" for port in endpoints), "--query.replica-label=replica", *more]
    process = Process("query", [*program, "query", *flags, *listen(http, grpc)], directory / "query.log")
    process.wait_until_ready(f"http://127.0.0.1:{http}/-/ready")
    return process, http, time.monotonic() - start


def start_athanor(bucket: Path, directory: Path, *, program: Sequence[str] = ATHANOR) -> Server:
    """A store and a query over it, two processes with gRPC between them."""
    store, _, grpc, _ = start_store(bucket, directory)
    query, http, _ = start_query([grpc], directory, program, more=FEATURES)
    return Server("Athanor", http, PROMETHEUS_PATH, (store, query))


def start_thanos(program: Path, bucket: Path, directory: Path) -> Server:
    """The original's store and query over the same bucket."""
    store, _, grpc, _ = start_store(bucket, directory, [str(program)])
    query, http, _ = start_query([grpc], directory, [str(program)], more=FEATURES)
    return Server("Thanos", http, PROMETHEUS_PATH, (store, query))


def listen(http: int, grpc: int) -> list[str]:
    return [
        f"--http-address=127.0.0.1:{http}",
        f"--grpc-address=127.0.0.1:{grpc}",
        "--http-grace-period=1s",
        "--grpc-grace-period=1s",
    ]
