"""Frames of one block made one ahead in a thread of the pool, while the one before is sent."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

from athanor.storeapi.frames import SeriesFrame


class PrefetchedFrames:
    """A ``FrameSource`` over an iterator of frames; the iterator runs in one thread at a time.

    ``close`` waits for what is running, which sees the cancellation of its call between two steps.
    """

    def __init__(self, frames: Iterator[SeriesFrame], pool: ThreadPoolExecutor) -> None:
        self._frames = frames
        self._pool = pool
        self._next: Future[SeriesFrame | None] | None = pool.submit(self._pull)

    def _pull(self) -> SeriesFrame | None:
        return next(self._frames, None)

    def next_frame(self) -> SeriesFrame | None:
        if self._next is None:
            return None
        frame = self._next.result()
        self._next = None if frame is None else self._pool.submit(self._pull)
        return frame

    def close(self) -> None:
        if self._next is not None:
            if not self._next.cancel():
                wait([self._next])
            self._next = None
        close = getattr(self._frames, "close", None)
        if close is not None:
            close()
