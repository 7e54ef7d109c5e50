"""The TypeScript side: its types and its unit tests (URL contract, numbers, times, answers, reduction)."""

from __future__ import annotations

import os
import subprocess

import pytest

from athanor.ui import build

WEB = build.UI_DIR / "web"


@pytest.mark.parametrize("script", ["check", "test"])
def test_types_and_unit_tests_pass(script):
    if not (WEB / "node_modules").is_dir():
        pytest.skip("no node_modules: run 'python -m athanor.ui.build'")
    try:
        tools = build.find_tools(may_install=False)
    except build.UiBuildError as error:
        pytest.skip(str(error))
    environment = {**os.environ, "PATH": tools.path_entry + os.pathsep + os.environ.get("PATH", ""), "CI": "1"}
    result = subprocess.run(
        [*tools.npm, "run", script, "--silent"], cwd=WEB, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
