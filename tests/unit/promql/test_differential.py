"""More than five thousand recorded answers of Prometheus 3.14 are ours, annotations and errors included."""

from __future__ import annotations

import json

import pytest

from tests.differential import recorded
from tests.differential.answers import ask_engine, difference, new_engine
from tests.differential.data import storage
from tests.differential.report import report

PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_every_recorded_question_has_the_answer_of_the_original(part: int):
    engine, target = new_engine(), storage()
    differences = []
    for question, wanted in recorded.read()[part::PARTS]:
        found = difference(ask_engine(engine, target, question), wanted)
        if found:
            differences.append(f"{question}: {found}")
    assert not differences, "\n".join(differences)


def test_the_questions_cover_the_language():
    pairs = recorded.read()
    found = report(pairs)
    assert found == json.loads(recorded.REPORT.read_text())
    assert found["questions"] >= 5_000
    assert found["with_data"] >= 0.8
    assert found["native_histograms"] >= 0.3
    assert found["subqueries"] >= 0.2
    assert found["at_or_offset"] >= 0.2
    assert found["errors"] >= 0.1
    assert found["least"] >= 20
    assert found["missing"] == []
