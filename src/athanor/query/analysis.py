"""What a query does and what it has cost, as JSON: the operators of ``query_explain``, the tree of ``analyze``, the
numbers of ``stats``."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from athanor.model.select import Selection
from athanor.promql.durations import NS_PER_S, go_duration
from athanor.promql.errors import QueryError
from athanor.promql.explain import Explained, explain, in_reading_order
from athanor.promql.floats import json_number
from athanor.promql.plan import Operator
from athanor.promql.statistics import Measured, Statistics
from athanor.promql.statistics_totals import SampleTotals, engine_totals, prometheus_totals
from athanor.query.json_result import json_text
from athanor.query.storage import Fanned
from athanor.storeapi.proxy import StoreUsage

NOT_EXPLAINABLE = "Query not explainable"

Members = Callable[[Explained], Sequence[str]]


@dataclass(slots=True)
class Timings:
    """Seconds of the phases, as ``stats`` shows them."""

    queued_s: float = 0.0
    prepared_s: float = 0.0
    evaluated_s: float = 0.0


def _name_only(operator: Explained) -> Sequence[str]:
    return ()


def tree_text(root: Explained, members: Members = _name_only) -> str:
    """A tree of operators. members: what stands between an operator's name and its children, as ``"key":value``.

    A query may be nested as deeply as its text allows, so there is no recursion, and every piece is written once.
    """
    pieces: list[str] = []
    stack: list[Explained | str] = [root]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            pieces.append(item)
            continue
        pieces.append("{" + ",".join((f'"name":{json_text(item.name)}', *members(item))))
        if item.children:
            pieces.append(',"children":[')
            stack.append("]}")
            for at, child in enumerate(reversed(item.children), 1 - len(item.children)):
                stack.append(child)
                if at:
                    stack.append(",")
        else:
            pieces.append("}")
    return "".join(pieces)


# ---- analyze


def explained(measured: Measured) -> Explained | None:
    """The operators of a query that was evaluated; None where there are none, or too long to be told."""
    try:
        return explain(measured.tree)
    except QueryError:
        return None


def analysis_text(measured: Measured, root: Explained, fanned: Sequence[Fanned]) -> str:
    """The tree of ``analyze``: time and samples of each operator with all below it, what each store has brought.

    fanned: the requests to stores. One that serves several selectors stands at the first of them.
    """
    totals, seconds = engine_totals(root, measured), operator_seconds(root, measured)
    stores = _stores(root, measured, fanned)

    def members(operator: Explained) -> Sequence[str]:
        found = totals[operator]
        parts = [
            f'"executionTime":{json_text(_duration(seconds[operator]))}',
            *_unless_zero((("peakSamples", found.peak), ("totalSamples", found.total))),
        ]
        if operator in stores:
            parts.append(f'"fanout":[{",".join(map(_store_text, stores[operator]))}]')
        return parts

    return tree_text(root, members)


def _stores(root: Explained, measured: Measured, fanned: Sequence[Fanned]) -> Mapping[Explained, list[StoreUsage]]:
    """What each store has brought for a selector, by the first operator that stands for it."""
    requests: defaultdict[Selection, list[int]] = defaultdict(list)
    for number, request in enumerate(fanned):
        for selection in request.selections:
            requests[selection].append(number)
    found: dict[Explained, list[StoreUsage]] = {}
    told: set[int] = set()
    for operator in in_reading_order(root):
        read = None if operator.selector is None else measured.selections.get(operator.selector)
        numbers = set() if read is None else {*requests.get(read, ())} - told
        told |= numbers
        usage = [one for number in sorted(numbers) for one in fanned[number].usage]
        if usage:
            found[operator] = sorted(usage, key=lambda one: one.address)
    return found


def _store_text(one: StoreUsage) -> str:
    counts = (
        ("bytesProcessed", one.n_bytes), ("numResponses", one.n_messages), ("series", one.n_series),
        ("chunks", one.n_chunks), ("samples", one.n_samples),
    )  # fmt: skip
    address = [f'"endpointAddr":{json_text(one.address)}'] if one.address else []
    return "{" + ",".join((*address, f'"duration":{json_text(_duration(one.elapsed_s))}', *_unless_zero(counts))) + "}"


def _unless_zero(counts: Iterable[tuple[str, int]]) -> list[str]:
    return [f'"{name}":{count}' for name, count in counts if count]


def _duration(seconds: float) -> str:
    return go_duration(round(seconds * NS_PER_S))


def operator_seconds(root: Explained, measured: Measured) -> Mapping[Explained, float]:
    """Seconds of each operator with all below it, never more than the one above it took.

    What runs inside tiles runs beside the reading of the next ones: its time is that of all threads together.
    """
    found: dict[Explained, float] = {}
    known: dict[Operator, float] = {}
    stack = [(root, float("inf"))]
    while stack:
        operator, most = stack.pop()
        place = measured.places.get(operator.node)
        own = 0.0 if place is None else min(most, _seconds(place, measured.statistics, known))
        found[operator] = own
        stack.extend((child, own) for child in operator.children)
    return found


def _seconds(operator: Operator, statistics: Statistics, known: dict[Operator, float]) -> float:
    """From begin to end; inside tiles the work of the operator and of those that it takes its rows from."""
    chain: list[Operator] = []
    while operator not in known:
        counts, selection = statistics.counts(operator), getattr(operator, "selection", None)
        if counts.wall_s is not None:
            known[operator] = counts.wall_s
        elif not operator.inputs:
            read_s = 0.0 if selection is None else statistics.read_s.get(selection, 0.0)
            known[operator] = counts.own_s + read_s
        else:
            chain.append(operator)
            operator = operator.inputs[0]
    for above in reversed(chain):
        known[above] = known[operator] + statistics.counts(above).own_s
        operator = above
    return known[operator]


# ---- stats


def stats_text(measured: Measured, engine: str, timings: Timings, fanned: Sequence[Fanned], *, with_steps: bool) -> str:
    """The member ``stats``: timings, samples, and what each store has brought, which the original does not tell.

    with_steps: samples of each step too (differs: the original has them behind a switch that it never sets).
    """
    total_s = timings.prepared_s + timings.evaluated_s
    shown = {
        "evalTotalTime": total_s,
        "resultSortTime": 0,
        "queryPreparationTime": timings.prepared_s,
        "innerEvalTime": timings.evaluated_s,
        "execQueueTime": timings.queued_s,
        "execTotalTime": total_s + timings.queued_s,
    }
    usage = sorted((one for request in fanned for one in request.usage), key=lambda one: one.address)
    stores = (
        f'{{"endpointAddr":{json_text(one.address)},"responses":{one.n_messages},"bytes":{one.n_bytes},'
        f'"seconds":{one.elapsed_s:.6f}}}'
        for one in usage
    )
    samples = _samples_text(measured, totals_for(measured, engine), with_steps)
    timings_text = json.dumps(shown, separators=(",", ":"))
    return f'{{"timings":{timings_text},"samples":{{{samples}}},"stores":[{",".join(stores)}]}}'


def totals_for(measured: Measured, engine: str) -> SampleTotals:
    """As the engine that was asked for counts."""
    found = prometheus_totals(measured)
    root = explained(measured) if engine == "thanos" else None
    if root is None:
        return found
    totals = engine_totals(root, measured)[root]
    return SampleTotals(totals.total, found.per_step, totals.peak)


def _samples_text(measured: Measured, totals: SampleTotals, with_steps: bool) -> str:
    shown = ""
    if with_steps:
        steps = zip((measured.grid.steps_ms() / 1000).tolist(), totals.per_step.tolist(), strict=True)
        pairs = ",".join(f"[{json_number(at_s)},{count}]" for at_s, count in steps)
        shown = f'"totalQueryableSamplesPerStep":[{pairs}],'
    return f'{shown}"totalQueryableSamples":{totals.total},"peakSamples":{totals.peak}'
