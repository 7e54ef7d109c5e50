"""Which blocks of one stream overlap in time (prometheus tsdb/db.go, OverlappingBlocks)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from athanor.block.meta import BlockMeta

INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Overlap:
    """Blocks that share the range [first_ms, end_ms)."""

    first_ms: int
    end_ms: int
    blocks: tuple[BlockMeta, ...]

    def __str__(self) -> str:
        named = ", ".join(
            f"<ulid: {b.ulid}, mint: {b.first_ms}, maxt: {b.end_ms}, range: {_go_seconds(b.end_ms - b.first_ms)}>"
            for b in self.blocks
        )
        span = _go_seconds(self.end_ms - self.first_ms)
        return f"[mint: {self.first_ms}, maxt: {self.end_ms}, range: {span}, blocks: {len(self.blocks)}]: {named}"


def find_overlaps(metas: Iterable[BlockMeta]) -> list[Overlap]:
    """Groups of blocks that overlap, in order of time. Blocks that only touch do not overlap."""
    groups: list[list[BlockMeta]] = []
    open_blocks: list[BlockMeta] = []
    extends_last_group = True
    for block in sorted(metas, key=lambda meta: meta.first_ms):
        still_open = [other for other in open_blocks if block.first_ms < other.end_ms]
        if len(still_open) < len(open_blocks):
            extends_last_group = False
        open_blocks = [*still_open, block]
        if not still_open:
            continue
        if extends_last_group and groups:
            groups[-1].append(block)
        else:
            groups.append(list(open_blocks))
            extends_last_group = True
    return [
        Overlap(max(0, *(b.first_ms for b in group)), min(INT64_MAX, *(b.end_ms for b in group)), tuple(group))
        for group in groups
    ]


def _go_seconds(duration_ms: int) -> str:
    """Whole seconds as Go prints a duration: 2h0m0s, 1m5s, 30s."""
    seconds = abs(duration_ms) // 1000
    sign = "-" if duration_ms <= -1000 else ""
    hours, minutes = seconds // 3600, seconds // 60 % 60
    text = f"{seconds % 60}s"
    if seconds >= 60:
        text = f"{minutes}m{text}"
    return sign + (f"{hours}h{text}" if hours else text)
