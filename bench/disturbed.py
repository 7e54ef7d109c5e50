"""The ``athanor`` command with a busy neighbour: another thread of the process serves /metrics and parses JSON.

    python -m bench.disturbed query --http-address=...

The thread asks the process itself for its metrics, over HTTP, and then parses a JSON document, again and again: with a
pause of ATHANOR_BENCH_PAUSE_S seconds between, or without any.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import urllib.request

from athanor.serve.main import main

DOCUMENT = json.dumps([{"name": f"series_{i}", "values": [[i, str(i / 7)]] * 5} for i in range(500)])
START_AFTER_S = 0.5
PAUSE_S = float(os.environ.get("ATHANOR_BENCH_PAUSE_S", "0"))


def disturb(address: str) -> None:
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
                answer.read()
        except OSError:
            time.sleep(START_AFTER_S)  # not listening yet, or no more
        json.loads(DOCUMENT)
        if PAUSE_S:
            time.sleep(PAUSE_S)


if __name__ == "__main__":
    flag = "--http-address="
    address = next(word.removeprefix(flag) for word in sys.argv if word.startswith(flag))
    threading.Thread(target=disturb, args=(address,), daemon=True, name="disturber").start()
    sys.exit(main())
