"""Batches of any size to frames of exactly ``batch_size`` series, or 1 MiB of chunks where that is less."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from athanor.model.budget import Budget
from athanor.model.tables import ChunkTable, LabelTable
from athanor.storeapi.columns import FrameWriter
from athanor.storeapi.frames import FRAME_BYTES
from athanor.storeapi.merge import Batch
from athanor.storeapi.rows import join, take_rows

Tables = tuple[LabelTable, ChunkTable]


def write_batches(
    batches: Iterable[Batch], batch_size: int, limit: int, budget: Budget, write: FrameWriter
) -> Iterator[bytes]:
    """``SeriesResponse`` messages. At most ``limit`` series, 0 for all; a batch's bytes go back when it is written.

    A remainder that fills no frame waits for the next batch, so that frames are as many as the original sends.
    """
    rest: list[Tables] = []
    n_rest = rest_bytes = sent = 0
    for batch in batches:
        tables: Tables = (batch.labels, batch.chunks)
        held = batch.held_bytes
        if limit and sent + n_rest + len(batch) > limit:
            tables = take_rows(*tables, 0, limit - sent - n_rest)
        n = len(tables[0])
        if batch_size > 1 and n_rest and n_rest + n >= batch_size:
            missing = batch_size - n_rest
            head = take_rows(*tables, 0, missing)
            labels, chunks, _ = join([*rest, head])
            yield from write(labels, chunks, batch_size)
            budget.give(rest_bytes)
            sent += len(labels)
            rest, n_rest, rest_bytes = [], 0, 0
            tables = take_rows(*tables, missing, n)
            n -= missing
        whole = n if batch_size <= 1 or _is_bound_by_bytes(tables[1], n, batch_size) else n - n % batch_size
        if whole and not n_rest:
            yield from write(*take_rows(*tables, 0, whole), batch_size)
            sent += whole
            tables = take_rows(*tables, whole, n)
            n -= whole
        if n:
            rest.append(tables)
            n_rest += n
            rest_bytes += held
        else:
            budget.give(held)
        if limit and sent + n_rest >= limit:
            break
    if rest:
        labels, chunks, _ = join(rest)
        yield from write(labels, chunks, batch_size)
        budget.give(rest_bytes)


def _is_bound_by_bytes(chunks: ChunkTable, n_series: int, batch_size: int) -> bool:
    return n_series > 0 and int(np.sum(chunks.size)) * batch_size >= FRAME_BYTES * n_series
