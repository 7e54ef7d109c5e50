"""The samples of a range selector at one step: what an instant query of it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from athanor.kernel import labels
from athanor.model.select import Tile
from athanor.model.tables import LabelTable, Samples
from athanor.model.workspace import Workspace
from athanor.promql import histograms as histogram_tables
from athanor.promql.account import Account
from athanor.promql.extended import bounded_samples
from athanor.promql.histogram_windows import cut_mixed
from athanor.promql.planner import Range
from athanor.promql.step_kernels import cut_samples


def read_range(
    tiles: Iterable[Tile], windows: Range, account: Account, check: Callable[[], None], workspace: Workspace
) -> tuple[LabelTable, Samples]:
    """The series that have samples in the window, in the order of the tiles, with these."""
    tables, ts, values, counts = [], [], [], []
    begin_ms, end_ms = windows.first_ms - windows.range_ms, windows.first_ms
    for tile in tiles:
        check()
        bound = 16 * (tile.n_samples_bound + 2 * len(tile.labels))
        account.take(f"{len(tile.labels)} series of samples", bound)
        samples = tile.samples(workspace)
        if windows.extended is not None:
            cut = bounded_samples(samples, windows.extended, begin_ms, end_ms, workspace)
        else:
            cut = _cut(samples, begin_ms, end_ms)
        sizes = np.diff(cut.offsets)
        tables.append(labels.take(tile.labels, np.flatnonzero(sizes)))
        ts.append(cut.ts_ms)
        values.append((cut.values, cut.kind, cut.histograms))
        counts.append(sizes[sizes > 0])
        account.give(bound - 16 * cut.ts_ms.size)
    if not tables:
        return no_samples()
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(np.concatenate(counts))))
    joined, histograms = histogram_tables.joined(
        [(v, np.empty(0, np.uint8) if k is None else k, h) for v, k, h in values]
    )
    kind = None
    if histograms is not None:
        kind = np.concatenate([np.ones(v.size, np.uint8) if k is None else k for v, k, _ in values])
    return labels.concat(tables), Samples(np.concatenate(ts), np.concatenate(joined), offsets, kind, histograms)


def no_samples() -> tuple[LabelTable, Samples]:
    """No series."""
    return labels.empty_sets(0), Samples(np.empty(0, np.int64), np.empty(0), np.zeros(1, np.int64))


def _cut(samples: Samples, after_ms: int, last_ms: int) -> Samples:
    n = samples.values.size
    ts, values, offsets = np.empty(n, np.int64), np.empty(n), np.empty(samples.offsets.size, np.int64)
    if samples.kind is not None:
        return cut_mixed(samples, after_ms, last_ms)
    kept = cut_samples(samples.ts_ms, samples.values, samples.offsets, after_ms, last_ms, ts, values, offsets)
    return Samples(ts[:kept], values[:kept], offsets)
