"""Our answers in the form of the recorded ones, and where the two differ."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from athanor.model.budget import Budget
from athanor.model.errors import AthanorError
from athanor.promql.engine import Engine, EngineOptions
from athanor.promql.features import Features
from athanor.query.json_result import result_pieces
from tests.conformance.memory_storage import MemoryStorage
from tests.differential.generate import Question

FEATURES = Features(
    experimental_functions=True, duration_expressions=True, extended_range_selectors=True, fill_modifiers=True
)
PARSE_PREFIX = 'invalid parameter "query": '
RELATIVE = 1e-12
BUDGET_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Answer:
    """error: an empty text where there is a result (kind, and the list or pair of the API); notes: sorted."""

    kind: str
    result: Any
    notes: tuple[str, ...]
    error: str

    @property
    def has_data(self) -> bool:
        return not self.error and bool(self.result)


def ask_engine(engine: Engine, storage: MemoryStorage, question: Question) -> Answer:
    try:
        with Budget(BUDGET_BYTES) as budget:
            if question.step_ms:
                window = question.start_ms, question.end_ms, question.step_ms
                result = engine.range(storage, question.query, *window, budget=budget)
            else:
                result = engine.instant(storage, question.query, question.start_ms, budget=budget)
            data = json.loads(b"".join(result_pieces(result)))
    except AthanorError as error:
        return Answer("", None, (), str(error).removeprefix(PARSE_PREFIX))
    except Exception as error:  # a defect of ours, which the comparison shows
        return Answer("", None, (), f"CRASH {error!r}")
    return Answer(result.type, data, tuple(sorted([*result.warnings, *result.infos])), "")


def new_engine() -> Engine:
    return Engine(EngineOptions(features=FEATURES), 2)


def difference(ours: Answer, theirs: Answer) -> str:
    """What differs, an empty text where nothing does; the order of series does not count."""
    if ours.error != theirs.error:
        return f"error {ours.error!r} for {theirs.error!r}"
    if ours.error:
        return ""
    if ours.kind != theirs.kind:
        return f"a {ours.kind} for a {theirs.kind}"
    if not equal(_ordered(ours.result), _ordered(theirs.result)):
        return f"{json.dumps(_ordered(ours.result))[:600]} for {json.dumps(_ordered(theirs.result))[:600]}"
    if ours.notes != theirs.notes:
        return f"{ours.notes} for {theirs.notes}"
    return ""


def _ordered(result: Any) -> Any:
    if isinstance(result, list) and result and isinstance(result[0], dict):
        return sorted(result, key=lambda series: json.dumps(series["metric"], sort_keys=True))
    return result


def equal(a: Any, b: Any) -> bool:
    """Equal texts, or numbers within the tolerance."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(equal, a, b))
    if a == b:
        return True
    try:
        return math.isclose(float(a), float(b), rel_tol=RELATIVE, abs_tol=1e-300)
    except (TypeError, ValueError):
        return False
