from __future__ import annotations

import sys
from pathlib import Path

# Plain references and helpers lie beside the tests; importlib mode does not put their folders on the path.
for folder in ("block", "chunk"):
    path = str(Path(__file__).parents[1] / folder)
    if path not in sys.path:
        sys.path.insert(0, path)
