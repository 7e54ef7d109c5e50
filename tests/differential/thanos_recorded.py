"""The questions that Thanos was asked, with and without deduplication, and its answers: a JSON text a line, by xz."""

from __future__ import annotations

import json
import lzma
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.differential.answers import Answer
from tests.differential.generate import Question, questions
from tests.differential.report import report, text

FILE = Path(__file__).parents[1] / "golden/differential_thanos/thanos-0.43.jsonl.xz"
REPORT = FILE.with_name("report.json")
SEED = 430


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


def shuffled() -> Iterator[ReplicaQuestion]:
    """All questions of the generator in an order of their own, every second one with deduplication."""
    found = questions()
    random.Random(SEED).shuffle(found)
    for number, question in enumerate(found):
        yield ReplicaQuestion(question, number % 2 == 0)


def answer_of(body: dict[str, Any]) -> Answer:
    """An answer of the HTTP API; an error with its kind."""
    if body["status"] == "error":
        return Answer("", None, (), f"{body['errorType']}: {body['error']}")
    data = body["data"]
    notes = sorted([*body.get("warnings", ()), *body.get("infos", ())])
    return Answer(data["resultType"], data["result"], tuple(notes), "")


Pair = tuple[ReplicaQuestion, Answer]


def read() -> list[Pair]:
    found = []
    for line in lzma.decompress(FILE.read_bytes()).decode().splitlines():
        query, start, end, step, deduplicate, kind, result, notes, error = json.loads(line)
        question = ReplicaQuestion(Question(query, start, end, step), bool(deduplicate))
        found.append((question, Answer(kind, result, tuple(notes), error)))
    return found


def write(pairs: Iterable[Pair]) -> None:
    lines = []
    for asked, a in pairs:
        q = asked.question
        when = q.start_ms, q.end_ms, q.step_ms, int(asked.deduplicate)
        lines.append(json.dumps((q.query, *when, a.kind, a.result, a.notes, a.error), separators=(",", ":")))
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_bytes(lzma.compress("\n".join(lines).encode(), preset=9))


def counted(pairs: Sequence[Pair]) -> dict[str, Any]:
    """What the questions cover."""
    found = report([(asked.question, answer) for asked, answer in pairs])
    kinds: Counter[str] = Counter()
    for asked, _ in pairs:
        kinds["deduplicated" if asked.deduplicate else "not deduplicated"] += 1
        kinds["range" if asked.question.step_ms else "instant"] += 1
    with_notes = sum(bool(answer.notes) for _, answer in pairs)
    return {"kinds": dict(sorted(kinds.items())), "with_notes": with_notes, **found}


def write_report(pairs: Sequence[Pair]) -> str:
    """Returns what of it is worth a look."""
    found = counted(pairs)
    REPORT.write_text(text(found))
    return text({key: value for key, value in found.items() if key != "answers"})
