"""Prometheus' own engine scripts: every evaluation passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from athanor.promql import rows
from tests.conformance.run import run_file
from tests.conformance.script import conformance_dir, script_files

EVALUATIONS = 1_584

pytestmark = pytest.mark.skipif(
    not conformance_dir().exists(), reason=f"no scripts at {conformance_dir()}; set ATHANOR_CONFORMANCE to their folder"
)
PASSED: dict[str, int] = {}


@pytest.mark.parametrize("path", script_files() if conformance_dir().exists() else [], ids=lambda p: p.stem)
def test_no_evaluation_of_the_script_is_wrong(path: Path) -> None:
    outcomes = run_file(path)
    assert [f"{o.line}: {o.wrong}" for o in outcomes if o.wrong] == []


def test_every_evaluation_passes_whatever_the_size_of_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "INLINE_SAMPLES", 0)  # in worker threads, as large tiles
    outcomes = [o for path in script_files() for o in run_file(path, tile_size=3)]
    assert [f"{o.line}: {o}" for o in outcomes if not o.passed] == []
    assert len(outcomes) == EVALUATIONS
