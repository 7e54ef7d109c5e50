"""More than a thousand answers of Debian's Prometheus 2.42 over the same floats are ours, asked while the test runs."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo import programs
from tests.differential.answers import Answer, ask_engine, new_engine
from tests.differential.generate import Question
from tests.differential.live import VERSION, running, version
from tests.differential.live_data import live_storage
from tests.differential.live_differences import NAMED, live_difference, name_of
from tests.differential.live_questions import WORDS, live_questions

LEAST_QUESTIONS, LEAST_ANSWERS, MOST_NAMED = 1_000, 8, 15
WORD = re.compile(r"[a-z_0-9]+|[<>=!]=|[-+*/%^<>]")


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and both answers."""

    question: Question
    ours: Answer
    theirs: Answer


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    program = programs.find("prometheus")
    if program is None:
        pytest.skip(programs.how_to_get("prometheus"))
    if not version(program).startswith(VERSION):
        pytest.skip(f"{program} is {version(program)}; the differences that have a name are those of {VERSION}x")
    directory: Path = tmp_path_factory.mktemp("prometheus")
    engine, storage = new_engine(), live_storage()
    with running(program, directory) as prometheus:
        return [
            Pair(question, ask_engine(engine, storage, question), prometheus.ask(question))
            for question in live_questions()
        ]


def test_every_answer_is_that_of_prometheus_or_differs_for_a_reason_that_has_a_name(pairs: list[Pair]):
    unnamed, named = [], Counter[str]()
    for pair in pairs:
        found = live_difference(pair.ours, pair.theirs)
        if found:
            reason = name_of(pair.question, pair.ours, pair.theirs)
            named.update([reason] if reason else [])
            unnamed += [] if reason else [f"{pair.question}: {found}"]
    print(f"{len(pairs)} questions, differences by name: {dict(named)}")
    assert not unnamed, f"{len(unnamed)} of {len(pairs)} differ:\n" + "\n".join(unnamed)
    assert len(NAMED) <= MOST_NAMED
    assert {n.reason for n in NAMED} == named.keys(), "a name without a difference has no place in the table"


def test_the_questions_cover_what_both_know(pairs: list[Pair]):
    assert len(pairs) >= LEAST_QUESTIONS
    answered = [pair.question.query for pair in pairs if pair.theirs.has_data]
    assert len(answered) >= 0.8 * len(pairs)
    assert sum(bool(pair.theirs.error) for pair in pairs) <= 0.05 * len(pairs)
    words = Counter(word for query in answered for word in set(WORD.findall(query)) & WORDS)
    assert {word: words[word] for word in WORDS if words[word] < LEAST_ANSWERS} == {}
