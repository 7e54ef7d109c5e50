"""Kernel modules that most processes never need, loaded at their first use.

A loaded module costs memory for good (native histograms: 45 MB), and time at every start. Loading later is still only
loading: servers warm every kernel of their role before they start, and `forbid_compiling` holds for these as well.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from athanor.kernel.release import drop_compiler_pages


class LazyKernels:
    """Stands for a kernel module; any attribute loads it. Threads that come together load it once.

    Pages of the compiler that loading brought back are dropped again.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        module = sys.modules.get(self._name)
        if module is None or module.__spec__ is None or getattr(module.__spec__, "_initializing", False):
            module = importlib.import_module(self._name)
            drop_compiler_pages()
        return getattr(module, attribute)
