"""Several parts of a query over one read: each tile is decoded once and goes through all of them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from athanor.kernel import labels
from athanor.model.arrays import I64
from athanor.model.budget import OverBudget
from athanor.model.select import QueryContext, SharedReads, SharedTile
from athanor.model.tables import LabelTable, StepBlock
from athanor.model.workspace import Workspace
from athanor.promql import blocks
from athanor.promql.account import Account
from athanor.promql.notes import Notes
from athanor.promql.plan import Operator
from athanor.promql.rows import RowSource, TileRunner
from athanor.promql.rules.shared_reads import SharedRead, shared_reads
from athanor.promql.sinks import Held, sink_of

Evaluated = tuple[StepBlock, Notes]


@dataclass(frozen=True, slots=True)
class _Leaf:
    """What the leaf of a part made of a tile. is_plain: of series without histograms and start times."""

    rows: I64
    table: LabelTable
    block: StepBlock
    is_plain: bool


@dataclass(frozen=True, slots=True)
class JointWork:
    """What becomes of a shared tile: a block and annotations for each part."""

    sources: tuple[RowSource, ...]
    likes: tuple[int, ...]
    context: QueryContext

    @property
    def row_bytes(self) -> int:
        """Of one series in every part; a leaf that others look at stays beside what its stages make of it."""
        kept = sum(self.sources[like].leaf_bytes for like in {*self.likes} if like >= 0)
        return kept + sum(source.row_bytes for source in self.sources)

    def __call__(self, tile: SharedTile, workspace: Workspace) -> list[Evaluated]:
        leaves: list[_Leaf] = []
        results: list[Evaluated] = []
        try:
            for part, source in enumerate(self.sources):
                notes = Notes()
                leaf = self._leaf(part, tile, leaves, workspace, notes)
                self.context.check()
                leaves.append(leaf)
                results.append((source.finish(leaf.block, workspace, notes), notes))
        finally:
            tile.drop()
        return results

    def _leaf(self, part: int, tile: SharedTile, leaves: Sequence[_Leaf], workspace: Workspace, notes: Notes) -> _Leaf:
        rows, source, like = tile.rows(part), self.sources[part], self.likes[part]
        if like >= 0 and leaves[like].is_plain and tile.alike(part, like):
            leaf = _of_rows(leaves[like], rows)
            source.again(leaf.table, leaf.block.kind, notes)
            return leaf
        table = tile.labels if rows.size == len(tile.labels) else labels.take(tile.labels, rows)
        samples = tile.samples(part, workspace)
        is_plain = samples.kind is None and samples.start_ms is None
        return _Leaf(rows, table, source.leaf(table, samples, workspace, notes), is_plain)


def _of_rows(leaf: _Leaf, rows: I64) -> _Leaf:
    """The same for some of its series."""
    if rows.size == leaf.rows.size:
        return leaf
    at = np.searchsorted(leaf.rows, rows)
    return _Leaf(rows, labels.take(leaf.table, at), blocks.take_rows(leaf.block, at), leaf.is_plain)


class JointReads:
    """The reads of one query that serve several of its places, and what they have brought so far."""

    def __init__(self, storage: SharedReads, runner: TileRunner, account: Account, context: QueryContext) -> None:
        self._storage, self._runner, self._account, self._context = storage, runner, account, context
        self._reads: dict[Operator, SharedRead] = {}
        self._ready: dict[Operator, tuple[StepBlock, int, Notes]] = {}

    def find(self, root: Operator) -> None:
        """Decide what of this plan is read together."""
        for read in shared_reads(root, self._storage.sharing):
            self._reads.update((part.consumer, read) for part in read.parts)

    def __contains__(self, operator: Operator) -> bool:
        return operator in self._reads or operator in self._ready

    def is_ready(self, operator: Operator) -> bool:
        return operator in self._ready

    def rows(self, operator: Operator) -> list[Operator]:
        """The operators whose rows are read together with those of this place, of all parts in their order."""
        return [part.rows for part in self._reads[operator].parts]

    def read(self, operator: Operator, sources: Sequence[RowSource]) -> bool:
        """Evaluate all places of one read. False where that is over the budget: then each is to be read alone."""
        read, account = self._reads[operator], self._account
        for part in read.parts:
            del self._reads[part.consumer]
        notes = [Notes() for _ in read.parts]
        before = account.held
        try:
            sinks = [sink_of(part.consumer, account, own) for part, own in zip(read.parts, notes, strict=True)]
            with closing(self._tiles(read, tuple(sources))) as tiles:
                for results in tiles:
                    account.held += sum(held for _, held in results)
                    for sink, own, ((block, noted), held) in zip(sinks, notes, results, strict=True):
                        own.extend(noted)
                        sink.add(block, held)
            finished = [sink.finish() for sink in sinks]
        except OverBudget:
            account.give(account.held - before)
            return False
        for part, own, (block, held) in zip(read.parts, notes, finished, strict=True):
            account.held -= held  # nobody's until it is asked for
            self._ready[part.consumer] = block, held, own
        return True

    def take(self, operator: Operator, notes: Notes) -> Held:
        """What is ready for a place, once; its annotations come now, as if it had been evaluated only now."""
        block, held, own = self._ready.pop(operator)
        self._account.held += held
        notes.extend(own)
        return block, held

    def _tiles(
        self, read: SharedRead, sources: tuple[RowSource, ...]
    ) -> Generator[list[tuple[Evaluated, int]], None, None]:
        """For each tile the evaluated parts, in the order of the parts, each with the bytes that it holds."""
        budget = self._account.budget
        work = JointWork(sources, tuple(part.like for part in read.parts), self._context)
        selections = [part.selection for part in read.parts]
        tiles = self._storage.select_shared(read.wide, selections, budget, self._context)
        with closing(self._runner.map(tiles, work, work.row_bytes, budget, self._context)) as done:
            for results, held in done:
                kept = [block.values.size * blocks.CELL_BYTES for block, _ in results]
                budget.give(held - sum(kept))
                yield list(zip(results, kept, strict=True))
