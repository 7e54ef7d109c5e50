"""Threads that read streams: a few wait for the next one, as many more as there are streams come and go.

To start a thread and wait until it runs costs 0.1 ms and more, a good part of a small query.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

MAX_IDLE = 16
MAX_NAME = 60
IDLE = "idle reader"


@dataclass(frozen=True, slots=True)
class _Job:
    name: str
    work: Callable[[], None]
    ended: threading.Event = field(default_factory=threading.Event)


class _Reader:
    """One thread; takes a job, then waits for another. It carries the name of its job."""

    def __init__(self) -> None:
        self._given = threading.Semaphore(0)
        self._job: _Job | None = None
        self._thread = threading.Thread(target=self._run, name=IDLE, daemon=True)
        self._thread.start()

    def give(self, job: _Job) -> None:
        self._job = job
        self._given.release()

    def _run(self) -> None:
        goes_on = True
        while goes_on:
            self._given.acquire()
            job, self._job = self._job, None
            assert job is not None
            self._thread.name = job.name
            try:
                job.work()
            finally:
                self._thread.name = IDLE
                goes_on = _wait_again(self)
                job.ended.set()
            del job  # what it refers to belongs to a query that may have ended


_idle: deque[_Reader] = deque()


def _wait_again(reader: _Reader) -> bool:
    if len(_idle) >= MAX_IDLE:
        return False
    _idle.append(reader)
    return True


def run_in_thread(name: str, work: Callable[[], None]) -> threading.Event:
    """Run it in a thread that has this name meanwhile; the event is set when it has ended. It must not raise."""
    job = _Job(name[:MAX_NAME], work)
    try:
        reader = _idle.pop()
    except IndexError:
        reader = _Reader()
    reader.give(job)
    return job.ended
