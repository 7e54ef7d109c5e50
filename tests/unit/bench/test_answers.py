"""A time counts only beside a right answer: the comparison finds every kind of difference."""

from __future__ import annotations

import json

import pytest

from bench.answers import difference, ranked, read_matrix, without_edges


def body(*series: tuple[dict[str, str], list[tuple[int, str]]]) -> bytes:
    return json.dumps({"data": {"result": [{"metric": m, "values": v} for m, v in series]}}).encode()


ONE = body(({"job": "a"}, [(0, "1"), (30, "2.5")]))


def test_equal_answers_have_no_difference_whatever_their_order():
    both = [({"job": "a"}, [(0, "1")]), ({"job": "b"}, [(0, "2")])]
    assert difference(read_matrix(body(*both)), read_matrix(body(*reversed(both)))) is None


@pytest.mark.parametrize(
    ("other", "part"),
    [
        (body(({"job": "a"}, [(0, "1"), (30, "2.50000001")])), "at 30.000: 2.5 and 2.50000001"),
        (body(({"job": "a"}, [(0, "1")])), "2 and 1 points"),
        (body(({"job": "a"}, [(0, "1"), (60, "2.5")])), "other times"),
        (body(({"job": "b"}, [(0, "1"), (30, "2.5")])), "only left: [[('job', 'a')]]"),
        (body(({"job": "a"}, [(0, "NaN"), (30, "2.5")])), "at 0.000: 1.0 and nan"),
        (body(), "1 and 0 series"),
    ],
)
def test_a_difference_is_told_in_words(other, part):
    found = difference(read_matrix(ONE), read_matrix(other))
    assert found is not None
    assert part in found


def test_the_last_digits_may_differ():
    assert difference(read_matrix(ONE), read_matrix(body(({"job": "a"}, [(0, "1"), (30, "2.500000000001")])))) is None


def test_infinities_and_nan_equal_themselves():
    one = body(({}, [(0, "+Inf"), (30, "NaN"), (60, "-Inf")]))
    assert difference(read_matrix(one), read_matrix(one)) is None


def test_external_labels_can_be_left_out():
    with_cluster = body(({"job": "a", "cluster": "x"}, [(0, "1"), (30, "2.5")]))
    assert difference(read_matrix(ONE), read_matrix(with_cluster, frozenset({"cluster"}))) is None


def test_points_on_the_edge_of_a_window_can_be_left_out():
    left = read_matrix(body(({}, [(30, "1"), (60, "5"), (90, "2")])))
    right = read_matrix(body(({}, [(30, "1"), (60, "7"), (90, "2")])))
    assert difference(left, right) is not None
    assert difference(without_edges(left, 60), without_edges(right, 60)) is None


def test_ties_may_go_to_anybody_but_values_may_not_differ():
    left = read_matrix(body(({"i": "1"}, [(0, "3"), (30, "4")]), ({"i": "2"}, [(0, "9")])))
    right = read_matrix(body(({"i": "1"}, [(0, "9"), (30, "4")]), ({"i": "3"}, [(0, "3")])))
    other = read_matrix(body(({"i": "1"}, [(0, "9"), (30, "4")]), ({"i": "3"}, [(0, "2")])))
    assert difference(ranked(left), ranked(right)) is None
    assert difference(ranked(left), ranked(other)) is not None


def test_what_is_left_of_large_numbers_that_cancel_out_is_no_difference_below_the_floor():
    left, right = (read_matrix(body(({"job": "a"}, [(0, value)]))) for value in ("0", "-6.9e-18"))
    assert difference(left, right) is not None
    assert difference(left, right, floor=1e-12) is None


def test_one_series_in_some_is_the_same_of_every_server():
    entries = [({"i": str(i)}, [(0, str(i)), (30, "NaN")]) for i in range(200)]
    chosen = read_matrix(body(*entries), one_in=10)
    with_cluster = [({"cluster": "x", **labels}, points) for labels, points in reversed(entries)]
    assert difference(chosen, read_matrix(body(*with_cluster), frozenset({"cluster"}), one_in=10)) is None
    assert 5 <= len(chosen.series) <= 50
    assert all(values[0] == float(dict(key)["i"]) for key, (_, values) in chosen.series.items())
