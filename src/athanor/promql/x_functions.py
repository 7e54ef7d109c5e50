"""xrate, xincrease, xdelta: what Thanos' engine adds to the language."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from athanor.model.arrays import F64, U8
from athanor.model.tables import HISTOGRAM, Samples
from athanor.model.workspace import Workspace
from athanor.promql import x_function_kernels as kernels
from athanor.promql.ast import Call, Node, Subquery, unwrap, walk
from athanor.promql.errors import ParseError, QueryError
from athanor.promql.gostrings import quote
from athanor.promql.signatures import X_FUNCTIONS
from athanor.promql.windows import in_rows, pieces, without_stale

_MODES = {"xdelta": (0, 0), "xincrease": (1, 0), "xrate": (1, 1)}  # whether of counters, whether by time


def refuse_subqueries(root: Node, text: bytes) -> None:
    """compat: a subquery as argument makes Thanos fall back to an engine that does not know these functions."""
    calls = [node for node in walk(root) if isinstance(node, Call) and node.function.name in X_FUNCTIONS]
    if any(isinstance(unwrap(arg), Subquery) for call in calls for arg in call.args):
        first = min(calls, key=lambda call: call.end)
        name = first.function.name
        raise ParseError(f"unknown function with name {quote(name)}", text, first.start, first.start + len(name))


def evaluate_x(
    name: str,
    samples: Samples,
    grid: tuple[int, int, int, int],
    values: F64,
    kind: U8,
    workspace: Workspace,
    check: Callable[[], None],
) -> None:
    """Fill values, kind ([series, n]). grid: first end, step, number of windows, range, all in ms."""
    if samples.kind is not None and (samples.kind == HISTOGRAM).any():
        raise QueryError("native histograms are not supported in extended range functions")
    samples = without_stale(samples, workspace)
    _, step_ms, n, range_ms = grid
    kept = workspace.i64("window.resets", int(np.diff(samples.offsets).max(initial=0)))
    for row, end in pairwise(pieces(name, samples, step_ms, n, range_ms)):
        check()
        part = in_rows(samples, row, end)
        kernels.differences(
            part.ts_ms, part.values, part.offsets, *grid, *_MODES[name], kept, values[row:end], kind[row:end]
        )
