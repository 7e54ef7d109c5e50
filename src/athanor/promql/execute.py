"""Evaluates a plan: every operator for all its steps in one call.

Blocks carry the bytes that they hold in the budget; whoever has consumed a block gives them back at once. A block that
several operators read stays until the query ends.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from athanor.kernel import labels
from athanor.model.arrays import F64
from athanor.model.budget import Budget, OverBudget
from athanor.model.select import QueryContext, Storage, shares_reads
from athanor.model.tables import LabelTable, Samples, StepBlock, StepGrid
from athanor.model.workspace import Workspace
from athanor.promql import blocks, plan
from athanor.promql.account import Account
from athanor.promql.aggregate import select_aggregate
from athanor.promql.ast import MatrixSelector, Node, Subquery, unwrap
from athanor.promql.binary import Room, scalar_operator, vector_vector
from athanor.promql.functions import FUNCTIONS, scalar_of
from athanor.promql.info import Enrichment, are_info_series, info_matchers, info_source
from athanor.promql.joint import JointReads
from athanor.promql.notes import Notes
from athanor.promql.plan import Equal, Operator
from athanor.promql.planner import Planner
from athanor.promql.range_vectors import no_samples, read_range
from athanor.promql.recursion import Recursive, run
from athanor.promql.rows import InstantRead, RowSource, TileRunner, samples_of
from athanor.promql.sinks import CollectSink, Held, sink_of
from athanor.promql.stages import Stages
from athanor.promql.statistics import Statistics, count_samples

SLICES = 4  # into so many pieces of steps a breaker's work is cut when its input is over the budget


class Evaluation:
    """One query's evaluation."""

    def __init__(
        self,
        storage: Storage,
        runner: TileRunner,
        planner: Planner,
        budget: Budget,
        context: QueryContext,
        notes: Notes,
        statistics: Statistics | None = None,
    ) -> None:
        """statistics: counts what is evaluated; None where nobody asks."""
        self._storage = storage if statistics is None else statistics.storage(storage)
        self._runner, self._planner, self._statistics = runner, planner, statistics
        self._budget, self._context, self._notes = budget, context, notes
        self._settings = planner.settings
        self._stages = Stages(planner.settings, context.check, notes)
        self._shared: dict[Operator, StepBlock] = {}
        self._workspace = Workspace()
        self._account = Account(budget)
        self._joint: JointReads | None = None
        if shares_reads(self._storage) and planner.settings.rules.shared_reads:
            self._joint = JointReads(self._storage, runner, self._account, context)

    def vector(self, node: Node, grid: StepGrid) -> StepBlock:
        """The node at every step, as one block of all its series."""
        return run(self._vector(self._plan(node, grid)))[0]

    def parts(self, node: Node, grid: StepGrid) -> Sequence[StepBlock]:
        """The same as one block, or as several in label order where the rows of one selector have become so: a large
        answer is not put together only to be written row by row."""
        root = self._plan(node, grid)
        is_plain = root.streams and not self._planner.is_shared(root) and self._statistics is None
        if not is_plain or (self._joint is not None and root in self._joint):
            return (run(self._vector(root))[0],)
        return run(self._parts(root))

    def scalar(self, node: Node, grid: StepGrid) -> F64:
        """float64[n]: a scalar expression at every step."""
        return run(self._scalar(self._plan(node, grid)))

    def _plan(self, node: Node, grid: StepGrid) -> Operator:
        root = self._planner.plan(node, grid)
        if self._joint is not None:
            self._joint.find(root)
        return root

    # ---- vectors

    def _vector(self, operator: Operator) -> Recursive[Held]:
        if operator in self._shared:
            return self._shared[operator], 0
        began = time.perf_counter()
        block, held = yield self._new(operator)
        block = _settled(operator, block)
        if self._statistics is not None:
            self._statistics.evaluated(operator, block, time.perf_counter() - began)
        if self._planner.is_shared(operator):
            self._shared[operator] = block
            self._account.held -= held
            held = 0
        return block, held

    def _new(self, operator: Operator) -> Recursive[Held]:
        self._context.check()
        if self._joint is not None and operator in self._joint:
            answer: Held | None = yield self._from_joint(self._joint, operator)
            if answer is not None:
                return answer
        source = (yield self._source(operator)) if operator.streams else None
        if source is not None:
            return self._collected(operator, source)
        match operator:
            case plan.Reduce() | plan.Absent():
                return self._sunk(operator, (yield self._inputs_in_tiles(operator)))
            case plan.Info():
                return (yield from self._info(operator))
            case plan.Choose():
                return (yield from self._choose(operator))
            case plan.Match():
                return (yield from self._match(operator))
            case plan.Nothing():
                return blocks.empty_block(operator.grid), 0
            case plan.FromScalar():
                scalar = yield self._scalar(operator.scalars[0])
                return blocks.one_series(operator.grid, scalar), self._account.take_for(operator, 1)
            case plan.Apply() if len(operator.inputs) != 1:
                return (yield from self._apply_to_many(operator))
            case _:
                return (yield from self._apply(operator))

    def _apply(self, operator: Operator) -> Recursive[Held]:
        """An operator over one block, whole."""
        inner, before = yield self._vector(operator.inputs[0])
        scalars = yield self._scalars(operator)
        held = self._account.take_for(operator, len(inner.labels))
        stage = self._stages.stage(operator, scalars)
        result = stage(inner, self._workspace, self._notes)
        self._account.give(before)
        return result, held

    def _apply_to_many(self, operator: plan.Apply) -> Recursive[Held]:
        vectors, before = [], 0
        for child in operator.inputs:
            block, held = yield self._vector(child)
            vectors.append(block)
            before += held
        scalars = yield self._scalars(operator)
        held = self._account.take_for(operator, max((len(v.labels) for v in vectors), default=1))
        result = FUNCTIONS[operator.name](self._stages.function_call(operator, tuple(vectors), scalars, self._notes))
        self._account.give(before)
        return result, held

    # ---- row by row

    def _parts(self, operator: Operator) -> Recursive[Sequence[StepBlock]]:
        source = yield self._source(operator)
        if source is None:
            return ((yield self._vector(operator))[0],)
        sink = CollectSink(operator, self._account)
        for part, held in self._tiles(source):
            sink.add(part, held)
        in_order = sink.take_in_order()
        return in_order or (_settled(operator, sink.finish()[0]),)

    def _source(self, operator: Operator) -> Recursive[RowSource | None]:
        """The operators down to the selector, to be run inside its tiles; None where one of them exists as a block."""
        chain = [operator]
        while chain[-1].inputs:
            chain.append(chain[-1].inputs[0])
            if self._planner.is_shared(chain[-1]):
                return None
        chain.reverse()
        leaf = chain[0]
        scalars = yield self._scalars(leaf)
        stages = []
        for other in chain[1:]:
            more = yield self._scalars(other)
            stage = self._stages.stage(other, more)
            stages.append(stage if self._statistics is None else self._statistics.stage(other, stage))
        # A stage's result replaces that of the one before.
        sizes = [0, *(each.n_bytes(1) for each in chain)]
        row_bytes = max(before + after for before, after in pairwise(sizes))
        assert isinstance(leaf, plan.Read | plan.Window) and leaf.selection is not None
        first = self._stages.leaf(leaf, scalars)
        if self._statistics is not None:
            first = self._statistics.leaf(leaf, first)
        return RowSource(
            leaf.selection, first, tuple(stages), row_bytes, leaf.n_bytes(1),
            self._stages.again(leaf, scalars),
        )  # fmt: skip

    def _tiles(self, source: RowSource) -> Iterator[Held]:
        for part, held in self._runner.run(self._storage, source, self._budget, self._context, self._notes):
            self._account.held += held
            yield part, held

    def _collected(self, operator: Operator, source: RowSource) -> Held:
        """All rows as one block."""
        return self._sunk(operator, self._tiles(source))

    def _sunk(self, operator: Operator, parts: Iterator[Held]) -> Held:
        sink = sink_of(operator, self._account, self._notes)
        for part, held in parts:
            sink.add(part, held)
        return sink.finish()

    def _from_joint(self, joint: JointReads, operator: Operator) -> Recursive[Held | None]:
        """From a read that serves several places; None where they must read apart."""
        if not joint.is_ready(operator):
            sources, parts = [], joint.rows(operator)
            for rows in parts:
                sources.append((yield self._source(rows)))
            if not joint.read(operator, sources):
                self._forget(parts)
                return None
        return joint.take(operator, self._notes)

    def _forget(self, operators: Sequence[Operator]) -> None:
        if self._statistics is not None:
            self._statistics.forget(operators)

    # ---- reductions

    def _inputs_in_tiles(self, operator: Operator) -> Recursive[Iterator[Held]]:
        """The input tile by tile where it can be had so, else as one block."""
        child = operator.inputs[0]
        if child.streams and child.unique and not self._planner.is_shared(child):
            source = yield self._source(child)
            if source is not None:
                return self._tiles(source)
        whole = yield self._vector(child)
        return iter((whole,))

    # ---- info

    def _info(self, operator: plan.Info) -> Recursive[Held]:
        """Which info series are read depends on the values that the input has."""
        inner, before = yield self._vector(operator.inputs[0])
        base = blocks.without_empty_rows(blocks.full_width(inner))
        are_info = are_info_series(base.labels, operator.selector)
        matchers = info_matchers(labels.take(base.labels, np.flatnonzero(~are_info)), operator.selector)
        infos, infos_held = blocks.empty_block(operator.grid), 0
        if matchers is not None:
            read = InstantRead(operator.grid, operator.first_ms, operator.step_ms, operator.lookback_ms, "time")
            source = info_source(read, matchers, operator.around_ms)
            if self._statistics is not None:
                source = replace(source, leaf=self._statistics.leaf(operator, source.leaf))
            infos, infos_held = self._collected(operator, source)
        held = self._account.take_for(operator, 2 * len(base.labels), len(infos.labels))
        enrichment = Enrichment(base, are_info, infos, operator.selector)
        if enrichment.n_rows > 2 * len(base.labels):
            held += self._account.take_for(operator, enrichment.n_rows - 2 * len(base.labels))
        result = enrichment.block()
        self._account.give(before + infos_held)
        return result, held

    # ---- breakers

    def _choose(self, operator: plan.Choose) -> Recursive[Held]:
        """An aggregation over whole columns. Where its input is over the budget, piece of steps by piece of steps."""
        held_before = self._account.held
        try:
            inner, before = yield self._vector(operator.inputs[0])
            scalars = yield self._scalars(operator)
            node = operator.node
            held = self._account.take(
                f"{operator.name} of {len(inner.labels)} series x {operator.grid.n} steps",
                operator.n_bytes(len(inner.labels), _n_groups(node.grouping, node.without, inner.labels)),
            )
        except OverBudget:
            if operator.grid.n < SLICES:
                raise
            self._account.give(self._account.held - held_before)
            self._forget((*operator.inputs, *operator.scalars))
            return (yield from self._in_slices(operator))
        assert node.parameter is not None
        result = select_aggregate(
            node.op, inner, scalars[0] if scalars else operator.label, node.grouping, node.without, self._notes,
            node.parameter.start, node.expr.start, node.start,
            separated_hashes=not self._settings.since_3_10, check=self._context.check,
        )  # fmt: skip
        self._account.give(before)
        return result, held

    def _in_slices(self, operator: plan.Choose) -> Recursive[Held]:
        """Every slice reads the whole range again, because deduplication depends on where reading begins."""
        grid, parts, plans, before = operator.grid, [], [], 0
        size = -(-grid.n // SLICES)
        for first in range(0, grid.n, size):
            piece = StepGrid(grid.first_ms + first * grid.step_ms, grid.step_ms, min(size, grid.n - first))
            plans.append(self._planner.plan(operator.node, piece))
            part, held = yield self._vector(plans[-1])
            parts.append(part)
            before += held
        if self._statistics is not None:
            self._statistics.in_pieces(operator, plans)
        n_rows = sum(len(p.labels) for p in parts)
        held = self._account.take(f"{operator.name} of {n_rows} rows, joined", n_rows * grid.n * blocks.CELL_BYTES)
        result = blocks.join_steps(grid, parts)
        self._account.give(before)
        return result, held

    def _match(self, operator: plan.Match) -> Recursive[Held]:
        left, left_held = yield self._vector(operator.inputs[0])
        right, right_held = yield self._vector(operator.inputs[1])
        reserved: list[int] = []

        def reserve() -> None:
            reserved.append(self._account.take_for(operator, max(len(left.labels), len(right.labels))))

        is_free = self._is_free(operator, 0), self._is_free(operator, 1)
        result = vector_vector(
            operator.op, left, right, operator.matching, operator.return_bool, self._notes, operator.at,
            self._settings.delayed, self._settings.since_3_10, Room(reserve, *is_free),
        )  # fmt: skip
        if reserved:
            self._account.give(left_held + right_held)
            return result, reserved[0]
        # The result stands where one side was.
        if left is right:
            self._shared.pop(operator.inputs[0], None)
        many, other = (right_held, left_held) if operator.matching.card == "one-to-many" else (left_held, right_held)
        self._account.give(other)
        return result, many

    def _is_free(self, operator: plan.Match, side: int) -> bool:
        """Whether nothing but this operator reads the cells of a side: those of a selector, evaluated in tiles. What
        is made of another block may have its cells."""
        child = operator.inputs[side]
        if not child.streams or self._planner.n_uses(child) != operator.inputs.count(child):
            return False
        while child.inputs:
            child = child.inputs[0]
            if self._planner.is_shared(child):
                return False
        return True

    # ---- scalars

    def _scalars(self, operator: Operator) -> Recursive[tuple[F64, ...]]:
        found = []
        for child in operator.scalars:
            found.append((yield self._scalar(child)))
        return tuple(found)

    def _scalar(self, operator: Operator) -> Recursive[F64]:
        began = time.perf_counter()
        value: F64 = yield self._new_scalar(operator)
        if self._statistics is not None:
            self._statistics.evaluated(operator, None, time.perf_counter() - began)
        return value

    def _new_scalar(self, operator: Operator) -> Recursive[F64]:
        grid = operator.grid
        match operator:
            case plan.Constant():
                return np.full(grid.n, operator.value)
            case plan.Time():
                return grid.steps_ms() / 1000.0
            case plan.OnlyValue():
                inner, held = yield self._vector(operator.inputs[0])
                value = scalar_of(blocks.full_width(inner))
                self._account.give(held)
                return value
            case plan.ScalarOnce():
                once = yield self._scalar(operator.scalars[0])
                return np.full(grid.n, once[0])
            case plan.ScalarOperator():
                sides = yield self._scalars(operator)
                return scalar_operator(operator.op, sides)
            case _:
                raise AssertionError(f"BUG: {type(operator).__name__} is no scalar")

    # ---- range vectors as an answer

    def matrix(self, node: Node, grid: StepGrid) -> tuple[LabelTable, Samples]:
        """The samples of a range selector or subquery at one step: what an instant query of it answers."""
        bare = unwrap(node)
        assert isinstance(bare, MatrixSelector | Subquery)
        windows = self._planner.window_range(bare, grid)
        if isinstance(bare, Subquery):
            if windows.inner_grid is None:
                return no_samples()
            inner = blocks.without_empty_rows(self.vector(bare.expr, windows.inner_grid))
            return inner.labels, samples_of(inner, Workspace())
        assert windows.selection is not None
        tiles = self._storage.select(windows.selection, self._budget, self._context)
        table, samples = read_range(tiles, windows, self._account, self._context.check, self._workspace)
        if self._statistics is not None:
            self._statistics.range_samples = count_samples(samples)
        return table, samples


def _settled(operator: Operator, block: StepBlock) -> StepBlock:
    """What becomes of rows whose labels are equal now."""
    if operator.equal is Equal.FAIL:
        blocks.check_unique(block)
    elif operator.equal is Equal.MERGE:
        return blocks.merge_equal(block)
    return block


def _n_groups(grouping: tuple[str, ...], without: bool, table: LabelTable) -> int:
    return len(labels.group(table, grouping, not without)[1])
