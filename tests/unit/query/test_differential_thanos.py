"""Recorded answers of Thanos 0.43 about two replicas are ours, with and without deduplication, annotations included."""

from __future__ import annotations

import json

import pytest

from athanor.promql.features import Features
from athanor.store.service import services
from tests.differential import thanos_recorded as recorded
from tests.differential.answers import Answer, difference
from tests.differential.thanos_data import write_bucket
from tests.differential.thanos_questions import RULES, ReplicaQuestion
from tests.unit.query.conftest import FIRST_MS, LAST_MS, LocalStore, Querier, open_gateway, open_querier

FEATURES = Features(experimental_functions=True, duration_expressions=False, since_3_10=False)


@pytest.fixture(scope="module")
def two_replicas(tmp_path_factory: pytest.TempPathFactory) -> Querier:
    directory = tmp_path_factory.mktemp("replicas")
    write_bucket(directory / "bucket")
    gateway = open_gateway(directory / "bucket", directory / "store")
    return open_querier([LocalStore(services(gateway, lambda: FIRST_MS, lambda: LAST_MS))], features=FEATURES)


def ask(querier: Querier, asked: ReplicaQuestion) -> Answer:
    return recorded.answer_of(json.loads(querier.ask("GET", asked.path, asked.params.items())[2]))


@pytest.mark.parametrize("deduplicate", [True, False])
def test_every_recorded_question_about_two_replicas_has_the_answer_of_thanos(deduplicate: bool, two_replicas: Querier):
    differences = []
    for question, wanted in recorded.read():
        if question.deduplicate != deduplicate:
            continue
        found = difference(ask(two_replicas, question), wanted)
        if found:
            differences.append(f"{question.question}: {found}")
    assert not differences, f"{len(differences)} differ:\n" + "\n".join(differences)


def test_the_questions_cover_both_ways_of_reading_and_the_language():
    pairs = recorded.read()
    found = recorded.counted(pairs)
    n_deduplicated = sum(question.deduplicate for question, _ in pairs)
    reported = json.loads(recorded.REPORT.read_text())
    left_out = reported.pop("left_out")
    assert found == reported
    assert sum(left_out[name] for name in RULES) <= 30
    assert found["questions"] >= 500
    assert n_deduplicated * 2 == found["questions"]
    assert found["with_data"] >= 0.8
    assert found["native_histograms"] >= 0.25
    assert found["about_external_labels"] >= 200
    assert found["with_notes"] >= 100
    assert found["least"] >= 3
    assert found["missing"] == ["</", ">/", "anchored", "fill", "smoothed"]  # newer than this Thanos
    assert recorded.FILE.stat().st_size < 1_500_000
