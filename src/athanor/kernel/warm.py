"""Compiles every kernel ahead of use, modules in parallel: ``athanor kernels warm``.

A process that has compiled stays about 100 MB bigger, so servers never compile: they call ``ensure_warm``, which runs
this module as a child when something is missing, and then load from the cache.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import select
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


def _load(name: str) -> None:
    importlib.import_module(name)
    # A module of @inline helpers alone has compiled nothing, and is complete all the same.
    compiling.module_dir(name).mkdir(mode=0o700, parents=True, exist_ok=True)
    compiling.mark_complete(name)


def _work() -> None:
    """A worker: names of modules on its standard input, the same names back when they are compiled."""
    for line in sys.stdin:
        _load(line.strip())
        print(line.strip(), flush=True)


class _Worker:
    """A process that compiles one module after the other, so that it starts, and compiles shared helpers, once."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "athanor.kernel.warm", "--work"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.module = self.finished = ""
        self.known: set[str] = set()

    def start(self, name: str) -> None:
        self.module = name
        self.known.update((name, *compiling.transitive_imports(name)))
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: is_done tells how
            self.process.stdin.write(name + "\n")
            self.process.stdin.flush()

    def affinity(self, name: str) -> tuple[int, int]:
        """Helpers known already come first, then large modules."""
        imports = compiling.transitive_imports(name)
        return len(self.known.intersection(imports)), compiling.module_path(name).stat().st_size

    def is_done(self) -> bool:
        """Whether the module is compiled; raises OperatorError where the process has ended without it."""
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], 0)[0]:
            return False
        if self.process.stdout.readline().strip() != self.module:
            status = self.process.wait()
            raise OperatorError(
                f"compiling the kernels of {self.module} failed with exit code {status}; its output is above"
            )
        self.module, self.finished = "", self.module
        return True

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


def warm(names: Iterable[str], workers: int, out: TextIO | None) -> float:
    """Compile what is missing in some processes, imported modules first. Returns the seconds."""
    start = time.monotonic()
    pending = list(missing_modules(names))
    unfinished = set(pending)
    total = len(pending)
    pool: list[_Worker] = []
    try:
        pool.extend(_Worker() for _ in range(min(workers, total)))
        while unfinished:
            for worker in pool:
                if worker.module and worker.is_done():
                    unfinished.discard(worker.finished)
                ready = [n for n in pending if unfinished.isdisjoint(compiling.transitive_imports(n))]
                if not worker.module and ready:
                    name = max(ready, key=worker.affinity)
                    pending.remove(name)
                    worker.start(name)
            _progress(out, total - len(unfinished), total, sorted(w.module for w in pool if w.module), start)
            time.sleep(0.02)
    finally:
        for worker in pool:
            worker.stop()
    _progress(out, total, total, [], start)
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
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep-stale", action="store_true", help="do not remove directories of older keys")
    options = parser.parse_args(arguments)
    if options.work:
        _work()
        return 0
    warm(options.modules or kernel_modules(), options.workers, sys.stderr)
    if not options.keep_stale and not options.modules:
        remove_stale()
    return 0


if __name__ == "__main__":
    sys.exit(main())
