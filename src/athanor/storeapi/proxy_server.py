"""The StoreAPI of a component that has no data of its own: every call goes through the proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from athanor.model.budget import Budget
from athanor.model.rpc import Call
from athanor.model.tables import ChunkTable, LabelTable
from athanor.storeapi.columns import FrameWriter, frame_writer
from athanor.storeapi.frames import FRAME_BYTES, warning_frame
from athanor.storeapi.limits import RequestLimits
from athanor.storeapi.merge import Batch
from athanor.storeapi.proxy import Proxy, ProxyCall
from athanor.storeapi.rows import join, take_rows
from athanor.storeapi.server import tenant_of


class _Rebatch:
    """Collects merged series until a frame is full: batches of the merge end where frames of stores ended."""

    def __init__(self, batch_size: int, budget: Budget, write: FrameWriter) -> None:
        self._write_frames = write
        self._batch_size = max(1, batch_size)
        self._budget = budget
        self._tables: list[tuple[LabelTable, ChunkTable]] = []
        self._n_series = 0
        self._data_bytes = 0
        self._held_bytes = 0

    def add(self, batch: Batch) -> Iterator[bytes]:
        """Frames that are full with this batch."""
        self._tables.append((batch.labels, batch.chunks))
        self._n_series += len(batch)
        self._data_bytes += int(batch.chunks.size.sum())
        self._held_bytes += batch.held_bytes
        if self._data_bytes >= FRAME_BYTES:
            yield from self.flush()
        elif self._n_series >= self._batch_size:
            yield from self._write(self._n_series - self._n_series % self._batch_size, batch.held_bytes)

    def flush(self) -> Iterator[bytes]:
        """Everything that waits."""
        if self._tables:
            yield from self._write(self._n_series, 0)

    def _write(self, n_series: int, keep_bytes: int) -> Iterator[bytes]:
        """The first series as frames; what is left is a view, so its bytes stay reserved."""
        labels, chunks = self._tables[0] if len(self._tables) == 1 else join(self._tables)[:2]
        yield from self._write_frames(*take_rows(labels, chunks, 0, n_series), self._batch_size)
        left = len(labels) - n_series
        self._tables = [take_rows(labels, chunks, n_series, len(labels))] if left else []
        kept = keep_bytes if left else 0
        self._budget.give(self._held_bytes - kept)
        self._held_bytes, self._n_series = kept, left
        self._data_bytes = int(self._tables[0][1].size.sum()) if left else 0


class ProxyServer:
    """A ``StoreServer`` over a proxy.

    new_budget: the budget of one call, released when the call ends; new_limits: its request limits.
    """

    def __init__(
        self,
        proxy: Proxy,
        new_budget: Callable[[], Budget],
        new_limits: Callable[[], RequestLimits] = lambda: RequestLimits(0, 0),
    ) -> None:
        self._proxy = proxy
        self._new_budget = new_budget
        self._new_limits = new_limits

    def series(self, request: Any, call: Call) -> Iterator[bytes]:
        """Merged series in frames of ``response_batch_size``; warnings come as soon as they are known."""
        warnings: list[str] = []
        limits = self._new_limits()
        proxied = ProxyCall(call.cancel, warnings.append, tenant_of(call), keep_empty=True)
        with self._new_budget() as budget:
            waiting = _Rebatch(request.response_batch_size, budget, frame_writer(call.metadata))
            for batch in self._proxy.series(request, budget, proxied):
                if warnings:
                    yield from waiting.flush()
                    yield from map(warning_frame, warnings)
                    warnings.clear()
                limits.sending(len(batch), len(batch.chunks))
                yield from waiting.add(batch)
            yield from waiting.flush()
            yield from map(warning_frame, warnings)

    def label_names(self, request: Any, call: Call) -> Any:
        """Names of all stores."""
        return self._proxy.label_names(request, self._call(call))

    def label_values(self, request: Any, call: Call) -> Any:
        """Values of all stores."""
        return self._proxy.label_values(request, self._call(call))

    def _call(self, call: Call) -> ProxyCall:
        return ProxyCall(call.cancel, lambda text: None, tenant_of(call))
