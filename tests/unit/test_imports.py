"""The import-direction test: packages import only what stands below them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import athanor

ROOT = Path(athanor.__file__).parent
ORDER = [
    "model",
    "kernel",
    "chunk",
    "bucket",
    "block",
    "head",
    "promql",
    "storeapi",
    "ship",
    "sidecar store query frontend receive rule compact",
    "ui",
    "serve",
]
RANK = {name: level for level, names in enumerate(ORDER) for name in names.split()}


def imported_modules(path: Path) -> Iterator[str]:
    """Absolute names of the modules that a file imports, wherever the import statement stands."""
    package = ("athanor", *path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += node.module.split(".") if node.module else []
            yield ".".join(base)
            yield from (".".join([*base, alias.name]) for alias in node.names)


def package_imports() -> Iterator[tuple[str, str, Path]]:
    """(importing package, imported package, file), for files inside a package of ours."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).parts
        if len(parts) == 1:
            continue
        for name in imported_modules(path):
            words = name.split(".")
            if words[0] == "athanor" and len(words) > 1 and (ROOT / words[1]).is_dir():
                yield parts[0], words[1], path


def test_every_package_has_a_place_in_the_order():
    packages = {path.name for path in ROOT.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    packages.discard("__pycache__")
    assert packages <= RANK.keys()


def test_imports_point_down():
    upward = sorted(
        {f"{path.relative_to(ROOT)}: {a} -> {b}" for a, b, path in package_imports() if a != b and RANK[b] >= RANK[a]}
    )
    assert not upward, f"these imports point up or sideways: {upward}"
