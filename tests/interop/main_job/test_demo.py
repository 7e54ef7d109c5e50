"""``make demo`` itself: it starts, answers, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from demo import programs

TIMEOUT_S = 150


def run_demo(directory: Path, *flags: str) -> tuple[int, str]:
    """Runs the demo until it says how to end it, then presses Ctrl-C. Returns the exit code and its output."""
    demo = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-m", "demo.run", f"--data-dir={directory}", "--days=1", *flags],
        cwd=programs.ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watchdog = threading.Timer(TIMEOUT_S, demo.send_signal, [signal.SIGABRT])  # it then says where it hangs
    watchdog.start()
    try:
        assert demo.stdout is not None
        output = ""
        for line in demo.stdout:
            output += line
            if "Ctrl-C ends the demo" in line:
                demo.send_signal(signal.SIGINT)
        return demo.wait(), output
    finally:
        watchdog.cancel()
        demo.kill()


def processes_below(directory: Path) -> list[str]:
    """Command lines of running processes that name a directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(directory) in line:
                found.append(line)
    return found


@pytest.mark.skipif(programs.find("prometheus") is None, reason=programs.how_to_get("prometheus"))
def test_the_demo_runs_and_stops_on_ctrl_c(tmp_path: Path):
    directory = tmp_path / "demo"
    code, output = run_demo(directory)
    assert code == 0, output
    for part in ("prometheus-a", "prometheus-b", "sidecar-a", "sidecar-b", "store", "query"):
        assert f"  {part:14} ready" in output
    assert "(no data)" not in output
    assert "Open http://127.0.0.1:" in output
    assert "Everything ended cleanly" in output
    assert processes_below(directory) == []


def test_without_a_prometheus_the_demo_runs_on_history(tmp_path: Path):
    directory = tmp_path / "demo"
    code, output = run_demo(directory, "--no-prometheus")
    assert code == 0, output
    assert "prometheus-a" not in output
    assert '{code="200"}' in output
    assert processes_below(directory) == []


def test_a_directory_of_somebody_else_is_left_alone(tmp_path: Path):
    (tmp_path / "precious").write_text("mine")
    code, output = run_demo(tmp_path)
    assert code == 1
    assert "choose another --data-dir" in output
    assert (tmp_path / "precious").read_text() == "mine"
