"""``make bench``: the query set against Prometheus and VictoriaMetrics, one table.

    python -m bench.run [--rounds 9] [--set first|all] [--only-athanor] [--quick] [--data-dir bench-data]

1,000 series x 24 h at 15 s in blocks of 2 h, the same blocks in every server. Each round asks every query of every
server in turn and shifts start and end by another multiple of 30 s, so that no answer can be a kept one. The first
round after the start is a row of its own, the others count by their medians. Answers are compared value by value
before a time counts. Writes docs/benchmarks.md and docs/benchmarks.json; ends with 1 where an answer is wrong.
``--set all`` asks the second set, too, in rounds of its own and compares its answers in the first of them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import report
from bench.answers import Matrix, difference, ranked, read_matrix, without_edges
from bench.generate import BLOCK_MS, FIRST_MS, query_series, write_blocks
from bench.measure import Answer, AnswerError, cpu_s, get, reset_peak, rss_mb
from bench.more_queries import MORE_QUERIES
from bench.queries import GZIP_QUERY, QUERIES, STEP_S, Query
from bench.resources import measure_resources
from bench.series_call import measure_series_call
from bench.servers import DISTURBED, PACED, Server, start_athanor, start_prometheus, start_thanos, start_victoria
from demo import programs

EXTERNAL = {"cluster": "bench"}
N_BLOCKS = 12
N_SERIES = 1000
COMPARED_SERIES = 2000
"""With more of them answers are compared in the first round only, one series in COMPARED_ONE_IN: reading them takes
longer than answering."""
COMPARED_ONE_IN = 10
SKIPPED_S = 3600
"""The range begins an hour after the data: the longest window."""
QUICK = (0, 1, 3, 9)
KERNEL_SCRIPTS = ("kernels", "storeapi")
GZIP_ROW = "rate(c[5m]) with Accept-Encoding: gzip"


@dataclass(slots=True)
class Row:
    """What one server took for one query: seconds by round, the first one is round 0; CPU seconds alike."""

    elapsed_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    n_wire_bytes: int = 0
    wrong: str = ""

    @property
    def median_ms(self) -> float:
        return statistics.median(self.elapsed_s[1:] or self.elapsed_s) * 1000

    @property
    def cpu_ms(self) -> float:
        """The mean: a tick of CPU time is 10 ms, and most queries are shorter than many of them."""
        return statistics.fmean(self.cpu_s[1:] or self.cpu_s) * 1000


Table = dict[str, dict[str, Row]]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, help="measured rounds after the first one")
    parser.add_argument(
        "--only-athanor", action="store_true", help="no other server, nothing compared, no file written"
    )
    parser.add_argument("--quick", action="store_true", help="four queries, no file written")
    parser.add_argument("--set", choices=("first", "all"), default="first", help="all: the second set of queries, too")
    parser.add_argument("--more-rounds", type=int, default=3, help="measured rounds of the second set")
    parser.add_argument(
        "--series", type=int, default=N_SERIES, help="of the generated data; other than the default: a page of its own"
    )
    parser.add_argument("--resources", action="store_true", help="memory and time of start alone")
    parser.add_argument("--thanos", type=Path, help="a Thanos binary to measure beside: its store and query")
    parser.add_argument("--data-dir", type=Path, default=programs.ROOT / "bench-data")
    options = parser.parse_args(arguments)
    directory = options.data_dir.resolve()
    work = directory / "work"
    shutil.rmtree(work, ignore_errors=True)
    if options.resources:
        print("\n".join(report.resource_lines(more_figures(directory, work))))
        return 0
    is_whole = options.series == N_SERIES
    blocks = generated(directory / ("blocks" if is_whole else f"blocks-{options.series}"), options.series)
    queries = [q for i, q in enumerate(QUERIES) if not options.quick or i in QUICK]
    results: dict[str, Any] = {
        "machine": report.machine(), "rounds": options.rounds, "series": options.series,
        "more_rounds": options.more_rounds,
    }  # fmt: skip
    more: Table = {}
    with contextlib.ExitStack() as stack:
        servers = start_servers(blocks, work, options.only_athanor, options.thanos, stack)
        results["idle_rss_mb"] = {s.name: [rss_mb(p.pid) for p in s.processes] for s in servers}
        for process in (p for server in servers for p in server.processes):
            reset_peak(process.pid)
        table = run_rounds(servers, queries, options.rounds, options.series)
        results["peak_rss_mb"] = {s.name: [rss_mb(p.pid, "VmHWM") for p in s.processes] for s in servers}
        if options.set == "all":
            more = run_more_rounds(servers, options.more_rounds, options.series)
            results["more_peak_rss_mb"] = {s.name: [rss_mb(p.pid, "VmHWM") for p in s.processes] for s in servers}
    results["table"], results["more"] = as_json(table), as_json(more)
    if is_whole:
        results["neighbours_ms"] = run_neighbours(blocks, work, queries, options.rounds)
        results["resources"] = more_figures(directory, work)
        results["kernels"] = {name: kernel_rates(name) for name in KERNEL_SCRIPTS if not options.quick}
    page = report.page(table, more, results)
    print(page)
    if not (options.only_athanor or options.quick):
        docs, name = programs.ROOT / "docs", "benchmarks" if is_whole else f"benchmarks-{options.series}"
        (docs / f"{name}.md").write_text(page, encoding="utf-8")
        (docs / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(work, ignore_errors=True)
    is_wrong = (
        row.wrong for rows in (*table.values(), *more.values()) for name, row in rows.items() if name == "Athanor"
    )
    return int(any(is_wrong))


def as_json(table: Table) -> dict[str, dict[str, Any]]:
    return {query: {name: asdict(row) for name, row in rows.items()} for query, rows in table.items()}


def more_figures(directory: Path, work: Path) -> dict[str, float]:
    """Time of start, memory at rest, and one large Series call."""
    found = measure_resources(directory / "hundred", work / "start")
    call = measure_series_call(directory / "wide", work / "wide", 5)
    return found | {f"series_{name}": value for name, value in call.items()}


def kernel_rates(name: str) -> str:
    """What a benchmark of kernels prints."""
    command = [sys.executable, str(Path(__file__).parent / f"{name}.py")]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return ended.stdout if ended.returncode == 0 else f"ended with {ended.returncode}: {ended.stderr[-500:]}"


def generated(directory: Path, n_series: int) -> Path:
    """The blocks, generated once: the seed is fixed."""
    if len(list(directory.glob("*/meta.json"))) != N_BLOCKS:
        shutil.rmtree(directory, ignore_errors=True)
        print("generating blocks ...", flush=True)
        for _ in write_blocks(directory, query_series(n_series), N_BLOCKS, EXTERNAL):
            pass
    return directory


def start_servers(
    blocks: Path, work: Path, only_athanor: bool, thanos: Path | None, stack: contextlib.ExitStack
) -> list[Server]:
    servers = [start_athanor(blocks, work / "athanor")]
    stack.callback(servers[0].stop)
    if only_athanor:
        return servers
    prometheus = programs.find("prometheus")
    if prometheus is None:
        print(f"{programs.how_to_get('prometheus')}; nothing is compared", file=sys.stderr)
    else:
        servers.append(start_prometheus(prometheus, blocks, work / "prometheus"))
        stack.callback(servers[-1].stop)
    victoria, vmctl = programs.find("victoria-metrics"), programs.find("vmctl")
    if victoria is None or vmctl is None or shutil.which("script") is None:
        print(f"{programs.how_to_get('victoria-metrics')} (and script); its column is left out", file=sys.stderr)
    else:
        servers.append(start_victoria(victoria, vmctl, blocks, work / "victoria-metrics"))
        stack.callback(servers[-1].stop)
    if thanos is not None:
        servers.append(start_thanos(thanos, blocks, work / "thanos"))
        stack.callback(servers[-1].stop)
    return servers


def window(number: int, n_rounds: int) -> tuple[float, float]:
    """Start and end (s) of a round: all of one length, each shifted by another multiple of the step."""
    first_s = FIRST_MS // 1000 + SKIPPED_S
    last_s = (FIRST_MS + N_BLOCKS * BLOCK_MS) // 1000 - (n_rounds + 1) * STEP_S
    return first_s + number * STEP_S, last_s + number * STEP_S


def run_rounds(servers: Sequence[Server], queries: Sequence[Query], n_rounds: int, n_series: int) -> Table:
    table: Table = {}
    for number in range(n_rounds + 1):
        start_s, end_s = window(number, n_rounds)
        start = time.monotonic()
        one_in = compared_one_in(n_series) if number == 0 or n_series <= COMPARED_SERIES else 0
        for query in queries:
            one_query(table, query.text, query, servers, start_s, end_s, one_in, is_gzip=False)
        one_query(table, GZIP_ROW, GZIP_QUERY, servers, start_s, end_s, one_in, is_gzip=True)
        print(f"round {number} of {n_rounds}: {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)
    return table


def compared_one_in(n_series: int) -> int:
    return 1 if n_series <= COMPARED_SERIES else COMPARED_ONE_IN


def run_more_rounds(servers: Sequence[Server], n_rounds: int, n_series: int) -> Table:
    """The second set: answers are compared in the first round, for most are long."""
    table: Table = {}
    for number in range(n_rounds + 1):
        start_s, end_s = window(number, n_rounds)
        start = time.monotonic()
        for query in MORE_QUERIES:
            one_in = 0 if number else compared_one_in(n_series)
            one_query(table, query.text, query, servers, start_s, end_s, one_in, is_gzip=False)
        print(
            f"second set, round {number} of {n_rounds}: {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True
        )
    return table


def one_query(
    table: Table, title: str, query: Query, servers: Sequence[Server], start_s: float, end_s: float, one_in: int,
    *, is_gzip: bool,
) -> None:  # fmt: skip
    """one_in: of so many series one is compared, 0 for none."""
    rows = table.setdefault(title, {server.name: Row() for server in servers})
    answers: dict[str, Answer] = {}
    for server in servers:
        row = rows[server.name]
        before_s = sum(cpu_s(p.pid) for p in server.processes)
        try:
            answer = ask(server, query, start_s, end_s, is_gzip=is_gzip)
        except (AnswerError, OSError) as error:
            row.wrong = row.wrong or str(error)
            continue
        row.cpu_s.append(sum(cpu_s(p.pid) for p in server.processes) - before_s)
        row.elapsed_s.append(answer.elapsed_s)
        row.n_wire_bytes = answer.n_wire_bytes
        answers[server.name] = answer
    if one_in:
        compare(rows, answers, query, one_in)


def ask(server: Server, query: Query, start_s: float, end_s: float, *, is_gzip: bool = False) -> Answer:
    text = query.spelled_for(server.name)
    parameters = {"query": text, "start": f"{start_s:.0f}", "end": f"{end_s:.0f}", "step": str(query.step_s)}
    return get(server.port, server.path, parameters, is_gzip=is_gzip)


def compare(rows: dict[str, Row], answers: dict[str, Answer], query: Query, one_in: int) -> None:
    """Every answer with Prometheus' own; a different one is remembered and its times do not count."""
    reference = answers.get("Prometheus")
    if reference is None:
        return
    for name, answer in answers.items():
        if name == "Prometheus" or (name == "VictoriaMetrics" and query.own_semantics):
            continue
        # Athanor and Thanos add external labels; VictoriaMetrics keeps the name where Prometheus drops it.
        without = frozenset({"__name__"}) if name == "VictoriaMetrics" else frozenset(EXTERNAL)
        wanted, got = (comparable(one, query, without, one_in) for one in (reference, answer))
        found = difference(wanted, got, floor=query.floor)
        if found is not None:
            rows[name].wrong = rows[name].wrong or f"Prometheus and {name}: {found}"


