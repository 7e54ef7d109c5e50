"""A store and a query as processes, asked over HTTP and looked at from outside."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench.generate import BLOCK_MS, FIRST_MS
from bench.servers import ATHANOR, listen, start_query, start_store
from demo.processes import Process, free_ports

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TIMEOUT_S = 60
FIRST_S, END_S = FIRST_MS // 1000, (FIRST_MS + 12 * BLOCK_MS) // 1000


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; ``document`` is its JSON."""

    status: int
    elapsed_s: float
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The text of an error, "" of a success."""
        return str(self.document.get("error", ""))


def ask(port: int, api: str, parameters: Mapping[str, str]) -> Reply:
    """One POST, read to its end."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    start = time.monotonic()
    try:
        connection.request("POST", f"/api/v1/{api}", urlencode(parameters), FORM)
        response = connection.getresponse()
        body = response.read()
        return Reply(response.status, time.monotonic() - start, body)
    finally:
        connection.close()


def ask_range(port: int, query: str, first_s: int = FIRST_S + 3600, end_s: int = END_S, step_s: int = 30) -> Reply:
    """A range query, by default over 23 h of the generated bucket."""
    parameters = {"query": query, "start": str(first_s), "end": str(end_s), "step": str(step_s)}
    return ask(port, "query_range", parameters)


def metrics(port: int) -> dict[str, float]:
    """Every series of ``/metrics`` as it is written there, and its value."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/metrics")
        page = connection.getresponse().read().decode()
    finally:
        connection.close()
    lines = (line.rpartition(" ") for line in page.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def start_query_with(flags: Sequence[str], directory: Path) -> tuple[Process, int]:
    """A query with flags of the test's own. Returns it and its HTTP port."""
    http_port, grpc_port = free_ports(2)
    process = Process("query", [*ATHANOR, "query", *flags, *listen(http_port, grpc_port)], directory / "query.log")
    process.wait_until_ready(f"http://127.0.0.1:{http_port}/-/ready")
    return process, http_port


class Pair:
    """A store over a bucket and a query over it."""

    def __init__(self, bucket: Path, directory: Path) -> None:
        self.store, self.store_port, grpc, _ = start_store(bucket, directory)
        try:
            self.query, self.port, _ = start_query([grpc], directory)
        except BaseException:
            self.store.stop()
            raise

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *_: object) -> None:
        self.query.stop()
        self.store.stop()
