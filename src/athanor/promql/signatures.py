"""Every function's name, argument types and result type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from athanor.promql.features import FUNCTIONS_SINCE_3_10, Features

ValueType = Literal["scalar", "vector", "matrix", "string", "none"]

# What messages call a type (prometheus promql/parser/value.go).
TYPE_NAMES: dict[ValueType, str] = {
    "scalar": "scalar",
    "vector": "instant vector",
    "matrix": "range vector",
    "string": "string",
    "none": "none",
}


@dataclass(frozen=True, slots=True)
class Function:
    """variadic: 0 as many arguments as types; n > 0 the last is given 0 to n times; -1 any number of times."""

    name: str
    arg_types: tuple[ValueType, ...]
    return_type: ValueType = "vector"
    variadic: int = 0
    experimental: bool = False


_V: tuple[ValueType, ...] = ("vector",)
_M: tuple[ValueType, ...] = ("matrix",)
_VS: tuple[ValueType, ...] = ("vector", "scalar")
_SCALARS: tuple[ValueType, ...] = ("scalar", "scalar")


def _table() -> dict[str, Function]:
    functions = [
        *(Function(name, _V) for name in _VECTOR.split()),
        *(Function(name, _M) for name in _MATRIX.split()),
        *(Function(name, _M, experimental=True) for name in _MATRIX_EXPERIMENTAL.split()),
        *(Function(name, _V, variadic=1) for name in _DATES.split()),
        *(Function(name, (), "scalar", experimental=True) for name in ("end", "range", "start", "step")),
        *(Function(name, _SCALARS, "scalar", experimental=True) for name in ("max_of", "min_of")),
        *(Function(name, (), "scalar") for name in ("pi", "time")),
        Function("sort_by_label", ("vector", "string"), variadic=-1, experimental=True),
        Function("sort_by_label_desc", ("vector", "string"), variadic=-1, experimental=True),
        Function("clamp", ("vector", "scalar", "scalar")),
        Function("clamp_max", _VS),
        Function("clamp_min", _VS),
        Function("double_exponential_smoothing", ("matrix", "scalar", "scalar"), experimental=True),
        Function("histogram_fraction", ("scalar", "scalar", "vector")),
        Function("histogram_quantile", ("scalar", "vector")),
        Function("histogram_quantiles", ("vector", "string", "scalar", "scalar"), variadic=9, experimental=True),
        Function("info", ("vector", "vector"), variadic=1, experimental=True),
        Function("label_join", ("vector", "string", "string", "string"), variadic=-1),
        Function("label_replace", ("vector", "string", "string", "string", "string")),
        Function("predict_linear", ("matrix", "scalar")),
        Function("quantile_over_time", ("scalar", "matrix")),
        Function("round", _VS, variadic=1),
        Function("scalar", _V, "scalar"),
        Function("start_timestamp", _V, experimental=True),
        Function("vector", ("scalar",)),
    ]
    return {function.name: function for function in functions}


_VECTOR = """abs absent acos acosh asin asinh atan atanh ceil cos cosh deg exp floor histogram_avg histogram_count
    histogram_stddev histogram_stdvar histogram_sum ln log10 log2 rad sgn sin sinh sort sort_desc sqrt tan tanh
    timestamp"""
_DATES = "day_of_month day_of_week day_of_year days_in_month hour minute month year"
_MATRIX = """absent_over_time avg_over_time changes count_over_time delta deriv first_over_time idelta increase irate
    last_over_time max_over_time min_over_time present_over_time rate resets stddev_over_time stdvar_over_time
    sum_over_time"""
_MATRIX_EXPERIMENTAL = """mad_over_time ts_of_first_over_time ts_of_last_over_time ts_of_max_over_time
    ts_of_min_over_time"""

FUNCTIONS: dict[str, Function] = _table()
X_FUNCTIONS: dict[str, Function] = {name: Function(name, _M) for name in ("xdelta", "xincrease", "xrate")}


def find_function(name: str, features: Features) -> Function | None:
    """The function as these features know it, or None; whether it is enabled is the caller's question."""
    if not features.since_3_10:
        if name in FUNCTIONS_SINCE_3_10:
            return None
        if name == "first_over_time":  # experimental until Prometheus 3.9
            return Function(name, _M, experimental=True)
    if features.x_functions and name in X_FUNCTIONS:
        return X_FUNCTIONS[name]
    return FUNCTIONS.get(name)
