"""Runs script evaluations against the engine: as written, with `@` fixed at other times, and as ranges.

Each evaluation ends in one of three ways: it passes; it fails with `not available in this version: <name>`; or it is
wrong, which no version may be. ``python -m tests.conformance.run`` writes the table in the docs.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from athanor.model.budget import Budget
from athanor.model.errors import AthanorError, NotAvailableError
from athanor.model.tables import Histograms
from athanor.promql.ast import Call, MatrixSelector, Node, Subquery, VectorSelector, children, walk, with_children
from athanor.promql.engine import Engine, EngineOptions, Result
from athanor.promql.features import Features
from athanor.promql.parser import parse
from athanor.promql.printer import text as print_query
from tests.conformance.histogram_rows import row_shape, shape_of
from tests.conformance.memory_storage import MemoryStorage, is_stale
from tests.conformance.script import Clear, Eval, Load, Series, conformance_dir, read_script, script_files
from tests.conformance.values import Histogram

MINUTE_MS = 60_000
TIME_FUNCTIONS = frozenset(
    [
        "days_in_month",
        "day_of_month",
        "day_of_week",
        "day_of_year",
        "hour",
        "minute",
        "month",
        "year",
        "predict_linear",
        "time",
        "timestamp",
        "end",
        "range",
        "start",
        "step",
    ]
)
OPTIONS = EngineOptions(features=Features.all(), delayed_names=True, use_start_timestamps=True)


class Wrong(Exception):
    """An answer that differs from the script."""


@dataclass(frozen=True, slots=True)
class Run:
    """One evaluation of a query: which of the script's runs it is."""

    what: str
    query: str
    at_ms: int
    grid: tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Outcome:
    file: str
    line: int
    query: str
    passed: bool
    missing: str | None
    wrong: str | None


def equal(a: float, b: float) -> bool:
    if is_stale(a) or is_stale(b):
        return is_stale(a) and is_stale(b)
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    if a == b:
        return True
    if math.isinf(a) or math.isinf(b):
        return False
    size, distance = abs(a) + abs(b), abs(a - b)
    if a == 0 or b == 0 or size < sys.float_info.min:
        return distance < 1e-6 * sys.float_info.min
    return distance / min(size, sys.float_info.max) < 1e-6


def _fixed_at(node: Node, at_ms: int) -> Node:
    """`@ at` on every selector and subquery that has no fixed one, from the outside in."""
    if isinstance(node, Subquery | VectorSelector):
        if node.timestamp_ms is not None:
            return node
        fixed = replace(node, timestamp_ms=at_ms, start_or_end=None)
        return fixed
    if isinstance(node, MatrixSelector):
        return with_children(node, [_fixed_at(node.selector, at_ms)])
    return with_children(node, [_fixed_at(kid, at_ms) for kid in children(node)])


def _called(root: Node) -> set[str]:
    return {node.function.name for node in walk(root) if isinstance(node, Call)}


def runs_of(command: Eval) -> Iterator[Run]:
    if command.grid is not None:
        grid = command.grid
        yield Run("range", command.query, 0, (grid.first_ms, grid.last_ms, grid.step_ms))
        return
    at_ms = command.at_ms if command.range_vector is None else command.range_vector.last_ms
    instants = [Run("as written", command.query, at_ms, None)]
    root = parse(command.query, Features.all())
    if not _called(root) & TIME_FUNCTIONS:
        fixed = print_query(_fixed_at(root, at_ms))
        times = [-10 * at_ms, 0, int(at_ms / 5), at_ms, 10 * at_ms] if at_ms else [-1000, 0, 1000]
        instants += [Run(f"@ at {t} ms", fixed, t, None) for t in times]
    yield from instants
    folded = any(word in command.query for word in ("start()", "end()", "range()", "step()"))
    if command.string is None and command.range_vector is None and not folded:
        for run in instants:
            yield Run(
                f"range mode of {run.what}",
                run.query,
                run.at_ms,
                (run.at_ms - MINUTE_MS, run.at_ms + MINUTE_MS, MINUTE_MS),
            )


@dataclass(frozen=True, slots=True)
class Cell:
    """A histogram of an answer."""

    table: Histograms
    row: int


Points = dict[int, object]
Row = tuple[dict[str, str], Points]


