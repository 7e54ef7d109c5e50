"""The recorded questions and answers: one JSON text a line, packed with xz."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterable
from pathlib import Path

from tests.differential.answers import Answer
from tests.differential.generate import Question

FILE = Path(__file__).parents[1] / "golden/differential/prometheus-3.14.jsonl.xz"
REPORT = FILE.with_name("report.json")


def read() -> list[tuple[Question, Answer]]:
    found = []
    for line in lzma.decompress(FILE.read_bytes()).decode().splitlines():
        query, start, end, step, kind, result, notes, error = json.loads(line)
        found.append((Question(query, start, end, step), Answer(kind, result, tuple(notes), error)))
    return found


def write(pairs: Iterable[tuple[Question, Answer]]) -> None:
    lines = []
    for q, a in pairs:
        fields = (q.query, q.start_ms, q.end_ms, q.step_ms, a.kind, a.result, a.notes, a.error)
        lines.append(json.dumps(fields, separators=(",", ":")))
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_bytes(lzma.compress("\n".join(lines).encode(), preset=9))
