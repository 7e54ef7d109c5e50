"""The manual leads somewhere: its links, its make targets, its promise about CI."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_files(page: Path):
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_that_a_page_names_exist(page: Path):
    assert set(re.findall(r"(?<![\w-])make ([a-z][a-z-]+)\b(?=[`\n ]*(?:#|`|\n))", page.read_text())) <= targets()


def test_ci_runs_what_the_readme_explains():
    commands = re.findall(r"^make [a-z-]+$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert "make test" in commands
    readme = (ROOT / "README.md").read_text()
    assert [command for command in commands if command not in readme] == []
