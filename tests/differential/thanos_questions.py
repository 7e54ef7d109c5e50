"""What Thanos is asked: questions of the generator, some about external labels, with and without deduplication."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tests.differential.answers import Answer
from tests.differential.generate import Question, questions

SEED = 430
EXTERNAL = 0.35  # of the questions name an external label
CONDITIONS = ('replica="a"', 'replica=~"a|b"', 'replica!="a"', 'cluster="one"', 'cluster!=""', 'replica=""')

# differs: each names what the original does wrong; such questions are counted, and not kept.
_MAD = re.compile(r"mad_over_time\((?!(c_total|lat_bucket|w)\b)")
_CRASH = "execution: unexpected error: runtime error: index out of range"
RULES: dict[str, Callable[[str, Answer], bool]] = {
    # The library of Prometheus 3.9.1 leaves NaN out of deviations; mended later (prometheus/prometheus#19040).
    "mad_over_time of what may be NaN": lambda query, answer: _MAD.search(query) is not None,
    # With a subquery whose @ makes it constant, the library looks for a parameter that is not there.
    "the original crashes": lambda query, answer: answer.error.startswith(_CRASH),
}

_NAME = re.compile(r"(?<![\w\"|.])(c_total|nhc|nhg|mix|nh|g|w|lat_bucket)\b(?!\"|\||\()(\{)?")
_GROUPED = re.compile(r"\b(by|without|on) ?\((job|instance)\b")


@dataclass(frozen=True, slots=True)
class ReplicaQuestion:
    """deduplicate: the parameter ``dedup``."""

    question: Question
    deduplicate: bool

    @property
    def path(self) -> str:
        return "/api/v1/query_range" if self.question.step_ms else "/api/v1/query"

    @property
    def params(self) -> dict[str, str]:
        q = self.question
        asked = {"query": q.query, "dedup": "true" if self.deduplicate else "false"}
        if not q.step_ms:
            return {**asked, "time": _seconds(q.start_ms)}
        return {**asked, "start": _seconds(q.start_ms), "end": _seconds(q.end_ms), "step": _seconds(q.step_ms)}


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.3f}"


def replica_questions() -> Iterator[ReplicaQuestion]:
    """All of them in an order of their own, every second one with deduplication."""
    found, rng = questions(), random.Random(SEED)
    rng.shuffle(found)
    for number, question in enumerate(found):
        if rng.random() < EXTERNAL:
            yield ReplicaQuestion(replace(question, query=_external(question.query, rng)), number % 2 == 0)
        else:
            yield ReplicaQuestion(question, number % 2 == 0)


def rule_for(asked: ReplicaQuestion, answer: Answer) -> str:
    """The rule by which the question is not kept, an empty text without one."""
    return next((name for name, applies in RULES.items() if applies(asked.question.query, answer)), "")


def _external(query: str, rng: random.Random) -> str:
    """The query with conditions on external labels, or grouped and matched by the replica."""

    def condition(found: re.Match[str]) -> str:
        if rng.random() < 0.4:
            return found[0]
        text = rng.choice(
            ('replica="a"', 'replica=~"a|b"', 'replica!="a"', 'cluster="one"', 'cluster!=""', 'replica=""')
        )
        return f"{found[1]}{{{text}," if found[2] else f"{found[1]}{{{text}}}"

    if rng.random() < 0.5:
        grouped = _GROUPED.sub(lambda found: f"{found[1]} (replica, {found[2]}", query)
        if grouped != query:
            return grouped
    return _NAME.sub(condition, query)
