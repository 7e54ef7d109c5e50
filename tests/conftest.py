"""Marks every test by its folder: unit, property or interop."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

LAYERS = ("unit", "property", "interop")
TESTS = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        try:
            layer = item.path.relative_to(TESTS).parts[0]
        except ValueError:
            continue
        if layer in LAYERS:
            item.add_marker(layer)


hypothesis.settings.register_profile("athanor", deadline=None, print_blob=True)
hypothesis.settings.load_profile("athanor")
