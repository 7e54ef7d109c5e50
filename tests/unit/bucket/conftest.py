"""An S3 service for the tests: moto's server in a process of its own."""

from __future__ import annotations

import itertools
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest

from athanor.bucket.s3_config import S3Config

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """host:port of a running service; skipped where the extra ``test`` is not installed."""
    pytest.importorskip("moto.server", reason="moto[server,s3] is not installed: pip install 'athanor[test]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=2).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def s3_config(s3_endpoint: str) -> S3Config:
    """A bucket of its own for each test."""
    name = f"bucket-{next(NUMBERS)}"
    created = urllib.request.Request(f"http://{s3_endpoint}/{name}", method="PUT")
    urllib.request.urlopen(created, timeout=20).close()
    return S3Config(
        bucket=name, endpoint=s3_endpoint, insecure=True, access_key="test", secret_key="secret", max_retries=1
    )
