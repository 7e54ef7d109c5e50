"""Asks a Prometheus of version 3.14 all questions and records its answers; needed only when questions change.

    python -m tests.differential.ask path/to/prometheus

Questions without data beyond one in eight, and errors beyond the wanted share, are not kept.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import cramjam

from tests.conformance.values import Histogram
from tests.differential import recorded
from tests.differential.answers import PARSE_PREFIX, Answer, ask_engine, difference, new_engine
from tests.differential.data import Series, all_series, storage
from tests.differential.generate import Question, questions
from tests.differential.remote_write import write_request
from tests.differential.report import report, text

FLAGS = "promql-experimental-functions,promql-duration-expr,promql-extended-range-selectors,promql-binop-fill-modifiers"
AGAIN = 5
MOST_EMPTY, MOST_ERRORS = 0.08, 0.11
CONFIG = "global: {scrape_interval: 1h}\nstorage: {tsdb: {out_of_order_time_window: 0s}}\n"


def parts(series: list[Series]) -> Iterator[list[Series]]:
    """The same data in requests whose samples ascend in time where a series changes its kind."""
    runs: list[list[Series]] = []
    for one in series:
        pieces: list[dict[int, float | Histogram]] = []
        last: type | None = None
        for at_ms, value in sorted(one.samples.items()):
            if type(value) is not last:
                pieces.append({})
                last = type(value)
            pieces[-1][at_ms] = value
        for number, piece in enumerate(pieces):
            while len(runs) <= number:
                runs.append([])
            runs[number].append(Series(one.labels, piece))
    yield from runs


def start(program: str, directory: Path) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (directory / "prometheus.yml").write_text(CONFIG)
    command = [
        program, f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data",
        f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver", f"--enable-feature={FLAGS}",
        "--storage.tsdb.retention.time=100y", "--log.level=error",
    ]  # fmt: skip
    process = subprocess.Popen(command)
    url = f"http://127.0.0.1:{port}"
    for _ in range(200):
        try:
            urllib.request.urlopen(f"{url}/-/ready").read()
            return process, url
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server does not become ready")


def load(url: str) -> None:
    for part in parts(all_series()):
        body = bytes(cramjam.snappy.compress_raw(write_request(part)))
        request = urllib.request.Request(f"{url}/api/v1/write", body, method="POST")
        request.add_header("Content-Encoding", "snappy")
        request.add_header("Content-Type", "application/x-protobuf")
        request.add_header("X-Prometheus-Remote-Write-Version", "0.1.0")
        urllib.request.urlopen(request).read()


def ask(url: str, question: Question) -> Answer:
    path, params = "query", {"query": question.query, "time": f"{question.start_ms / 1000:.3f}"}
    if question.step_ms:
        path = "query_range"
        params = {
            "query": question.query, "start": f"{question.start_ms / 1000:.3f}",
            "end": f"{question.end_ms / 1000:.3f}", "step": f"{question.step_ms / 1000:.3f}",
        }  # fmt: skip
    try:
        with urllib.request.urlopen(f"{url}/api/v1/{path}?{urllib.parse.urlencode(params)}") as answer:
            body = json.load(answer)
    except urllib.error.HTTPError as error:
        body = json.load(error)
        return Answer("", None, (), body["error"].removeprefix(PARSE_PREFIX))
    notes = sorted([*body.get("warnings", ()), *body.get("infos", ())])
    return Answer(body["data"]["resultType"], body["data"]["result"], tuple(notes), "")


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        process, url = start(sys.argv[1], Path(directory))
        try:
            load(url)
            asked = [(question, ask(url, question)) for question in questions()]
            # Ties are broken by the order of a map in the original: what it answers one way or another is not asked.
            pairs = [(q, a) for q, a in asked if all(not difference(ask(url, q), a) for _ in range(AGAIN))]
        finally:
            process.kill()
            process.wait()
    record(pairs)


def record(pairs: list[tuple[Question, Answer]]) -> None:
    kept = []
    n_empty = n_errors = 0
    for question, answer in pairs:
        if answer.error:
            n_errors += 1
            if n_errors > MOST_ERRORS * len(pairs):
                continue
        elif not answer.has_data:
            n_empty += 1
            if n_empty > MOST_EMPTY * len(pairs):
                continue
        kept.append((question, answer))
    recorded.write(kept)
    found = report(kept)
    recorded.REPORT.write_text(text(found))
    print(text({key: value for key, value in found.items() if key != "answers"}))
    engine, target = new_engine(), storage()
    wrong = [(q, d) for q, a in kept if (d := difference(ask_engine(engine, target, q), a))]
    for question, words in wrong[:80]:
        print(f"{question}\n    {words}")
    print(f"{len(kept)} kept, {len(wrong)} differ")


if __name__ == "__main__":
    main()
