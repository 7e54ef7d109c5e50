"""One store's Series stream: a thread reads and parses frames into a bounded queue, the merge takes them out.

Back-pressure: the thread stops reading while ``QUEUE_BYTES`` wait in the queue; every frame's bytes are taken from the
query's budget before it is parsed. ``close`` unblocks both sides at once and gives back what is still queued.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from athanor.kernel.labels import compare, drop, take
from athanor.model.budget import Budget
from athanor.model.cancel import CancelToken
from athanor.model.errors import AthanorError, DataError
from athanor.model.tables import LabelTable
from athanor.storeapi import columns
from athanor.storeapi import merge_kernels as kernels
from athanor.storeapi.frames import (
    HintsFrame,
    SeriesFrame,
    WarningFrame,
    read_joined_frames,
    read_series_frame,
)
from athanor.storeapi.reader_threads import run_in_thread
from athanor.storeapi.rows import join, samples_in_headers, sorted_frames
from athanor.storeapi.shards import Shard, keep_shard

QUEUE_BYTES = 4 * 1024 * 1024
WAITING_BYTES = 512 * 1024  # up to which frames are put together where the consumer lags
JOIN_BYTES = 256 * 1024
"""Messages of one series each are parsed together up to this size ..."""
JOIN_S = 0.02
"""... or this age, whichever comes first."""


class SeriesCall(Protocol):
    """A running Series call: raw response messages; ``cancel`` unblocks the iteration from another thread."""

    def __iter__(self) -> Iterator[bytes]: ...

    def cancel(self) -> object: ...


@dataclass(frozen=True, slots=True)
class StreamFailure:
    """Why a stream ended early. ``opening`` is true where no message had arrived and the peer could not be reached."""

    text: str
    code: str
    opening: bool = False
    timed_out: bool = False


class StreamError(Exception):
    """Raised by a call's iterator in place of the transport's own error."""

    def __init__(self, failure: StreamFailure) -> None:
        super().__init__(failure.text)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """What the reader does to the frames of one store.

    drop_labels: replica labels that the store cannot remove itself; the stream is then read to its end and sorted
    again. shard: filter that the store cannot apply itself. response_timeout_s: longest silence, 0 for no limit.
    counts: whether series, chunks and samples are counted.
    """

    where: str
    drop_labels: tuple[str, ...] = ()
    shard: Shard | None = None
    response_timeout_s: float = 0.0
    keep_empty: bool = False
    counts: bool = False


Item = SeriesFrame | WarningFrame | HintsFrame | StreamFailure | AthanorError


class StoreStream:
    """The frames of one store, in label order. ``next_frame`` belongs to one consumer thread."""

    def __init__(
        self,
        call: SeriesCall,
        options: StreamOptions,
        budget: Budget,
        cancel: CancelToken,
        on_warning: Callable[[str], None],
        on_failure: Callable[[StreamFailure], None],
        on_hints: Callable[[bytes], None] = lambda data: None,
    ) -> None:
        self._call = call
        self._options = options
        self._budget = budget
        self._cancel = cancel
        self._on_warning, self._on_failure, self._on_hints = on_warning, on_failure, on_hints
        self._changed = threading.Condition()
        self._items: deque[tuple[Item, int]] = deque()
        self._queued_bytes = 0
        self._closed = False
        self._done = False
        self._silent_since: float | None = time.monotonic()
        self._last: LabelTable | None = None
        self.n_messages = 0
        self.n_bytes = 0
        self.n_series = self.n_chunks = self.n_samples = 0
        self.elapsed_s = 0.0
        self._forget = cancel.on_cancel(self.stop)
        self._ended = run_in_thread(f"series {options.where}", self._read)

    # The consumer's side.

    def next_frame(self) -> SeriesFrame | None:
        """The next frame, None at the end. Warnings and failures met on the way go to their callbacks."""
        while True:
            item = self._next_item()
            if item is None:
                return None
            if isinstance(item, SeriesFrame):
                return self._with_waiting(item)
            if isinstance(item, WarningFrame):
                self._on_warning(item.text)
            elif isinstance(item, HintsFrame):
                self._on_hints(item.data)
            elif isinstance(item, StreamFailure):
                self._on_failure(item)
            else:
                raise item

    def _with_waiting(self, first: SeriesFrame) -> SeriesFrame:
        """The frame with those that are already here, up to a size: where the consumer lags, it pays once for many."""
        frames = [first]
        n_bytes = first.n_bytes
        with self._changed:
            while self._items and isinstance(self._items[0][0], SeriesFrame) and n_bytes < WAITING_BYTES:
                frame, held = self._items.popleft()
                assert isinstance(frame, SeriesFrame)
                self._queued_bytes -= held
                frames.append(frame)
                n_bytes += frame.n_bytes
            if len(frames) == 1:
                return first
            self._changed.notify_all()
        try:
            labels, chunks, _ = join([(frame.labels, frame.chunks) for frame in frames])
            joined = SeriesFrame(labels, chunks)
            self._budget.take("frames of a store", joined.n_bytes)
        finally:
            self._budget.give(n_bytes)
        return joined

    def report_opening(self) -> None:
        """Wait for the first item; where it says that the store could not be reached, hand that to the callback now."""
        with self._changed:
            if not self._wait_for_item():
                return
            first = self._items[0][0]
            if not isinstance(first, StreamFailure) or not first.opening:
                return
            self._items.popleft()
        self._on_failure(first)

    def _next_item(self) -> Item | None:
        with self._changed:
            if not self._wait_for_item():
                return None
            item, n_bytes = self._items.popleft()
            self._queued_bytes -= n_bytes
            self._changed.notify_all()
            return item

    def _wait_for_item(self) -> bool:
        """Whether there is one; False at the end. Holds the lock."""
        while not self._items:
            self._cancel.check()
            if self._done or self._closed:
                return False
            wait_s = self._wait_s()
            if wait_s is not None and wait_s <= 0:
                self._silent_since = None
                self._time_out()
                continue
            self._changed.wait(wait_s)
        return True

    def _wait_s(self) -> float | None:
        """How long to wait for a frame: to the deadline and to the end of the allowed silence."""
        limits = []
        left_s = self._cancel.remaining_s()
        if left_s is not None:
            limits.append(left_s + 0.001)
        if self._options.response_timeout_s and self._silent_since is not None:
            limits.append(self._silent_since + self._options.response_timeout_s - time.monotonic())
        return min(limits) if limits else None

    def _time_out(self) -> None:
        self._items.append((StreamFailure("context canceled", "ABORTED", timed_out=True), 0))
        self._done = True
        self._closed = True
        self._call.cancel()

    def stop(self) -> None:
        """Unblock both sides; no frame comes any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._call.cancel()

    def close(self) -> None:
        """Stop reading, wait for the thread and give back the bytes of frames that nobody took."""
        self._forget()
        self.stop()
        self._ended.wait()
        with self._changed:
            left, self._queued_bytes = self._queued_bytes, 0
            self._items.clear()
        if left:
            self._budget.give(left)

    # The reader's side.

    def _read(self) -> None:
        start = time.monotonic()
        try:
            sink = self._put if not self._options.drop_labels else None
            frames = self._frames()
            if sink is None:
                self._read_to_the_end(frames)
            else:
                for item, n_bytes in frames:
                    sink(item, n_bytes)
        except StreamError as error:
            self._put(error.failure, 0)
        except DataError as error:
            self._put(StreamFailure(str(error), "ABORTED"), 0)
        except AthanorError as error:
            self._put(error, 0)
        finally:
            with self._changed:
                self._done = True
                self.elapsed_s = time.monotonic() - start
                self._changed.notify_all()
            self._call.cancel()

    def _put(self, item: Item, n_bytes: int) -> None:
        with self._changed:
            self._silent_since = None
            while self._queued_bytes + n_bytes > QUEUE_BYTES and self._items and not self._closed:
                self._changed.wait()
            if self._closed:
                if n_bytes:
                    self._budget.give(n_bytes)
                return
            self._items.append((item, n_bytes))
            self._queued_bytes += n_bytes
            self._silent_since = time.monotonic()
            self._changed.notify_all()

    def _frames(self) -> Iterator[tuple[SeriesFrame | WarningFrame | HintsFrame, int]]:
        """Parsed frames with the bytes reserved for each; small messages are parsed together."""
        waiting: list[bytes] = []
        n_waiting, waiting_since = 0, 0.0
        for message in self._call:
            if self._closed:
                return
            now = self._silent_since = time.monotonic()
            self.n_messages += 1
            self.n_bytes += len(message)
            small = message[:1] == b"\x0a" and len(message) < JOIN_BYTES
            if small:
                if not waiting:
                    waiting_since = now
                waiting.append(message)
                n_waiting += len(message)
                if n_waiting < JOIN_BYTES and now - waiting_since < JOIN_S:
                    continue
            if waiting:
                yield self._parse(b"".join(waiting), True)
                waiting, n_waiting = [], 0
            if not small:
                yield self._parse(message, False)
        if waiting:
            yield self._parse(b"".join(waiting), True)

    def _parse(self, data: bytes, joined: bool) -> tuple[SeriesFrame | WarningFrame | HintsFrame, int]:
        options = self._options
        who = f"a frame of {options.where}"
        self._budget.take(who, len(data))
        try:
            frame: SeriesFrame | WarningFrame | HintsFrame
            if joined:
                frame = read_joined_frames(data, where=options.where, keep_empty=options.keep_empty)
            elif data[:1] == columns.TAG:
                frame = columns.read_column_frame(data, where=options.where, keep_empty=options.keep_empty)
            else:
                frame = read_series_frame(data, where=options.where, keep_empty=options.keep_empty)
            if not isinstance(frame, SeriesFrame):
                self._budget.give(len(data))
                return frame, 0
            if options.counts:
                self.n_series += len(frame)
                self.n_chunks += len(frame.chunks)
                self.n_samples += samples_in_headers(frame.chunks)
            if options.drop_labels:
                frame = SeriesFrame(drop(frame.labels, options.drop_labels), frame.chunks)
            if options.shard is not None:
                frame = keep_shard(frame, options.shard)
            if not options.drop_labels and kernels.first_descent(frame.labels.arena, frame.labels.offsets) >= 0:
                frame = sorted_frames([frame])
            self._check_order(frame)
            self._budget.take(who, frame.n_bytes - len(data))
        except BaseException:
            self._budget.give(len(data))
            raise
        return frame, frame.n_bytes

    def _check_order(self, frame: SeriesFrame) -> None:
        """Frames of a stream that is not sorted again must follow each other in label order."""
        if self._options.drop_labels or not len(frame):
            return
        if self._last is not None and compare(self._last, 0, frame.labels, 0) > 0:
            raise DataError(
                f"{self._options.where}: series out of order: {frame.labels.pairs(0)} came after "
                f"{self._last.pairs(0)}; the store breaks the sorting contract of Series"
            )
        self._last = take(frame.labels, np.array([len(frame) - 1]))

    def _read_to_the_end(self, items: Iterator[tuple[SeriesFrame | WarningFrame | HintsFrame, int]]) -> None:
        """Collect everything, then hand on one sorted frame: removing labels may have changed the order."""
        frames: list[SeriesFrame] = []
        held = 0
        try:
            for item, n_bytes in items:
                if isinstance(item, SeriesFrame):
                    frames.append(item)
                    held += n_bytes
                else:
                    self._put(item, n_bytes)
        except StreamError as error:
            # compat: what had arrived before the error still counts (thanos pkg/store/proxy_merge.go)
            self._put(error.failure, 0)
        except BaseException:
            self._budget.give(held)
            raise
        try:
            self._budget.take(f"sorting the series of {self._options.where}", held)
        except AthanorError:
            self._budget.give(held)
            raise
        frame = sorted_frames(frames) if frames else None
        n_bytes = frame.n_bytes if frame is not None else 0
        self._budget.give(held + held - n_bytes)
        if frame is not None:
            self._put(frame, n_bytes)