def rows_of(result: Result) -> list[Row]:
    if result.samples is not None and result.labels is not None:
        samples, rows = result.samples, []
        for i in range(len(result.labels)):
            span = slice(int(samples.offsets[i]), int(samples.offsets[i + 1]))
            kinds = [1] * (span.stop - span.start) if samples.kind is None else samples.kind[span].tolist()
            cells = zip(samples.values[span].tolist(), kinds, strict=True)
            found = [Cell(samples.histograms, int(v)) if k == 2 else v for v, k in cells]  # type: ignore[arg-type]
            points: Points = dict(zip(samples.ts_ms[span].tolist(), found, strict=True))
            rows.append((dict(result.labels.pairs(i)), points))
        return rows
    assert result.block is not None
    steps = result.grid.steps_ms().tolist()
    table = result.block.histograms
    return [
        (
            dict(result.block.labels.pairs(i)),
            {
                t: Cell(table, int(v)) if k == 2 else float(v)  # type: ignore[arg-type]
                for t, v, k in zip(steps, result.block.values[i], result.block.kind[i], strict=True)
                if k
            },
        )
        for i in range(len(result.block.labels))
    ]


def _key(labels: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((n, v) for n, v in labels.items() if v))


def _same(got: object, want: object) -> bool:
    if not isinstance(want, Histogram) or not isinstance(got, Cell):
        return not isinstance(want, Histogram) and not isinstance(got, Cell) and equal(got, want)  # type: ignore[arg-type]
    (exact, positive, negative, hint), numbers = row_shape(got.table, got.row)
    wanted = shape_of(want)
    return (
        exact == wanted[0]
        and positive.keys() == wanted[1].keys()
        and negative.keys() == wanted[2].keys()
        and all(equal(n, wanted[1][i]) for i, n in positive.items())
        and all(equal(n, wanted[2][i]) for i, n in negative.items())
        and all(map(equal, numbers, (want.count, want.sum, want.zero_count)))
        and (not want.hint_stated or hint == want.hint)
    )


def _check_rows(rows: list[Row], expected: list[tuple[dict[str, str], dict[int, object]]]) -> None:
    got = {_key(labels): points for labels, points in rows}
    if len(got) != len(rows):
        raise Wrong("two series with the same labels")
    want = {_key(labels): points for labels, points in expected}
    if got.keys() != want.keys():
        raise Wrong(f"series {sorted(got)} instead of {sorted(want)}")
    for key, points in want.items():
        if got[key].keys() != points.keys():
            raise Wrong(f"{key}: points at {sorted(got[key])} instead of {sorted(points)}")
        for t, value in points.items():
            if not _same(got[key][t], value):
                found = got[key][t]
                shown = repr(row_shape(found.table, found.row)) if isinstance(found, Cell) else repr(found)
                raise Wrong(f"{key} at {t} ms: {shown} instead of {value!r}")


def _grid_points(series: Series, first_ms: int, step_ms: int) -> dict[int, object]:
    return {first_ms + i * step_ms: v for i, v in enumerate(series.values) if v is not None}


def _check_sorted(rows: list[Row]) -> None:
    keys = [[(n.encode(), v.encode()) for n, v in _key(labels)] for labels, _ in rows]
    if keys != sorted(keys):
        raise Wrong("the series are not sorted by labels")


def check_result(command: Eval, run: Run, result: Result) -> None:
    if command.string is not None:
        if result.string != command.string:
            raise Wrong(f"string {result.string!r} instead of {command.string!r}")
        return
    if run.what.startswith("range mode"):
        _check_range_mode(command, run, result)
        return
    if result.type == "scalar":
        assert result.scalar is not None
        if command.scalar is None or not equal(float(result.scalar[0]), command.scalar):
            raise Wrong(f"scalar {result.scalar[0]!r} instead of {command.scalar!r}")
        return
    if command.scalar is not None:
        raise Wrong(f"a {result.type} instead of a scalar")
    rows = rows_of(result)
    grid = command.grid or command.range_vector
    if grid is not None:
        _check_sorted(rows)
        _check_rows(rows, [(s.labels, _grid_points(s, grid.first_ms, grid.step_ms)) for s in command.series])
        return
    _check_rows(rows, [(s.labels, {run.at_ms: s.values[0]}) for s in command.series])
    if command.ordered and [_key(r[0]) for r in rows] != [_key(s.labels) for s in command.series]:
        raise Wrong(f"order {[r[0] for r in rows]}")


def _check_range_mode(command: Eval, run: Run, result: Result) -> None:
    if command.ordered:
        return
    rows = rows_of(result)
    _check_sorted(rows)
    there = [(labels, {run.at_ms: points[run.at_ms]}) for labels, points in rows if run.at_ms in points]
    if command.scalar is not None:
        _check_rows(there, [({}, {run.at_ms: command.scalar})])
    else:
        _check_rows(there, [(s.labels, {run.at_ms: s.values[0]}) for s in command.series])


