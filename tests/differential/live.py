"""A running Prometheus 2.42 with the data, asked over one connection."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import cramjam

from demo.processes import Process, free_ports
from tests.differential.answers import Answer
from tests.differential.generate import Question
from tests.differential.live_data import live_series
from tests.differential.live_questions import HOLT_WINTERS
from tests.differential.remote_write import write_request

VERSION = "2.42."
TIMEOUT_S = 20
CONFIG = "global: {scrape_interval: 1h}\n"
WRITE_HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def version(program: Path) -> str:
    """As the program tells it: "2.42.0+ds"."""
    ended = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    found = re.search(r"version (\S+)", ended.stdout + ended.stderr)
    return found.group(1).rstrip(",") if found else "unknown"


class Asked:
    """One connection to a Prometheus, kept alive."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)

    def load(self) -> None:
        """All series in one request."""
        body = bytes(cramjam.snappy.compress_raw(write_request(live_series())))
        self._connection.request("POST", "/api/v1/write", body, WRITE_HEADERS)
        answer = self._connection.getresponse()
        text = answer.read()
        assert answer.status in (200, 204), f"remote write was answered with {answer.status}: {text[:500]!r}"

    def ask(self, question: Question) -> Answer:
        query = question.query.replace(*HOLT_WINTERS)
        if question.step_ms:
            path = "query_range"
            words = {"start": question.start_ms, "end": question.end_ms, "step": question.step_ms}
        else:
            path, words = "query", {"time": question.start_ms}
        form = urlencode({"query": query} | {name: f"{ms / 1000:.3f}" for name, ms in words.items()})
        self._connection.request("POST", f"/api/v1/{path}", form, FORM)
        body = json.loads(self._connection.getresponse().read())
        if body["status"] != "success":
            return Answer("", None, (), body["error"])
        return Answer(body["data"]["resultType"], body["data"]["result"], (), "")

    def close(self) -> None:
        self._connection.close()


@contextmanager
def running(program: Path, directory: Path) -> Iterator[Asked]:
    """A Prometheus that scrapes nothing, filled by remote write."""
    (directory / "prometheus.yml").write_text(CONFIG)
    (port,) = free_ports(1)
    command: list[str | Path] = [
        program, f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data",
        f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver",
        "--storage.tsdb.retention.time=100y", "--log.level=warn",
    ]  # fmt: skip
    process = Process("prometheus", command, directory / "log")
    try:
        process.wait_until_ready(f"http://127.0.0.1:{port}/-/ready")
        asked = Asked(port)
        asked.load()
        yield asked
        asked.close()
    finally:
        process.stop()
