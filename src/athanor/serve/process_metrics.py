"""Metrics of the process itself: processor time, memory, file descriptors, threads, build facts."""

from __future__ import annotations

import os
import platform
import resource
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from athanor import __version__
from athanor.model.metrics import Family, Registry

_PAGE_BYTES = resource.getpagesize()
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def _one(name: str, kind: str, help: str, value: float) -> Family:
    return Family(name, kind, help, (("", (), value),))


def _started_at_s() -> float:
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
        boot_s = float(boot.split()[1])
        return boot_s + int(fields[19]) / _TICKS_PER_S
    except (OSError, StopIteration):
        return time.time()


def _collect(started_at_s: float) -> Iterator[Family]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    yield _one(
        "process_cpu_seconds_total", "counter", "CPU time of the process in seconds.", used.ru_utime + used.ru_stime
    )
    yield _one("process_start_time_seconds", "gauge", "Start of the process, seconds since the epoch.", started_at_s)
    yield _one("athanor_threads", "gauge", "Python threads that are alive.", float(threading.active_count()))
    yield _one(
        "process_max_fds", "gauge", "Most file descriptors.", float(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    )
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    yield _one(
        "process_virtual_memory_max_bytes",
        "gauge",
        "Most virtual memory in bytes.",
        18446744073709551615.0 if limit == resource.RLIM_INFINITY else float(limit),
    )
    try:
        virtual, resident = Path("/proc/self/statm").read_text().split()[:2]
        descriptors = len(os.listdir("/proc/self/fd"))
        network = Path("/proc/self/net/dev").read_text().splitlines()[2:]
    except OSError:
        return
    yield _one("process_resident_memory_bytes", "gauge", "Resident memory in bytes.", float(resident) * _PAGE_BYTES)
    yield _one("process_virtual_memory_bytes", "gauge", "Virtual memory in bytes.", float(virtual) * _PAGE_BYTES)
    yield _one("process_open_fds", "gauge", "Open file descriptors.", float(descriptors))
    counts = [line.partition(":")[2].split() for line in network]
    received, sent = sum(float(c[0]) for c in counts), sum(float(c[8]) for c in counts)
    yield _one("process_network_receive_bytes_total", "counter", "Bytes received over the network.", received)
    yield _one("process_network_transmit_bytes_total", "counter", "Bytes sent over the network.", sent)


def register_process_metrics(registry: Registry) -> None:
    """Add process_* and thanos_build_info to a registry."""
    started_at_s = _started_at_s()
    registry.collector(lambda: _collect(started_at_s))
    registry.info(
        "thanos_build_info",
        "A constant 1, labelled with facts of the build.",
        branch="",
        goarch=_ARCHITECTURES.get(platform.machine(), platform.machine()),
        goos=sys.platform,
        goversion=f"python{platform.python_version()}",
        revision="",
        tags="",
        version=__version__,
    )
