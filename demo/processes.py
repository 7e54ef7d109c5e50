"""Child processes that start in order, write a log each and stop with their parent."""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

STOP_AFTER_S = 20
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class StartError(Exception):
    """A process ended or stayed silent instead of becoming ready; the message ends with its last log lines."""


def free_ports(n: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [int(s.getsockname()[1]) for s in sockets]
    for s in sockets:
        s.close()
    return ports


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Process:
    """One running program. Ctrl-C in the terminal does not reach it: its owner stops it, in order."""

    def __init__(self, name: str, command: Sequence[str | Path], log: Path) -> None:
        self.name, self.log = name, log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self.child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 (started from the main thread, before any other)
            )

    def wait_until_ready(self, url: str, timeout_s: float = 120, check: Callable[[], None] = lambda: None) -> float:
        """Waits for a 200 of this URL; ``check`` is called again and again and may raise. Returns the seconds."""
        start = time.monotonic()
        while time.monotonic() < start + timeout_s:
            check()
            if self.child.poll() is not None:
                raise StartError(f"{self.name} ended with code {self.child.returncode}:\n{self.last_lines()}")
            try:
                with urllib.request.urlopen(url, timeout=2) as answer:
                    if answer.status == 200:
                        return time.monotonic() - start
            except OSError:
                pass
            time.sleep(0.02)
        raise StartError(f"{self.name} was not ready at {url} within {timeout_s:.0f} s:\n{self.last_lines()}")

    def last_lines(self, n: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-n:])

    @property
    def pid(self) -> int:
        return self.child.pid

    def stop(self) -> int:
        """Ends the process in peace, after 20 s by force. Returns its exit code."""
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(STOP_AFTER_S)
            except subprocess.TimeoutExpired:
                self.child.kill()
        return self.child.wait()

    def kill(self) -> None:
        """Ends the process as a crash would."""
        self.child.kill()
        self.child.wait()
