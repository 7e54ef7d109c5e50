"""An imaginary shop whose metrics are functions of time.

The generated history and the shop's live ``/metrics`` come from the same functions, so a counter that starts a week ago
in the bucket runs on in the Prometheus of today. Load follows the day; an instance restarts every 30 hours or so.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Labels = tuple[tuple[str, str], ...]

DAY_S = 86_400.0
UPTIME_S = 30 * 3_600.0
INSTANCES = ("shop-1", "shop-2", "shop-3")
HANDLERS = (("/", 12.0), ("/cart", 4.0), ("/checkout", 1.5))
CODES = (("200", 0.96), ("404", 0.03), ("500", 0.01))
LATENCIES = (
    (0.05, 0.55, 0.0),
    (0.1, 0.25, 0.2),
    (0.25, 0.12, 0.5),
    (0.5, 0.05, 0.7),
    (1.0, 0.02, 0.8),
    (math.inf, 0.01, 0.8),
)
"""Upper bound in seconds, share of the requests, how much more of them at peak."""
TYPES = {
    "shop_requests_total": "counter",
    "shop_request_duration_seconds": "histogram",
    "shop_queue_length": "gauge",
    "shop_temperature_celsius": "gauge",
}


@dataclass(frozen=True, slots=True)
class Series:
    """One series: its labels, ``__name__`` among them and sorted, and its values at the asked times."""

    labels: Labels
    values: F64


def _events(at_s: F64, per_s: float, swing: float, phase: int) -> F64:
    """Events until a time: the integral of a rate that swings with the day and wobbles within the hour."""
    total = at_s.copy()
    for amplitude, period_s in ((swing, DAY_S), (0.12, 3_571.0), (0.08, 641.0)):
        turn = 2 * math.pi / period_s
        total -= amplitude / turn * np.cos(turn * at_s - 2.2 + 0.7 * phase)
    return per_s * total


def _counter(at_s: F64, per_s: float, swing: float, phase: int) -> F64:
    """The counter that the last restart set to zero."""
    started_s = np.floor((at_s - 4_000.0 * phase) / UPTIME_S) * UPTIME_S + 4_000.0 * phase
    return np.floor(_events(at_s, per_s, swing, phase) - _events(started_s, per_s, swing, phase))


def _wave(at_s: F64, middle: float, swing: float, phase: int) -> F64:
    turns = ((1.0, DAY_S), (0.35, 5_393.0), (0.2, 977.0), (0.1, 211.0))
    total = np.zeros_like(at_s)
    for amplitude, period_s in turns:
        total += amplitude * np.sin(2 * math.pi * at_s / period_s - 2.2 + 0.7 * phase)
    return middle + swing * total


def _series(name: str, values: F64, **labels: str) -> Series:
    return Series(tuple(sorted({"__name__": name, **labels}.items())), values)


def instance_series(instance: str, at_s: F64) -> list[Series]:
    """All series of one instance, without ``job`` and ``instance``, at these times (seconds since the epoch)."""
    number = INSTANCES.index(instance)
    found = []
    for h, (handler, per_s) in enumerate(HANDLERS):
        phase = number + len(INSTANCES) * h
        for code, share in CODES:
            values = _counter(at_s, per_s * share, 0.6, phase)
            found.append(_series("shop_requests_total", values, handler=handler, code=code))
        below = np.zeros_like(at_s)
        for bound, share, more in LATENCIES:
            below = below + _counter(at_s, per_s * share, 0.6 * more, phase)
            le = "+Inf" if math.isinf(bound) else f"{bound:g}"
            found.append(_series("shop_request_duration_seconds_bucket", below, handler=handler, le=le))
        found.append(_series("shop_request_duration_seconds_count", below, handler=handler))
    found.append(_series("shop_queue_length", np.maximum(np.round(_wave(at_s, 20, 14, number)), 0)))
    found.append(_series("shop_temperature_celsius", np.round(_wave(at_s, 41, 6, number), 2)))
    return found


def exposition(instance: str, at_s: float) -> str:
    """What a Prometheus scrapes at this moment."""
    lines, typed = [], set()
    for series in instance_series(instance, np.array([at_s])):
        labels = dict(series.labels)
        name = labels.pop("__name__")
        family = next(family for family in TYPES if name.startswith(family))
        if family not in typed:
            typed.add(family)
            lines.append(f"# TYPE {family} {TYPES[family]}")
        inside = ",".join(f'{label}="{value}"' for label, value in labels.items())
        lines.append(f"{name}{{{inside}}} {float(series.values[0])!r}")
    return "\n".join(lines) + "\n"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        instance = self.path.strip("/").removesuffix("/metrics")
        known = instance in INSTANCES
        body = exposition(instance, time.time()).encode() if known else b"no such instance\n"
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are no news."""


class ShopServer:
    """Serves ``/<instance>/metrics`` of every instance from a thread."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, name="shop", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