def comparable(answer: Answer, query: Query, without: frozenset[str], one_in: int) -> Matrix:
    # Which series a query with ties chooses is left out of the comparison, so all of them are read.
    matrix = read_matrix(answer.body, without, 1 if query.has_ties else one_in)
    if query.edge_s:
        matrix = without_edges(matrix, query.edge_s)
    return ranked(matrix) if query.has_ties else matrix


def run_neighbours(blocks: Path, work: Path, queries: Sequence[Query], n_rounds: int) -> dict[str, float]:
    """Sums of medians (ms), in alternating rounds: alone, with a neighbour in the query process that pauses, with one
    that does not, and with the latter in another process, which shows what the cores alone cost.
    """
    calm = start_athanor(blocks, work / "calm")
    paced = start_athanor(blocks, work / "paced", program=PACED)
    busy = start_athanor(blocks, work / "busy", program=DISTURBED)
    modes = {"alone": (calm, ()), "paced": (paced, (paced,)), "busy": (busy, (busy,)), "outside": (calm, (busy,))}
    times: dict[tuple[str, str], list[float]] = {}
    try:
        for number in range(min(n_rounds, 5) + 1):
            start_s, end_s = window(number, n_rounds)
            for mode, (server, running) in modes.items():
                for other in (paced, busy):
                    (other.resume if other in running else other.pause)()
                for query in queries:
                    elapsed_s = ask(server, query, start_s, end_s).elapsed_s
                    times.setdefault((mode, query.text), []).append(elapsed_s)
    finally:
        for server in (paced, busy):
            server.resume()
        for server in (calm, paced, busy):
            server.stop()
    return {
        mode: sum(statistics.median(seen[1:] or seen) for (name, _), seen in times.items() if name == mode) * 1000
        for mode in modes
    }


if __name__ == "__main__":
    sys.exit(main())
