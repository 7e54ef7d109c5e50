"""Plain references: which replica's sample wins, and what a rate of the winners is.

The penalty fold is that of Thanos' ``pkg/dedup/iter.go``: whoever loses a turn must be ahead by two scrape intervals
before it may win again, and a counter that changes hands is lifted so that it never falls.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

Sample = tuple[int, float]
FIRST_PENALTY_MS = 5_000
NEVER_MS = -(2**63)


class Leaf:
    """The samples of one replica."""

    def __init__(self, samples: Sequence[Sample], is_counter: bool) -> None:
        self._samples, self._is_counter = samples, is_counter
        self._position, self._lift = -1, 0.0

    def next(self) -> bool:
        self._position += 1
        return self._position < len(self._samples)

    def seek(self, at_ms: int) -> bool:
        self._position = max(self._position, 0)
        while self._position < len(self._samples) and self._samples[self._position][0] < at_ms:
            self._position += 1
        return self._position < len(self._samples)

    def at(self) -> Sample:
        at_ms, value = self._samples[self._position]
        return at_ms, value + self._lift

    def adjust(self, before: float) -> None:
        if self._is_counter and before > self.at()[1]:
            self._lift += before - self.at()[1]


class Pair:
    """Two replicas, either of which may be a pair itself."""

    def __init__(self, a: Leaf | Pair, b: Leaf | Pair) -> None:
        self.a, self.b = a, b
        self.has_a, self.has_b = a.next(), b.next()
        self.last_ms, self.penalty_a, self.penalty_b = NEVER_MS, 0, 0
        self.use_a, self.last = True, a

    def next(self) -> bool:
        used_a = self.use_a
        has_before = self.has_a if used_a else self.has_b
        before = self.last.at()[1] if has_before else 0.0
        if self.has_a:
            self.has_a = self.a.seek(self.last_ms + 1 + self.penalty_a)
        if self.has_b:
            self.has_b = self.b.seek(self.last_ms + 1 + self.penalty_b)
        if not self.has_a:
            self.use_a = False
            if self.has_b:
                self.last, self.last_ms, self.penalty_b = self.b, self.b.at()[0], 0
        elif not self.has_b:
            self.use_a = True
            self.last, self.last_ms, self.penalty_a = self.a, self.a.at()[0], 0
        else:
            self._choose()
        if self.use_a != used_a and has_before:
            self.adjust(before)
        return self.has_a or self.has_b

    def _choose(self) -> None:
        self.use_a = self.a.at()[0] <= self.b.at()[0]
        winner_ms = (self.a if self.use_a else self.b).at()[0]
        penalty = FIRST_PENALTY_MS if self.last_ms == NEVER_MS else 2 * (winner_ms - self.last_ms)
        self.penalty_a, self.penalty_b = (0, penalty) if self.use_a else (penalty, 0)
        self.last, self.last_ms = (self.a if self.use_a else self.b), winner_ms

    def adjust(self, before: float) -> None:
        if self.has_a:
            self.a.adjust(before)
        if self.has_b:
            self.b.adjust(before)

    def at(self) -> Sample:
        return self.last.at()

    def seek(self, at_ms: int) -> bool:
        while True:
            side, has = (self.a, self.has_a) if self.use_a else (self.b, self.has_b)
            if has and side.at()[0] >= at_ms:
                return True
            if not self.next():
                return False


def fold(replicas: Sequence[Sequence[Sample]], *, is_counter: bool = False) -> list[Sample]:
    """The samples that stay when the replicas, in their order, become one series."""
    if len(replicas) == 1:
        return list(replicas[0])
    node: Leaf | Pair = Leaf(replicas[0], is_counter)
    for samples in replicas[1:]:
        node = Pair(node, Leaf(samples, is_counter))
    chosen = []
    while node.next():
        chosen.append(node.at())
    return chosen


def without_resets(samples: Sequence[Sample]) -> list[Sample]:
    """A counter as it would be had it never been reset; a replica's samples pass through this before the fold."""
    total = last = None
    lifted = []
    for at_ms, value in samples:
        if math.isnan(value):
            continue
        if total is None or last is None:
            total = value
        else:
            total += value if value < last else value - last
        last = value
        lifted.append((at_ms, total))
    return lifted


def rate(samples: Sequence[Sample], end_ms: int, range_ms: int) -> float | None:
    """``rate`` over the window (end - range, end] of Prometheus 3, one sample after the other."""
    inside = [sample for sample in samples if end_ms - range_ms < sample[0] <= end_ms]
    if len(inside) < 2:
        return None
    (first_ms, first), (last_ms, last) = inside[0], inside[-1]
    increase = last - first
    for (_, earlier), (_, later) in itertools.pairwise(inside):
        increase += earlier if later < earlier else 0.0
    sampled_s = (last_ms - first_ms) / 1000
    between_s = sampled_s / (len(inside) - 1)
    to_start_s, to_end_s = (first_ms - (end_ms - range_ms)) / 1000, (end_ms - last_ms) / 1000
    if to_start_s >= between_s * 1.1:
        to_start_s = between_s / 2
    if increase > 0 and first >= 0:
        to_start_s = min(to_start_s, sampled_s * (first / increase))
    if to_end_s >= between_s * 1.1:
        to_end_s = between_s / 2
    return increase * ((sampled_s + to_start_s + to_end_s) / sampled_s) / (range_ms / 1000)
