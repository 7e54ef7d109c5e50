"""The build hook: the wheel carries the built web application, so that installing it needs no Node."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def _load_build_module(root: Path) -> ModuleType:
    """Loads ``athanor.ui.build`` by its path: the package itself needs dependencies that a build does not have."""
    import sys

    path = root / "src" / "athanor" / "ui" / "build.py"
    spec = importlib.util.spec_from_file_location("athanor_ui_build", path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


class WebUiBuildHook(BuildHookInterface[Any]):
    """Builds the web UI before the files of a wheel are collected; ``ATHANOR_SKIP_UI=1`` leaves it out."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node from PyPI for the build environment, where the machine has none."""
        module = _load_build_module(Path(self.root))
        if self._is_skipped(module) or module.is_current(Path(self.root) / "src" / "athanor" / "ui"):
            return []
        return [] if module.machine_tools() is not None else [module.NODE_WHEEL_RANGE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Runs before the build of a target; an editable install is one too (``version`` is then "editable")."""
        del version, build_data
        module = _load_build_module(Path(self.root))
        if self.target_name != "wheel" or self._is_skipped(module):
            return
        module.build(Path(self.root) / "src" / "athanor" / "ui", may_install=False)

    @staticmethod
    def _is_skipped(module: ModuleType) -> bool:
        return os.environ.get(module.SKIP_VARIABLE) == "1"
