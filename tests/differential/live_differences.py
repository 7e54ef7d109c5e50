"""Where answers of Prometheus 2.42 differ from ours, and the differences that have a name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tests.differential.answers import Answer, difference
from tests.differential.generate import Question
from tests.differential.live_data import live_series


@dataclass(frozen=True, slots=True)
class Named:
    """Why some questions (a pattern of their text) have another answer; explains: whether it is this difference."""

    pattern: re.Pattern[str]
    reason: str
    explains: Callable[[Question, Answer, Answer], bool]


def live_difference(ours: Answer, theirs: Answer) -> str:
    """What differs in the data; the words of errors changed since 2.42, and annotations came later."""
    if bool(ours.error) != bool(theirs.error) or ours.error.startswith("CRASH"):
        return f"error {ours.error!r} for {theirs.error!r}"
    return "" if ours.error else difference(_data(ours), _data(theirs))


def name_of(question: Question, ours: Answer, theirs: Answer) -> str:
    """The reason of a difference, an empty text where it has none."""
    found = (n.reason for n in NAMED if n.pattern.search(question.query) and n.explains(question, ours, theirs))
    return next(found, "")


def _data(answer: Answer) -> Answer:
    return Answer(answer.kind, answer.result, (), "")


def _nameless(answer: Answer) -> Answer:
    """Its series without their names."""
    result = [s | {"metric": {k: v for k, v in s["metric"].items() if k != "__name__"}} for s in answer.result]
    return Answer(answer.kind, result, (), "")


def _is_equal_but_for_names(_: Question, ours: Answer, theirs: Answer) -> bool:
    return not difference(_nameless(ours), _nameless(theirs))


DERIVATIVE = re.compile(r"^deriv\((\w+)\[(?:(\d+)m)?(?:(\d+)s)?\]\)$")


def _is_nearer_in_exact_arithmetic(question: Question, ours: Answer, theirs: Answer) -> bool:
    """Of one instant query for the derivative of a metric: no value of ours is farther from the truth than theirs."""
    found = DERIVATIVE.match(question.query)
    if found is None or question.step_ms or len(ours.result) != len(theirs.result):
        return False
    name, minutes, seconds = found.groups()
    window_ms = int(minutes or 0) * 60_000 + int(seconds or 0) * 1000
    wanted = {tuple(sorted(s["metric"].items())): float(s["value"][1]) for s in theirs.result}
    true = {
        tuple(sorted((k, v) for k, v in series.labels.items() if k != "__name__")): _slope(
            [(t, v) for t, v in series.samples.items() if question.start_ms - window_ms < t <= question.start_ms]
        )
        for series in live_series()
        if series.labels["__name__"] == name
    }
    return all(
        abs(Fraction(float(s["value"][1])) - true[key]) <= abs(Fraction(wanted[key]) - true[key])
        for s in ours.result
        for key in [tuple(sorted(s["metric"].items()))]
    )


def _slope(points: list[tuple[int, Any]]) -> Fraction:
    """Of the line through the points, by least squares; per second."""
    x, y = [Fraction(t, 1000) for t, _ in points], [Fraction(value) for _, value in points]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    covariance = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return Fraction(covariance / sum((a - mean_x) ** 2 for a in x))


NAMED = (
    Named(
        re.compile(r"\batan2\b"),
        "2.42 keeps the metric name of an atan2; 3.14 drops it, as all arithmetic does",
        _is_equal_but_for_names,
    ),
    Named(
        re.compile(r"\bderiv\b"),
        "the slope of values far from zero loses digits in both versions of Prometheus; ours is nearer the truth",
        _is_nearer_in_exact_arithmetic,
    ),
)