def _check_annotations(command: Eval, result: Result) -> None:
    for kind, texts in (("warn", result.warnings), ("info", result.infos)):
        wanted = [e for e in command.annotations if e.kind == kind]
        if any(e.kind == f"no_{kind}" for e in command.annotations) and texts:
            raise Wrong(f"{kind} annotations that should not be: {texts}")
        for e in wanted:
            if not any(e.met_by(t) for t in texts):
                raise Wrong(f"no {kind} annotation like {e.text!r} in {texts}")
        for t in texts if wanted else ():
            if not any(e.met_by(t) for e in wanted):
                raise Wrong(f"unexpected {kind} annotation {t!r}")


def execute(engine: Engine, storage: MemoryStorage, run: Run) -> Result:
    budget = Budget(1 << 30)
    if run.grid is None:
        return engine.instant(storage, run.query, run.at_ms, budget=budget)
    return engine.range(storage, run.query, *run.grid, budget=budget)


def check_run(engine: Engine, storage: MemoryStorage, command: Eval, run: Run) -> None:
    try:
        result = execute(engine, storage, run)
    except NotAvailableError:
        raise
    except AthanorError as error:
        if run.what.startswith("range mode") or command.fail is None:
            if command.fail is not None:
                return
            raise Wrong(f"failed: {error}") from error
        if not command.fail.met_by(str(error)):
            raise Wrong(f"failed with {error} instead of {command.fail.text}") from error
        return
    if command.fail is not None:
        if run.what.startswith("range mode"):
            return
        raise Wrong("did not fail")
    if not run.what.startswith("range mode"):
        _check_annotations(command, result)
    check_result(command, run, result)


def run_file(path: Path, tile_size: int = 2) -> list[Outcome]:
    """Every evaluation of one script, each with all its runs."""
    engine = Engine(OPTIONS)
    outcomes, storage = [], MemoryStorage(tile_size)
    for command in read_script(path):
        if isinstance(command, Clear):
            storage = MemoryStorage(tile_size)
        elif isinstance(command, Load):
            storage.load(command)
        else:
            outcomes.append(_outcome(engine, storage, path.name, command))
    engine.close()
    return outcomes


def _outcome(engine: Engine, storage: MemoryStorage, file: str, command: Eval) -> Outcome:
    for run in runs_of(command):
        try:
            check_run(engine, storage, command, run)
        except NotAvailableError as error:
            return Outcome(file, command.line, command.query, False, error.name, None)
        except Wrong as error:
            return Outcome(file, command.line, command.query, False, None, f"{run.what}: {run.query}: {error}")
        except Exception as error:
            return Outcome(file, command.line, command.query, False, None, f"{run.what}: {run.query}: {error!r}")
    return Outcome(file, command.line, command.query, True, None, None)


def table(outcomes: list[Outcome]) -> str:
    """The counts of each file as a Markdown table."""
    lines = ["| script | evaluations | pass | not available | wrong |", "|---|---:|---:|---:|---:|"]
    files = sorted({o.file for o in outcomes})
    for file in [*files, ""]:
        mine = [o for o in outcomes if file in ("", o.file)]
        counts = (
            len(mine),
            sum(o.passed for o in mine),
            sum(bool(o.missing) for o in mine),
            sum(bool(o.wrong) for o in mine),
        )
        name = f"`{file}`" if file else "**all**"
        lines.append(f"| {name} | {counts[0]} | {counts[1]} | {counts[2]} | {counts[3]} |")
    missing = Counter(o.missing for o in outcomes if o.missing)
    if missing:
        lines += ["", "What is not available in this version, by the name in the error:", ""]
        lines += [f"- {name}: {count}" for name, count in missing.most_common()]
    return "\n".join(lines) + "\n"


def main() -> int:
    if not conformance_dir().exists():
        print(f"{conformance_dir()} does not exist; set ATHANOR_CONFORMANCE", file=sys.stderr)
        return 1
    wanted = sys.argv[1:]
    outcomes = [o for path in script_files() if not wanted or path.stem in wanted for o in run_file(path)]
    for o in outcomes:
        if o.wrong:
            print(f"{o.file}:{o.line}: {o.wrong}"[:600])
    print(table(outcomes))
    if not wanted:
        page = Path(__file__).parents[2] / "docs" / "promql-conformance.md"
        page.write_text(
            "# PromQL conformance\n\nGenerated by `python -m tests.conformance.run` from the engine tests of "
            "Prometheus 3.14 (every instant evaluation is also run with `@` fixed at other times and as a "
            "range).\n\n" + table(outcomes)
        )
    return 1 if any(o.wrong for o in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
