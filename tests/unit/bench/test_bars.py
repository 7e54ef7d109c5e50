"""What holds and what does not is worked out of the medians of right answers."""

from __future__ import annotations

import pytest

from bench.bars import prometheus_bars, times_ms, victoria_bars
from bench.run import Row


def test_the_sum_the_mean_and_the_slowest_query_are_held_against_victoria_metrics():
    bars = victoria_bars({"a": (100.0, 200.0), "b": (80.0, 40.0)})  # ratios 0.5 and 2
    assert [bar.holds for bar in bars] == [True, True, True]
    assert [bar.figures for bar in bars] == ["180 and 240 ms", "1.00", "2.00 times: `b`"]


def test_each_query_beyond_the_bar_is_named_the_slowest_first():
    bars = victoria_bars({"a": (30.0, 10.0), "b": (80.0, 20.0), "c": (1.0, 1.0)})
    assert [bar.holds for bar in bars] == [False, False, False]
    assert bars[1].figures == "2.29"  # the third root of 12
    assert bars[2].figures == "4.00 times: `b`, 3.00 times: `a`"


@pytest.mark.parametrize(
    ("ours", "holds", "figures"),
    [
        ((10.0, 20.0, 20.0), [True, True], ["0.20 times: `b`", "5.00 times, of 3 queries"]),
        ((10.0, 25.0, 101.0), [False, False], ["1.01 times: `c`", "4.00 times, of 3 queries"]),
    ],
)
def test_the_slowest_and_the_median_query_are_held_against_prometheus(
    ours: tuple[float, ...], holds: list[bool], figures: list[str]
):
    bars = prometheus_bars({query: (ms, 100.0) for query, ms in zip("abc", ours, strict=True)})
    assert [bar.holds for bar in bars] == holds
    assert [bar.figures for bar in bars] == figures


def test_only_right_answers_count_and_the_first_round_does_not():
    def row(*elapsed_s: float, wrong: str = "") -> Row:
        return Row(elapsed_s=list(elapsed_s), wrong=wrong)

    table = {
        "a": {"Athanor": row(9, 0.001, 0.003, 0.002), "Prometheus": row(9, 0.01)},
        "other answer": {"Athanor": row(9, 0.001), "Prometheus": row(9, 0.01, wrong="differs")},
        "no answer": {"Athanor": row(9, 0.001), "Prometheus": row()},
        "a with gzip": {"Athanor": row(9, 0.001), "Prometheus": row(9, 0.01)},
    }
    assert times_ms(table, "Prometheus") == {"a": (2.0, 10.0)}
    assert times_ms(table, "VictoriaMetrics") == {}
