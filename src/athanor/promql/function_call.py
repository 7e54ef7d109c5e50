"""What a function over instant vectors is called with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from athanor.kernel import labels
from athanor.model.arrays import F64, U8
from athanor.model.tables import StepBlock, StepGrid
from athanor.promql.blocks import NAME_LABELS
from athanor.promql.notes import Notes

LABEL_LIMIT_BYTES = 64 << 20  # what one call may add to label sets; a query's text alone can ask for any amount


def _never() -> None:
    """Nothing can cancel this call."""


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """One call, for all steps of its grid.

    vectors, scalars (float64[n] each), strings: the evaluated arguments of each type, in argument order; at: byte
    position of the call, arg_at: of every argument of any type; delayed: the metric name is marked instead of removed;
    label_limit_bytes: how much larger the label sets may become; check: raises when the query was cancelled;
    since_3_10: annotate as Prometheus 3.10 and later do, else as the library inside Thanos 0.43 (3.9.1) does.
    """

    name: str
    grid: StepGrid
    vectors: tuple[StepBlock, ...]
    scalars: tuple[F64, ...]
    strings: tuple[str, ...]
    notes: Notes
    at: int
    arg_at: tuple[int, ...]
    is_range: bool = False
    delayed: bool = False
    label_limit_bytes: int = LABEL_LIMIT_BYTES
    check: Callable[[], None] = _never
    since_3_10: bool = True


Evaluate = Callable[[FunctionCall], StepBlock]


def floats_without_name(call: FunctionCall, source: StepBlock, values: F64, kind: U8) -> StepBlock:
    """Float results for the series of `source`, their metric name removed or, in delayed mode, marked."""
    if call.delayed:
        return StepBlock(source.grid, values, kind, source.labels, np.ones(len(source.labels), np.bool_))
    return StepBlock(source.grid, values, kind, labels.drop(source.labels, NAME_LABELS), source.drop_name)
