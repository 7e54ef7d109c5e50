from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

# The plain reference lies beside the tests; importlib mode does not put their folder on the path.
_spec = importlib.util.spec_from_file_location("xor_reference", Path(__file__).parent / "xor_reference.py")
assert _spec is not None and _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["xor_reference"] = _module
_spec.loader.exec_module(_module)
