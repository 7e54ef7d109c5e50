"""The reader of conformance scripts: its own grammar, and all scripts that are at hand."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest

from tests.conformance.script import (
    Clear,
    Eval,
    Expectation,
    Grid,
    Load,
    ScriptError,
    parse_script,
    read_script,
    script_files,
)
from tests.conformance.values import STALE, Buckets, Histogram, expand_starts, expand_values

# Evaluations in each script of Prometheus 3.14 that we keep.
N_EVALS = {
    "aggregators": 121,
    "at_modifier": 54,
    "collision": 1,
    "duration_expression": 44,
    "extended_vectors": 129,
    "fill-modifier": 37,
    "functions": 302,
    "histograms": 130,
    "info": 36,
    "limit": 25,
    "literals": 19,
    "name_label_dropping": 19,
    "native_histograms": 365,
    "operators": 159,
    "range_queries": 13,
    "selectors": 24,
    "staleness": 12,
    "start_timestamps": 18,
    "subquery": 21,
    "trig_functions": 15,
    "type_and_unit": 40,
}


@pytest.mark.parametrize("path", script_files() or [None], ids=lambda path: path.stem if path else "none")
def test_every_script_is_read_completely(path: Path | None) -> None:
    if path is None:
        pytest.skip("no conformance scripts: set ATHANOR_CONFORMANCE to the folder that holds promql/*.test")
    commands = read_script(path)
    assert sum(isinstance(command, Eval) for command in commands) == N_EVALS[path.stem]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1 -2.5 +3 1e3 5_0", [1, -2.5, 3, 1000, 50]),
        ("_ 1 _x2 _x0", [None, 1, None, None]),
        ("2x2", [2, 2, 2]),
        ("1+2x3 5-1x1", [1, 3, 5, 7, 5, 4]),
        ("-1+2x3", [-1, 1, 3, 5]),
        ("Inf-1x2 -Inf", [math.inf, math.inf, math.inf, -math.inf]),
    ],
)
def test_value_lists_are_written_out(text: str, values: list[float | None]) -> None:
    assert expand_values(text) == values


def test_steps_are_repeated_additions_not_products() -> None:
    assert expand_values("0+0.1x10")[-1] == 0.9999999999999999


def test_the_staleness_marker_keeps_its_bits() -> None:
    (value,) = expand_values("stale")
    assert isinstance(value, float)
    assert struct.pack("<d", value) == struct.pack("<Q", 0x7FF0000000000002) == struct.pack("<d", STALE)


@pytest.mark.parametrize("text", ["1+-2x3", "NaNx2", "stalex2", "1+2", "{{}}+{{}}", "{{ schema:0}}", "{{x:1}}", "abc"])
def test_values_outside_the_grammar_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        expand_values(text)


def test_a_histogram_literal_is_taken_as_written() -> None:
    (value,) = expand_values("{{schema:1 sum:-0.3 count:3.1 z_bucket:7.1 z_bucket_w:0.05 buckets:[5.1 10] offset:-3}}")
    assert value == Histogram(1, 3.1, -0.3, 7.1, 0.05, Buckets(-3, (5.1, 10.0)))
    assert expand_values("{{}}") == [Histogram()]


def test_histograms_step_by_addition_of_a_finer_one() -> None:
    values = expand_values(
        "{{schema:-1 sum:4 count:1 buckets:[1] offset:1}}+{{schema:0 sum:4 count:4 buckets:[2 2] offset:1}}x1"
    )
    # buckets 1 and 2 of schema 0 both lie in bucket 1 of schema -1
    assert values[1] == Histogram(-1, 5.0, 8.0, positive=Buckets(1, (5.0,)))


def test_the_hint_of_a_step_says_whether_hints_are_compared() -> None:
    values = expand_values("{{count:1}}+{{count:1 counter_reset_hint:gauge}}x1")
    assert [(v.hint, v.hint_stated) for v in values if isinstance(v, Histogram)] == [("unknown", True), ("gauge", True)]


def test_start_timestamps_are_offsets_from_their_sample() -> None:
    assert expand_starts("_ -30s-1mx2") == [None, -30_000, -90_000, -150_000]
    (load,) = parse_script("load 1m\n c@st _ -30s-1mx2\n c 0 1+1x2\n")
    assert isinstance(load, Load)
    assert load.series[0].starts_ms == [0, 30_000, 30_000, 30_000]


def test_a_block_ends_at_an_empty_line_or_a_comment() -> None:
    commands = parse_script(
        'clear\nload 5m\n  a{x="y z"} 1 2\n# done\neval instant at 50m a\n  expect ordered\n  a{x="y z"} 2\n'
    )
    clear, load, command = commands
    assert clear == Clear(1)
    assert isinstance(load, Load)
    assert (load.gap_ms, load.series[0].labels, load.series[0].values) == (
        300_000,
        {"__name__": "a", "x": "y z"},
        [1, 2],
    )
    assert isinstance(command, Eval)
    assert (command.at_ms, command.grid, command.ordered, command.query) == (3_000_000, None, True, "a")
    assert command.series[0].values == [2]


def test_expectations_of_annotations_and_failures() -> None:
    (command,) = parse_script(
        "eval instant at 0 a\n  expect warn msg: W 1\n  expect no_info\n  expect fail regex: x+y\n"
    )
    assert isinstance(command, Eval)
    assert command.annotations == (Expectation("warn", "msg", "W 1"), Expectation("no_info"))
    assert command.fail == Expectation("fail", "regex", "x+y")
    assert command.fail.met_by("axxyb")
    assert not command.annotations[0].met_by("W 1 and more")


def test_range_and_scalar_and_string_results() -> None:
    ranged, scalar, text, vector = parse_script(
        "eval range from 0 to 4m step 1m a\n  a 1+1x4\n\neval instant at 0 1\n 0x10\n\n"
        'eval instant at 0 "x"\n expect string "a\\nb"\n\n'
        "eval instant at 9m a[2m]\n expect range vector from 1m to 2m step 1m\n a 1 2\n"
    )
    assert isinstance(ranged, Eval)
    assert ranged.grid == Grid(0, 240_000, 60_000)
    assert isinstance(scalar, Eval)
    assert scalar.scalar == 16
    assert isinstance(text, Eval)
    assert text.string == "a\nb"
    assert isinstance(vector, Eval)
    assert vector.range_vector == Grid(60_000, 120_000, 60_000)


@pytest.mark.parametrize(
    "text", ["jump\n", "load x\n a 1\n", "eval instant at 0 a[\n", "eval instant at 0 a\n a 1 2\n"]
)
def test_broken_scripts_name_their_line(text: str) -> None:
    with pytest.raises(ScriptError, match=r"script:1: "):
        parse_script(text)
