"""Every kernel that Python calls has a row in the benchmark of kernels; the others are parts of these."""

from __future__ import annotations

import importlib
import re
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from athanor.kernel.compile import module_path
from athanor.kernel.warm import kernel_modules

BENCH = Path(__file__).parents[2] / "bench"
KERNEL = re.compile(r"^@(?:short_)?kernel\((?:.*\n)*?def (\w+)", re.MULTILINE)


def test_the_benchmark_calls_every_kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.syspath_prepend(str(BENCH))
    rows = importlib.import_module("kernels").all_rows(tmp_path, 2_000)
    called: set[tuple[str, str]] = set()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.endswith("kernels.py"):
            called.add((frame.f_code.co_filename, frame.f_code.co_name))

    before = sys.getprofile()
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        for row in rows:
            row.work()
    finally:
        sys.setprofile(before)
        threading.setprofile(None)  # type: ignore[arg-type]
    sources = {name: module_path(name).read_text() for name in kernel_modules()}
    everything = "\n".join(sources.values())
    missing = [
        f"{name}.{kernel}"
        for name, source in sources.items()
        for kernel in KERNEL.findall(source)
        if (str(module_path(name)), kernel) not in called and not re.search(rf"(?<!def )\b{kernel}\(", everything)
    ]
    assert len(called) > 100
    assert not missing, " ".join(missing)
