"""The questions that Thanos was asked, with and without deduplication, and its answers: a JSON text a line, by xz."""

from __future__ import annotations

import json
import lzma
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.differential.answers import Answer
from tests.differential.generate import Question
from tests.differential.report import report, text
from tests.differential.thanos_questions import ReplicaQuestion

FILE = Path(__file__).parents[1] / "golden/differential_thanos/thanos-0.43.jsonl.xz"
REPORT = FILE.with_name("report.json")


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
    """What the questions cover; least: of the functions and operators that this version has."""
    found = report([(asked.question, answer) for asked, answer in pairs])
    found["least"] = min(found["answers"].values())
    kinds: Counter[str] = Counter()
    for asked, _ in pairs:
        kinds["deduplicated" if asked.deduplicate else "not deduplicated"] += 1
        kinds["range" if asked.question.step_ms else "instant"] += 1
    about_external = sum(bool(re.search(r"\b(replica|cluster)\b", asked.question.query)) for asked, _ in pairs)
    with_notes = sum(bool(answer.notes) for _, answer in pairs)
    return {
        "kinds": dict(sorted(kinds.items())), "with_notes": with_notes, "about_external_labels": about_external, **found
    }  # fmt: skip


def write_report(pairs: Sequence[Pair], left_out: Mapping[str, int]) -> str:
    """left_out: how many questions are not kept, by rule. Returns what is worth a look."""
    found = {"left_out": dict(left_out), **counted(pairs)}
    REPORT.write_text(text(found))
    return text({key: value for key, value in found.items() if key != "answers"})
