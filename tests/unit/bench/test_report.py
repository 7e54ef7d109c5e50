"""The page of results: what differs is a dash in the second table, and the bars stand below."""

from __future__ import annotations

from typing import Any

from bench import report
from bench.run import Row, Table

RESULTS: dict[str, Any] = {
    "machine": "a machine", "rounds": 2, "more_rounds": 3, "series": 1000, "idle_rss_mb": {}, "peak_rss_mb": {},
}  # fmt: skip


def rows(ours_ms: float, prometheus_ms: float, victoria_ms: float, victoria_wrong: str = "") -> dict[str, Row]:
    return {
        "Athanor": Row([9.0, ours_ms / 1000], [0.0, 0.01]),
        "Prometheus": Row([9.0, prometheus_ms / 1000], [0.0, 0.02]),
        "VictoriaMetrics": Row([9.0, victoria_ms / 1000], [0.0, 0.03], wrong=victoria_wrong),
    }


def test_the_second_table_counts_right_answers_only():
    first: Table = {"sum(g)": rows(10, 70, 20)}
    more: Table = {"-c": rows(20, 10, 40), "absent(c)": rows(10, 60, 1, "Prometheus and VictoriaMetrics: 1 and 2")}
    page = report.page(first, more, RESULTS)
    assert "| `-c` | 20 (10) | 10 (20) | 40 (30) | 0.50 | 2.00 |" in page
    assert "| `absent(c)` | 10 (10) | 60 (20) | – | 6.00 | – |" in page
    assert "means something else by it (1 of 2)" in page
    assert "- Nothing is slower than Prometheus: **does not hold** (2.00 times: `-c`)." in page
    assert "**holds** (6.00 times, of 3 queries)." in page
    assert "Answers that differ" not in page


def test_an_answer_of_ours_that_differs_is_told_and_its_time_does_not_count():
    wrong = rows(20, 10, 40)
    wrong["Athanor"].wrong = "Prometheus and Athanor: 1 and 2 series"
    page = report.page({"sum(g)": rows(10, 70, 20)}, {"-c": wrong}, RESULTS)
    assert "| `-c` | – | 10 (20) | 40 (30) | – | – |" in page
    assert "- `-c`: Prometheus and Athanor: 1 and 2 series" in page
    assert "of 1 queries" in page


def test_without_the_second_set_the_first_is_held_to_all_bars():
    page = report.page({"sum(g)": rows(10, 70, 20)}, {}, RESULTS)
    assert "second set" not in page
    assert "- The sum is at most VictoriaMetrics': **holds** (10 and 20 ms)." in page
    assert "- Nothing is slower than Prometheus: **holds** (0.14 times: `sum(g)`)." in page
