"""A real Prometheus for the tests of the sidecar."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[2] / "golden"
BLOCKS = ("01M85PJ3KHR8M7MY2BREAE10XS", "01M85PJ3MD8JA0P6BF4R5NH6BR")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def prometheus_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The TSDB directory of the recorded Prometheus: two blocks."""
    data = tmp_path_factory.mktemp("prometheus") / "data"
    shutil.copytree(GOLDEN / "ship/blocks", data)
    for ulid in BLOCKS:
        shutil.copy(GOLDEN / f"ship/{ulid}.local.meta.json", data / ulid / "meta.json")
    return data


@pytest.fixture(scope="module")
def prometheus_url(prometheus_data: Path) -> Iterator[str]:
    """A running Prometheus that neither scrapes nor compacts."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed: apt install prometheus")
    directory = prometheus_data.parent
    config = "global: {external_labels: {replica: a, cluster: eu1}}\n"
    (directory / "prometheus.yml").write_text(config)
    port = free_port()
    command = [
        program,
        f"--config.file={directory}/prometheus.yml",
        f"--storage.tsdb.path={prometheus_data}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--storage.tsdb.retention.time=100y",
        "--storage.tsdb.min-block-duration=2h",
        "--storage.tsdb.max-block-duration=2h",
    ]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)
