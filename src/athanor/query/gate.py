"""How many evaluations run at once: the others wait, as long as their deadline lets them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from athanor.model.cancel import CancelToken
from athanor.model.metrics import Registry

WAIT_BUCKETS = (0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120, 240, 360, 720)


class GateMetrics:
    """The four metrics of a gate; prefix: ``thanos_query_concurrent_gate_queries``."""

    def __init__(self, registry: Registry, prefix: str, limit: int) -> None:
        self.waited = registry.histogram(f"{prefix}_duration_seconds", "How long was waited for a slot.", WAIT_BUCKETS)
        self.in_flight = registry.gauge(f"{prefix}_in_flight", "How many hold a slot now.")
        self.total = registry.counter(f"{prefix}_total", "How many got a slot.")
        registry.gauge(f"{prefix}_max", "How many slots there are.").set(limit)


class Gate:
    """Slots, given in the order of asking."""

    def __init__(self, limit: int, metrics: GateMetrics) -> None:
        self._free = limit
        self._metrics = metrics
        self._lock = threading.Lock()
        self._waiting: list[threading.Event] = []

    @contextmanager
    def slot(self, cancel: CancelToken) -> Iterator[float]:
        """Hold a slot; yields the seconds waited. Cancelled while waiting raises."""
        started_at = time.perf_counter()
        self._enter(cancel)
        waited_s = time.perf_counter() - started_at
        self._metrics.waited.observe(waited_s)
        self._metrics.total.inc()
        self._metrics.in_flight.inc()
        try:
            yield waited_s
        finally:
            self._metrics.in_flight.dec()
            self._leave()

    def _enter(self, cancel: CancelToken) -> None:
        cancel.check()
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return
            turn = threading.Event()
            self._waiting.append(turn)
        forget = cancel.on_cancel(turn.set)
        turn.wait(cancel.remaining_s())
        forget()
        with self._lock:
            if turn not in self._waiting:  # the slot of the one who left is ours
                if not cancel.cancelled:
                    return
                self._pass_on()
            else:
                self._waiting.remove(turn)
        cancel.check()
        raise AssertionError("BUG: woken without a slot and without a reason")

    def _leave(self) -> None:
        with self._lock:
            self._pass_on()

    def _pass_on(self) -> None:
        if self._waiting:
            self._waiting.pop(0).set()
        else:
            self._free += 1
