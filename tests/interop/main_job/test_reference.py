"""The reference fold itself, on cases that were worked out by hand."""

from __future__ import annotations

import pytest

from tests.interop.main_job.reference import fold, rate, without_resets


def at(*seconds: float) -> list[tuple[int, float]]:
    return [(int(s * 1000), s) for s in seconds]


@pytest.mark.parametrize(
    ("a", "b", "chosen"),
    [
        (at(10, 20, 30, 40), at(10, 20, 30, 40), [10, 20, 30, 40]),
        (at(10.1, 20.1, 30.1, 40.1), at(10, 20, 30, 40), [10, 20, 30, 40]),
        (at(10, 20, 40), at(10, 20, 30, 40), [10, 20, 40]),
        (at(10, 20, 30, 60, 70), at(10.1, 20.1, 30.1, 40.1, 50.1, 60.1), [10, 20, 30, 50.1, 60.1]),
    ],
)
def test_a_loser_must_be_two_intervals_ahead(a, b, chosen):
    assert [at_ms / 1000 for at_ms, _ in fold([a, b])] == chosen


def test_a_counter_that_changes_hands_never_falls():
    a = [(1_000, 100.0), (2_000, 110.0)]
    b = [(1_100, 50.0), (2_100, 60.0), (3_100, 70.0), (8_100, 75.0)]
    # b may take over 2 s after a's last sample at the earliest: at 8.1 s, with its 75 lifted to a's 110.
    assert fold([a, b], is_counter=True) == [(1_000, 100.0), (2_000, 110.0), (8_100, 110.0)]
    assert fold([a, b])[-1] == (8_100, 75.0)


def test_resets_are_taken_out_before_the_fold():
    assert without_resets([(1, 5.0), (2, 8.0), (3, 2.0), (4, 3.0)]) == [(1, 5.0), (2, 8.0), (3, 10.0), (4, 11.0)]


def test_a_rate_over_full_coverage_is_the_slope():
    samples = [(s * 1000, 1000.0 + 2 * s) for s in range(61)]
    assert rate(samples, 60_000, 30_000) == pytest.approx(2.0)
