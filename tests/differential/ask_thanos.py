"""Asks a Thanos of version 0.43 about two replicas and records its answers; needed only when questions or data change.

    python -m tests.differential.ask_thanos path/to/thanos

A question that it answers now this way and now another is not kept, nor are answers without data beyond their share.
"""

from __future__ import annotations

import http.client
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from bench.servers import listen
from demo.processes import Process, free_ports
from tests.differential import thanos_recorded as recorded
from tests.differential.answers import Answer, difference
from tests.differential.thanos_data import write_bucket
from tests.differential.thanos_questions import RULES, ReplicaQuestion, replica_questions, rule_for
from tests.differential.thanos_recorded import Pair

EACH = 1_000  # with deduplication and without
AGAIN = 5
MOST_EMPTY, MOST_ERRORS = 0.08, 0.08
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CHANGING = "the answer changes"
FEATURES = "promql-experimental-functions"


@contextmanager
def thanos(program: str, directory: Path) -> Iterator[int]:
    """The port of a query over a store over the bucket."""
    bucket = directory / "bucket"
    write_bucket(bucket)
    store_http, store_grpc, http_port, grpc_port = free_ports(4)
    config = f"{{type: FILESYSTEM, config: {{directory: {json.dumps(str(bucket))}}}}}"
    started: list[Process] = []

    def start(name: str, port: int, *arguments: str) -> None:
        started.append(Process(name, [program, name, *arguments], directory / f"{name}.log"))
        started[-1].wait_until_ready(f"http://127.0.0.1:{port}/-/ready")

    try:
        store = listen(store_http, store_grpc)
        start("store", store_http, f"--data-dir={directory}/store", f"--objstore.config={config}", *store)
        start(
            "query", http_port, f"--endpoint=127.0.0.1:{store_grpc}", "--query.replica-label=replica",
            "--query.promql-engine=prometheus", f"--enable-feature={FEATURES}", *listen(http_port, grpc_port),
        )  # fmt: skip
        yield http_port
    finally:
        for process in reversed(started):
            process.stop()


def ask(connection: http.client.HTTPConnection, asked: ReplicaQuestion) -> Answer:
    connection.request("POST", asked.path, urlencode(asked.params), FORM)
    return recorded.answer_of(json.loads(connection.getresponse().read()))


def asked_pairs(connection: http.client.HTTPConnection) -> tuple[list[Pair], dict[str, int]]:
    """As many of both kinds as wanted, in the order of the questions; and how many are left out, by rule."""
    kept: list[Pair] = []
    n: Counter[tuple[bool, str]] = Counter()
    most = {"error": int(EACH * MOST_ERRORS), "empty": int(EACH * MOST_EMPTY)}
    left_out = dict.fromkeys([CHANGING, *RULES], 0)
    for question in replica_questions():
        deduplicate = question.deduplicate
        if n[deduplicate, "all"] == EACH:
            continue
        answer = ask(connection, question)
        rule = rule_for(question, answer)
        kind = "error" if answer.error else "data" if answer.has_data else "empty"
        if not rule and n[deduplicate, kind] == most.get(kind):
            continue
        if not rule and any(difference(ask(connection, question), answer) for _ in range(AGAIN)):
            rule = CHANGING
        if rule:
            left_out[rule] += 1
            continue
        n.update([(deduplicate, kind), (deduplicate, "all")])
        kept.append((question, answer))
    return kept, left_out


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, thanos(sys.argv[1], Path(directory)) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            pairs, left_out = asked_pairs(connection)
        finally:
            connection.close()
    recorded.write(pairs)
    print(recorded.write_report(pairs, left_out))
    print(f"{len(pairs)} kept, {recorded.FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
