"""What row-by-row operators do: to the samples of a tile, to the block of the operator below, or to a whole block."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from athanor.model.arrays import F64
from athanor.model.tables import LabelTable, Samples, StepBlock
from athanor.model.workspace import Workspace
from athanor.promql import blocks, plan
from athanor.promql.binary import unary_minus, vector_scalar
from athanor.promql.errors import QueryError
from athanor.promql.floats import general
from athanor.promql.functions import FUNCTIONS, FunctionCall
from athanor.promql.histogram_windows import statistics_only
from athanor.promql.notes import Notes
from athanor.promql.plan import Operator
from athanor.promql.planner import Settings
from athanor.promql.rows import Again, InstantRead, Leaf, Stage, WindowCall, nothing_noted


class Stages:
    """Functions for the operators of one query; check: raises when the query was cancelled."""

    def __init__(self, settings: Settings, check: Callable[[], None], notes: Notes) -> None:
        self._settings, self._check, self._notes = settings, check, notes

    def leaf(self, operator: plan.Read | plan.Window, scalars: tuple[F64, ...]) -> Leaf:
        leaf: Leaf
        if isinstance(operator, plan.Window):
            leaf = self._window(operator, scalars).over_samples
        else:
            place = operator.first_ms, operator.step_ms, operator.lookback_ms
            leaf = InstantRead(operator.grid, *place, operator.wanted, operator.at)
        if not operator.skip_buckets:
            return leaf
        keeps_schema = self._settings.since_3_10

        def bare(table: LabelTable, samples: Samples, workspace: Workspace, notes: Notes) -> StepBlock:
            return leaf(table, statistics_only(samples, keeps_schema), workspace, notes)

        return bare

    def again(self, operator: plan.Read | plan.Window, scalars: tuple[F64, ...]) -> Again:
        """What the leaf notes of floats."""
        if isinstance(operator, plan.Window) and not scalars:
            return self._window(operator, scalars).note_floats
        return nothing_noted

    def stage(self, operator: Operator, scalars: tuple[F64, ...]) -> Stage:
        delayed = self._settings.delayed
        match operator:
            case plan.Window():
                return self._window(operator, scalars).over_block
            case plan.Negate():
                return lambda block, workspace, notes: unary_minus(block, delayed)
            case plan.DropName():
                return lambda block, workspace, notes: _marked(block) if delayed else blocks.drop_names(block)
            case plan.Spread():
                grid = operator.grid
                return lambda block, workspace, notes: blocks.spread(block, grid)
            case plan.WithScalar():
                op, on_left, return_bool = operator.op, operator.scalar_on_left, operator.return_bool
                scalar, at = scalars[0], operator.at
                return lambda block, workspace, notes: vector_scalar(
                    op, block, scalar, on_left, return_bool, notes, at, delayed
                )
            case plan.Apply():
                function = FUNCTIONS[operator.name]
                return lambda block, workspace, notes: function(self.function_call(operator, (block,), scalars, notes))
            case _:
                raise AssertionError(f"BUG: {type(operator).__name__} is not row by row")

    def _window(self, operator: plan.Window, scalars: tuple[F64, ...]) -> WindowCall:
        _check_window_arguments(operator, scalars, self._notes)
        return WindowCall(
            operator.name, operator.grid, operator.first_ms, operator.step_ms, operator.range_ms, scalars,
            not operator.keeps_name, self._settings.delayed, operator.range_at, self._check,
            operator.extended, self._settings.use_start_timestamps,
        )  # fmt: skip

    def function_call(
        self, operator: plan.Apply, vectors: tuple[StepBlock, ...], scalars: tuple[F64, ...], notes: Notes
    ) -> FunctionCall:
        node = operator.call
        return FunctionCall(
            name=operator.name, grid=operator.grid, vectors=vectors, scalars=scalars, strings=operator.strings,
            notes=notes, at=node.start, arg_at=tuple(arg.start for arg in node.args), is_range=self._settings.is_range,
            delayed=self._settings.delayed, check=self._check, since_3_10=self._settings.since_3_10,
        )  # fmt: skip


def _check_window_arguments(operator: plan.Window, scalars: tuple[F64, ...], notes: Notes) -> None:
    if operator.name == "quantile_over_time":
        for bad in scalars[0][np.isnan(scalars[0]) | (scalars[0] < 0) | (scalars[0] > 1)][:1]:
            notes.warn(f"quantile value should be between 0 and 1, got {general(float(bad))}", operator.argument_at)
    if operator.name == "double_exponential_smoothing":
        whats = ("smoothing factor. Expected: 0 < sf < 1", "trend factor. Expected: 0 < tf < 1")
        for what, factors in zip(whats, scalars, strict=True):
            bad_factors = factors[(factors <= 0) | (factors >= 1)]
            if bad_factors.size:
                raise QueryError(f"invalid {what}, got: {bad_factors[0]:f}")


def _marked(source: StepBlock) -> StepBlock:
    drop = np.ones(len(source.labels), np.bool_)
    return StepBlock(source.grid, source.values, source.kind, source.labels, drop, source.histograms)
