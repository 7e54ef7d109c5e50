"""Functions over instant vectors, by name."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from functools import partial

import numpy as np

from athanor.kernel import labels
from athanor.model.arrays import F64, U8
from athanor.model.matchers import Matcher, MatchType
from athanor.model.tables import LabelTable, StepBlock, label_table
from athanor.promql import function_kernels as kernels
from athanor.promql.blocks import block, empty_block, full_width
from athanor.promql.classic_histograms import histogram_fraction, histogram_quantile, histogram_quantiles
from athanor.promql.function_call import LABEL_LIMIT_BYTES, Evaluate, FunctionCall, floats_without_name
from athanor.promql.histogram_functions import histogram_statistic
from athanor.promql.label_functions import label_join, label_replace
from athanor.promql.sort_functions import sort, sort_by_label

__all__ = ["FUNCTIONS", "LABEL_LIMIT_BYTES", "ROWWISE", "FunctionCall", "absent", "absent_labels", "scalar_of"]


def _cells(source: StepBlock) -> tuple[F64, U8, F64, U8]:
    """Values and kinds as the kernels take them, and new arrays for the results."""
    values, kind = np.ascontiguousarray(source.values), np.ascontiguousarray(source.kind)
    return values, kind, np.empty(values.shape), np.empty(kind.shape, np.uint8)


def _elementwise(number: int, call: FunctionCall) -> StepBlock:
    source = call.vectors[0]
    values, kind, out, out_kind = _cells(source)
    kernels.floats_only(kind.reshape(-1), out_kind.reshape(-1))
    kernels.apply(number, values.reshape(-1), kind.reshape(-1), out.reshape(-1))
    return floats_without_name(call, source, out, out_kind)


def _date(number: int, call: FunctionCall) -> StepBlock:
    """Without an argument: of the step times, which have no milliseconds here and no labels."""
    if not call.vectors:
        seconds = np.trunc(call.grid.steps_ms() / 1000.0)
        out = np.empty(call.grid.n)
        present = np.ones((1, call.grid.n), np.uint8)
        kernels.date_field(number, seconds, present[0], out)
        return block(call.grid, labels.empty_sets(1), out[None, :], present)
    source = call.vectors[0]
    values, kind, out, out_kind = _cells(source)
    kernels.floats_only(kind.reshape(-1), out_kind.reshape(-1))
    kernels.date_field(number, values.reshape(-1), kind.reshape(-1), out.reshape(-1))
    return floats_without_name(call, source, out, out_kind)


def _round(call: FunctionCall) -> StepBlock:
    source = full_width(call.vectors[0])
    with np.errstate(divide="ignore"):
        inverse = 1.0 / call.scalars[0] if call.scalars else np.ones(call.grid.n)
    values, kind, out, out_kind = _cells(source)
    kernels.round_to(values, kind, inverse, out, out_kind)
    return floats_without_name(call, source, out, out_kind)


def _is_minus_zero(bounds: F64) -> bool:
    return bool(((bounds == 0) & np.signbit(bounds)).any())


def _clamp(call: FunctionCall) -> StepBlock:
    source = full_width(call.vectors[0])
    n = call.grid.n
    low = call.scalars[0] if call.name != "clamp_max" else np.full(n, -math.inf)
    high = call.scalars[-1] if call.name != "clamp_min" else np.full(n, math.inf)
    low, high = np.ascontiguousarray(low), np.ascontiguousarray(high)
    ordinary = bool((low < math.inf).all() and (high > -math.inf).all())
    plain = ordinary and not _is_minus_zero(low) and not _is_minus_zero(high)
    values, kind, out, out_kind = _cells(source)
    clamp = kernels.clamp_plain if plain else kernels.clamp_exact
    clamp(values, kind, low, high, out, out_kind)
    return floats_without_name(call, source, out, out_kind)


def _timestamp(call: FunctionCall) -> StepBlock:
    """Of anything but a selector: the time of the step, for samples of either kind."""
    source = full_width(call.vectors[0])
    values = np.empty(source.kind.shape)
    values[:] = call.grid.steps_ms() / 1000.0
    return floats_without_name(call, source, values, np.minimum(source.kind, np.uint8(1)))


def _vector(call: FunctionCall) -> StepBlock:
    return block(call.grid, labels.empty_sets(1), call.scalars[0][None, :].copy(), np.ones((1, call.grid.n), np.uint8))


def _start_timestamp(call: FunctionCall) -> StepBlock:
    """Samples carry no start timestamps, and then the function has no answer."""
    return empty_block(call.grid)


def scalar_of(source: StepBlock) -> F64:
    """float64[n]: the value of the only float of each step, NaN where there is none or more than one."""
    values, kind = np.ascontiguousarray(source.values), np.ascontiguousarray(source.kind)
    out, seen = np.zeros(values.shape[1]), np.zeros(values.shape[1], np.int64)
    kernels.only_float(values, kind, seen, out)
    return out


def absent(source: StepBlock, labels_: LabelTable) -> StepBlock:
    """One series of 1 at the steps where the vector is empty; labels_: one set."""
    source = full_width(source)
    present = np.bitwise_or.reduce(source.kind, axis=0)[None, :]
    return block(source.grid, labels_, np.ones(present.shape), (present == 0).astype(np.uint8))


def absent_labels(matchers: Iterable[Matcher]) -> LabelTable:
    """The one set of absent(): labels with a single condition, and that an equality."""
    conditions = list(matchers)
    count = Counter(m.name for m in conditions)
    return label_table(
        [
            [
                (m.name, m.value)
                for m in conditions
                if m.type is MatchType.EQ and count[m.name] == 1 and m.name != labels.METRIC_NAME
            ]
        ]
    )


def _absent_unlabelled(call: FunctionCall) -> StepBlock:
    return absent(call.vectors[0], labels.empty_sets(1))


_ROWWISE: dict[str, Evaluate] = {
    **{name: partial(_elementwise, number) for number, name in enumerate(kernels.ELEMENTWISE)},
    **{name: partial(_date, number) for number, name in enumerate(kernels.DATE_FIELDS)},
    "round": _round,
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max"), _clamp),
    "timestamp": _timestamp,
}

# Functions that see one series at a time: any tile of rows can be evaluated alone.
ROWWISE = frozenset(_ROWWISE)

FUNCTIONS: dict[str, Evaluate] = {
    **_ROWWISE,
    "absent": _absent_unlabelled,
    "vector": _vector,
    "start_timestamp": _start_timestamp,
    **dict.fromkeys(
        ("histogram_avg", "histogram_count", "histogram_stddev", "histogram_stdvar", "histogram_sum"),
        histogram_statistic,
    ),
    "histogram_quantile": histogram_quantile,
    "histogram_quantiles": histogram_quantiles,
    "histogram_fraction": histogram_fraction,
    "label_join": label_join,
    "label_replace": label_replace,
    **dict.fromkeys(("sort", "sort_desc"), sort),
    **dict.fromkeys(("sort_by_label", "sort_by_label_desc"), sort_by_label),
}
