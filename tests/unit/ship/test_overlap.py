from __future__ import annotations

import json
from pathlib import Path

import pytest

from athanor.block.meta import BlockMeta
from athanor.ship.overlap import find_overlaps

CASES = json.loads((Path(__file__).parents[2] / "golden/ship/05_overlapping_blocks.json").read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_overlaps_are_those_of_prometheus(case):
    metas = [BlockMeta(f"{i:026d}", first, end) for i, (first, end) in enumerate(case["blocks"])]
    found = [
        {"min": o.first_ms, "max": o.end_ms, "blocks": [[b.first_ms, b.end_ms] for b in o.blocks]}
        for o in find_overlaps(metas)
    ]
    assert found == case["expected"]
