"""Compiles every kernel ahead of use, modules in parallel: ``athanor kernels warm``.

A process that has compiled stays about 100 MB bigger, so servers never compile: they call ``ensure_warm``, which runs
this module as a child when something is missing, and then load from the cache.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

import athanor
from athanor.kernel import compile as compiling
from athanor.model.errors import OperatorError


def kernel_modules() -> tuple[str, ...]:
    """Every kernel module of the package, sorted."""
    root = Path(athanor.__file__).parent
    names = []
    for path in root.rglob("*kernels.py"):
        parts = ("athanor", *path.relative_to(root).with_suffix("").parts)
        if compiling.is_kernel_module(".".join(parts)):
            names.append(".".join(parts))
    return tuple(sorted(names))


def _with_imports(names: Iterable[str]) -> tuple[str, ...]:
    wanted: set[str] = set()
    for name in names:
        wanted.add(name)
        wanted.update(compiling.transitive_imports(name))
    return tuple(sorted(wanted))


def missing_modules(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in _with_imports(names) if not compiling.is_warm(name))


def _load_one(name: str) -> None:
    importlib.import_module(name)
    # A module of @inline helpers alone has compiled nothing, and is complete all the same.
    compiling.module_dir(name).mkdir(mode=0o700, parents=True, exist_ok=True)
    compiling.mark_complete(name)


def warm(names: Iterable[str], workers: int, out: TextIO | None) -> float:
    """Compile what is missing, each module in a process of its own, imported modules first. Returns the seconds."""
    start = time.monotonic()
    pending = list(missing_modules(names))
    total, done = len(pending), 0
    running: dict[str, subprocess.Popen[bytes]] = {}
    unfinished = set(pending)
    while pending or running:
        for name in list(pending):
            waits = any(other in unfinished for other in compiling.transitive_imports(name))
            if len(running) < workers and not waits:
                pending.remove(name)
                running[name] = subprocess.Popen([sys.executable, "-m", "athanor.kernel.warm", "--one", name])
        _progress(out, done, total, sorted(running), start)
        time.sleep(0.02)
        for name, process in list(running.items()):
            status = process.poll()
            if status is None:
                continue
            del running[name]
            if status != 0:
                for other in running.values():
                    other.kill()
                raise OperatorError(
                    f"compiling the kernels of {name} failed with exit code {status}; its output is above"
                )
            unfinished.discard(name)
            done += 1
    _progress(out, done, total, [], start)
    if out is not None:
        print(f"\r\x1b[K{total} kernel modules compiled in {time.monotonic() - start:.1f} s", file=out)
    return time.monotonic() - start


def _progress(out: TextIO | None, done: int, total: int, running: list[str], start: float) -> None:
    if out is None or not total or not out.isatty():
        return
    width = 30
    filled = width * done // total
    names = " ".join(name.removeprefix("athanor.") for name in running)
    bar = "█" * filled + "·" * (width - filled)
    print(
        f"\r\x1b[K{bar} {done}/{total} {time.monotonic() - start:4.0f} s  {names}"[:120], end="", file=out, flush=True
    )


def remove_stale() -> int:
    """Remove cache directories of older keys. Returns how many. Other bounds-check modes are told apart by key only."""
    root = compiling.cache_root()
    if not root.exists():
        return 0
    keep = {compiling.module_key(name) for name in kernel_modules()}
    stale = [path for path in root.iterdir() if path.is_dir() and path.name not in keep]
    for path in stale:
        shutil.rmtree(path, ignore_errors=True)
    return len(stale)


def ensure_warm(names: Iterable[str]) -> None:
    """Make these modules loadable without compiling, in a child process where something is missing."""
    wanted = tuple(names)
    if missing_modules(wanted):
        command = [sys.executable, "-m", "athanor.kernel.warm", *wanted]
        status = subprocess.run(command, check=False).returncode
        if status != 0:
            raise OperatorError(
                f"compiling kernels failed with exit code {status}: run 'athanor kernels warm' to see why"
            )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="athanor kernels warm", description="Compile every kernel ahead of use.")
    parser.add_argument("modules", nargs="*", help="kernel modules; default: all")
    parser.add_argument("--one", metavar="MODULE", help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep-stale", action="store_true", help="do not remove directories of older keys")
    options = parser.parse_args(arguments)
    if options.one:
        _load_one(options.one)
        return 0
    warm(options.modules or kernel_modules(), options.workers, sys.stderr)
    if not options.keep_stale and not options.modules:
        remove_stale()
    return 0


if __name__ == "__main__":
    sys.exit(main())
