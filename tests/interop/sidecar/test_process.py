"""The whole process beside a real Prometheus."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import grpc

from athanor.storeapi.messages import encode, info, thanos


def free_ports(n: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + 120  # kernels may have to be compiled
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


def test_a_sidecar_ships_blocks_serves_series_and_stops_cleanly(
    prometheus_url: str, prometheus_data: Path, tmp_path: Path
):
    http, rpc = free_ports(2)
    config = f"type: FILESYSTEM\nconfig: {{directory: {tmp_path}/bucket}}\nprefix: one\n"
    command = [
        sys.executable, "-m", "athanor.serve.main", "sidecar", f"--prometheus.url={prometheus_url}",
        f"--tsdb.path={prometheus_data}", f"--objstore.config={config}", f"--http-address=127.0.0.1:{http}",
        f"--grpc-address=127.0.0.1:{rpc}",
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        wait_until_ready(f"http://127.0.0.1:{http}/-/ready")
        channel = grpc.insecure_channel(f"127.0.0.1:{rpc}")
        answer = channel.unary_unary("/thanos.info.Info/Info")(b"", wait_for_ready=True, timeout=20)
        labels = info.InfoResponse.FromString(answer).label_sets[0].labels
        assert [(label.name, label.value) for label in labels] == [("cluster", "eu1"), ("replica", "a")]
        request = thanos.SeriesRequest(
            min_time=1700006400000,
            max_time=1700020800000,
            matchers=[thanos.LabelMatcher(name="__name__", value="up"), thanos.LabelMatcher(name="replica", value="a")],
            response_batch_size=100,
        )
        (frame,) = channel.unary_stream("/thanos.Store/Series")(encode(request), timeout=20)
        assert len(thanos.SeriesResponse.FromString(frame).batch.series) == 2
        bucket = tmp_path / "bucket" / "one"
        deadline = time.monotonic() + 20
        while len(list(bucket.glob("*/meta.json"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        shipped = [json.loads(path.read_bytes())["thanos"] for path in sorted(bucket.glob("*/meta.json"))]
        assert [meta["labels"] for meta in shipped] == [{"cluster": "eu1", "replica": "a"}] * 2
        assert [meta["source"] for meta in shipped] == ["sidecar"] * 2
        metrics = urllib.request.urlopen(f"http://127.0.0.1:{http}/metrics", timeout=5).read().decode()
        assert "thanos_shipper_uploads_total 2\n" in metrics
        assert "thanos_sidecar_prometheus_up 1\n" in metrics
        assert f'operations_total{{bucket="fs: {tmp_path}/bucket",operation="upload"}} 6\n' in metrics
    finally:
        process.terminate()
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0, log


def test_a_missing_tsdb_directory_ends_the_process_once_labels_are_known(prometheus_url: str, tmp_path: Path):
    http, rpc = free_ports(2)
    config = f"type: FILESYSTEM\nconfig: {{directory: {tmp_path}/bucket}}\n"
    command = [
        sys.executable, "-m", "athanor.serve.main", "sidecar", f"--prometheus.url={prometheus_url}",
        "--tsdb.path=/nonexistent", f"--objstore.config={config}", f"--http-address=127.0.0.1:{http}",
        f"--grpc-address=127.0.0.1:{rpc}",
    ]  # fmt: skip
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert "opening tsdb directory: open /nonexistent: no such file or directory" in ended.stderr
