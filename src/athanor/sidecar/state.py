"""What the sidecar knows of its Prometheus at the moment."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

MAX_TIME_MS = 2**63 - 1
VERSION = re.compile(r"^v?(\d+)\.(\d+)\.(\d+)(?:[-+].*)?$")
MATCHERS_SINCE = (2, 24, 0)  # label calls take match[] since this release


@dataclass(frozen=True, slots=True)
class PrometheusFacts:
    """One reading. external_labels: sorted by name; lowest_ms: the oldest sample that it holds."""

    external_labels: tuple[tuple[str, str], ...] = ()
    lowest_ms: int = 0
    version: str = "0"

    @property
    def label_calls_take_matchers(self) -> bool:
        """compat: a version that is none counts as old."""
        match = VERSION.match(self.version)
        return match is not None and tuple(int(part) for part in match.groups()) >= MATCHERS_SINCE


class SidecarState:
    """The last reading, and whether it is fresh. Written by the watcher, read by everybody."""

    def __init__(self, min_time_ms: Callable[[int], int], now_ms: Callable[[], int] | None = None) -> None:
        """min_time_ms: the configured lower bound at a given time, in ms since the epoch."""
        self._min_time_ms = min_time_ms
        self._now_ms = now_ms or (lambda: time.time_ns() // 1_000_000)
        self.facts = PrometheusFacts()
        self.is_up = False

    @property
    def external_labels(self) -> tuple[tuple[str, str], ...]:
        return self.facts.external_labels

    @property
    def min_time_ms(self) -> int:
        """The first time that is served."""
        return max(self._min_time_ms(self._now_ms()), self.facts.lowest_ms)
