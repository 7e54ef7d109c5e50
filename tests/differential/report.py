"""What the recorded questions cover, counted."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.differential.answers import Answer
from tests.differential.generate import (
    AGGREGATIONS,
    ARITHMETIC,
    COMPARISONS,
    ELEMENTWISE,
    NATIVE_FUNCTIONS,
    RANGE_FUNCTIONS,
    SELECTIONS,
    SETS,
    TRIMS,
    Question,
)

_WORDS = {
    *AGGREGATIONS, *SELECTIONS, *ELEMENTWISE, *RANGE_FUNCTIONS, *NATIVE_FUNCTIONS, *SETS, "atan2", "quantile",
    "quantile_over_time", "predict_linear", "double_exponential_smoothing", "label_replace", "label_join",
    "count_values", "limit_ratio", "histogram_quantile", "histogram_fraction", "sort_by_label", "absent", "vector",
    "scalar", "clamp", "clamp_min", "clamp_max", "info", "fill", "anchored", "smoothed", "time", "pi",
}  # fmt: skip
_OPERATORS = (*ARITHMETIC[:-1], *COMPARISONS, *TRIMS)
_NATIVE = re.compile(r"\b(nh|nhc|nhg|mix)\b|nh\.")


def report(pairs: Sequence[tuple[Question, Answer]]) -> dict[str, Any]:
    """Shares of all questions, and how often each function and operator has an answer that is not empty."""
    n = len(pairs)
    answered = [q.query for q, a in pairs if a.has_data]
    words: Counter[str] = Counter()
    for query in answered:
        found = {word for word in re.findall(r"\b[a-z_0-9]+\b", query) if word in _WORDS}
        found.update(op for op in _OPERATORS if f") {op}" in query)
        words.update(found)
    return {
        "questions": n,
        "with_data": round(len(answered) / n, 3),
        "native_histograms": round(sum(bool(_NATIVE.search(q.query)) for q, _ in pairs) / n, 3),
        "subqueries": round(sum(bool(re.search(r"\[[^\]]*:", q.query)) for q, _ in pairs) / n, 3),
        "at_or_offset": round(sum(bool(re.search(r" @ | offset ", q.query)) for q, _ in pairs) / n, 3),
        "errors": round(sum(bool(a.error) for _, a in pairs) / n, 3),
        "least": min(words.values()) if words.keys() == _WORDS | set(_OPERATORS) else 0,
        "missing": sorted((_WORDS | set(_OPERATORS)) - words.keys()),
        "answers": dict(sorted(words.items())),
    }


def text(found: dict[str, Any]) -> str:
    return json.dumps(found, indent=1) + "\n"
