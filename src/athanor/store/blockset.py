"""Blocks of one external label set: which of them answer a time range at which resolution.

Rules of Thanos pkg/store/bucket.go (bucketBlockSet.getFor, TSDBInfos). Blocks are half open, [min_ms, end_ms).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from athanor.model.errors import DataError

RESOLUTIONS_MS = (3_600_000, 300_000, 0)

LabelPairs = tuple[tuple[str, str], ...]


class Spanned(Protocol):
    """What the choice needs to know of a block."""

    @property
    def min_ms(self) -> int: ...

    @property
    def end_ms(self) -> int: ...

    @property
    def resolution_ms(self) -> int: ...


B = TypeVar("B", bound=Spanned)


@dataclass(frozen=True, slots=True)
class Interval:
    """A span of data with its external labels, as Info announces it."""

    labels: LabelPairs
    min_ms: int
    end_ms: int


class BlockSet(Generic[B]):
    """Blocks that share external labels; never changed after it was made."""

    def __init__(self, labels: LabelPairs, blocks: Iterable[B]) -> None:
        self.labels = labels
        held = sorted(blocks, key=lambda b: (b.min_ms, b.end_ms))
        for block in held:
            if block.resolution_ms not in RESOLUTIONS_MS:
                raise DataError(f"unsupported downsampling resolution {block.resolution_ms}")
        self._by_resolution = [[b for b in held if b.resolution_ms == r] for r in RESOLUTIONS_MS]
        self.blocks = held

    def choose(self, first_ms: int, last_ms: int, max_resolution_ms: int, wanted: Callable[[B], bool]) -> list[B]:
        """Blocks for a closed range, the coarsest allowed first; finer ones fill its gaps.

        A block that ``wanted`` refuses still covers its span: nothing finer is read in its place (compat).
        """
        level = next(i for i, resolution in enumerate(RESOLUTIONS_MS) if resolution <= max(max_resolution_ms, 0))
        return self._choose(first_ms, last_ms, level, wanted)

    def _choose(self, first_ms: int, last_ms: int, level: int, wanted: Callable[[B], bool]) -> list[B]:
        if first_ms > last_ms or level == len(RESOLUTIONS_MS):
            return []
        chosen: list[B] = []
        start_ms = first_ms
        for block in self._by_resolution[level]:
            if block.end_ms <= first_ms:
                continue
            if block.min_ms > last_ms:
                break
            chosen += self._choose(start_ms, block.min_ms - 1, level + 1, wanted)
            if wanted(block):
                chosen.append(block)
            start_ms = block.end_ms
        return chosen + self._choose(start_ms, last_ms, level + 1, wanted)

    def intervals(self) -> list[Interval]:
        """Spans without gaps between their blocks.

        Differs from the original, compatibly: a block contained in another does not shorten the span.
        """
        found: list[Interval] = []
        for block in self.blocks:
            if found and block.min_ms <= found[-1].end_ms:
                found[-1] = Interval(self.labels, found[-1].min_ms, max(found[-1].end_ms, block.end_ms))
            else:
                found.append(Interval(self.labels, block.min_ms, block.end_ms))
        return found


def group_blocks(blocks: Sequence[tuple[LabelPairs, B]]) -> list[BlockSet[B]]:
    """Block sets in the order of their labels."""
    by_labels: dict[LabelPairs, list[B]] = {}
    for labels, block in blocks:
        by_labels.setdefault(labels, []).append(block)
    return [BlockSet(labels, by_labels[labels]) for labels in sorted(by_labels)]
