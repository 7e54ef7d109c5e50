"""The whole installation on one machine: Prometheus replicas, their sidecars, a bucket, a store, a query."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from demo.processes import Process, StartError, free_ports
from demo.shop import INSTANCES, ShopServer

CLUSTER = "demo"
REPLICAS = ("a", "b")
ATHANOR = (sys.executable, "-m", "athanor.serve.main")


@dataclass(frozen=True, slots=True)
class Ports:
    """Where one component listens; a Prometheus has no gRPC."""

    http: int
    grpc: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}"


class Cluster:
    """Starts in the order of its parts, stops in the reverse order; a context manager.

    prometheus: the program, or None for an installation over history alone. query_program: what runs as ``query``, for
    example a Thanos. check: called while waiting; what it raises ends the wait. Every process writes its log to
    ``logs/``.
    """

    def __init__(
        self,
        directory: Path,
        prometheus: Path | None,
        *,
        scrape_interval: str = "5s",
        query_program: Sequence[str] = ATHANOR,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.directory, self.prometheus, self.scrape_interval = directory, prometheus, scrape_interval
        self.query_program, self.check = query_program, check
        self.bucket = directory / "bucket"
        self.processes: dict[str, Process] = {}
        self.shop = ShopServer() if prometheus else None
        replicas = REPLICAS if prometheus else ()
        names = ["query", "store", *(f"sidecar-{r}" for r in replicas), *(f"prometheus-{r}" for r in replicas)]
        numbers = free_ports(2 * len(names))
        self.ports = {name: Ports(*numbers[2 * i : 2 * i + 2]) for i, name in enumerate(names)}
        self.replicas = replicas

    @property
    def url(self) -> str:
        """The address for people."""
        return self.ports["query"].url

    @property
    def bucket_config(self) -> str:
        return f"{{type: FILESYSTEM, config: {{directory: {json.dumps(str(self.bucket))}}}}}"

    def start(self) -> Iterator[str]:
        """Starts one process after the other and yields the name of each that is ready."""
        for replica in self.replicas:
            yield self._start_prometheus(replica)
        for replica in self.replicas:
            yield self._start_sidecar(replica)
        yield self.start_store()
        yield self._start_query()

    def _run(self, name: str, command: Sequence[str | Path]) -> str:
        process = Process(name, command, self.directory / "logs" / f"{name}.log")
        self.processes[name] = process
        process.wait_until_ready(f"{self.ports[name].url}/-/ready", check=self.check)
        return name

    def _start_prometheus(self, replica: str) -> str:
        assert self.prometheus is not None
        name = f"prometheus-{replica}"
        directory = self.directory / name
        directory.mkdir(parents=True, exist_ok=True)
        config = directory / "prometheus.yml"
        config.write_text(json.dumps(self._scrape_config(replica), indent=2))  # JSON is YAML
        return self._run(
            name,
            [
                self.prometheus,
                f"--config.file={config}",
                f"--storage.tsdb.path={directory}/data",
                "--storage.tsdb.min-block-duration=2h",
                "--storage.tsdb.max-block-duration=2h",
                "--storage.tsdb.retention.time=2d",
                f"--web.listen-address=127.0.0.1:{self.ports[name].http}",
            ],
        )

    def _scrape_config(self, replica: str) -> dict[str, Any]:
        assert self.shop is not None
        jobs: dict[str, list[dict[str, Any]]] = {"prometheus": [], "athanor": []}
        for name, ports in self.ports.items():
            job = "prometheus" if name.startswith("prometheus") else "athanor"
            jobs[job].append({"targets": [f"127.0.0.1:{ports.http}"], "labels": {"instance": name}})
        jobs["shop"] = [
            {"targets": [self.shop.address], "labels": {"instance": i, "__metrics_path__": f"/{i}/metrics"}}
            for i in INSTANCES
        ]
        return {
            "global": {
                "scrape_interval": self.scrape_interval,
                "external_labels": {"cluster": CLUSTER, "replica": replica},
            },
            "scrape_configs": [{"job_name": job, "static_configs": targets} for job, targets in jobs.items()],
        }

    def _start_sidecar(self, replica: str) -> str:
        name, prometheus = f"sidecar-{replica}", f"prometheus-{replica}"
        return self._run(
            name,
            [
                *ATHANOR,
                "sidecar",
                f"--prometheus.url={self.ports[prometheus].url}",
                f"--tsdb.path={self.directory / prometheus}/data",
                f"--objstore.config={self.bucket_config}",
                *self._listen(name),
            ],
        )

    def start_store(self) -> str:
        return self._run(
            "store",
            [
                *ATHANOR,
                "store",
                f"--data-dir={self.directory}/store",
                f"--objstore.config={self.bucket_config}",
                "--sync-block-duration=1m",
                *self._listen("store"),
            ],
        )

    def _start_query(self) -> str:
        endpoints = [name for name in self.ports if name == "store" or name.startswith("sidecar")]
        return self._run(
            "query",
            [
                *self.query_program,
                "query",
                *(f"--endpoint=127.0.0.1:{self.ports[name].grpc}" for name in endpoints),
                "--query.replica-label=replica",
                *self._listen("query"),
            ],
        )

    def _listen(self, name: str) -> list[str]:
        ports = self.ports[name]
        return [
            f"--http-address=127.0.0.1:{ports.http}",
            f"--grpc-address=127.0.0.1:{ports.grpc}",
            "--http-grace-period=2s",
            "--grpc-grace-period=2s",
        ]

    def ask(self, path: str, **parameters: str) -> Any:
        """The answer of the query component's HTTP API, decoded."""
        return ask(self.url, path, **parameters)

    def ask_prometheus(self, replica: str, path: str, **parameters: str) -> Any:
        """The same of one Prometheus."""
        return ask(self.ports[f"prometheus-{replica}"].url, path, **parameters)

    def stop(self) -> dict[str, int]:
        """Stops everything, in the reverse order of starting. Returns the exit codes by name."""
        codes = {name: process.stop() for name, process in reversed(self.processes.items())}
        if self.shop is not None:
            self.shop.close()
            self.shop = None
        return codes

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *reason: object) -> None:
        self.stop()


def ask(url: str, path: str, **parameters: str) -> Any:
    """One GET of an API of the Prometheus family; ``match_`` stands for ``match[]``."""
    query = urlencode({("match[]" if name == "match_" else name): value for name, value in parameters.items()})
    with urlopen(f"{url}/api/v1/{path}?{query}", timeout=60) as answer:
        return json.load(answer)


__all__ = ["CLUSTER", "REPLICAS", "Cluster", "Ports", "StartError", "ask"]
