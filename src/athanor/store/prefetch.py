"""Where frames of one block are made: one ahead in a thread of a pool, or in the thread that asks for them.

A remote bucket makes readers wait, so the next frame is read while the one before is sent. A local one keeps a core
busy, and handing the interpreter's lock to and fro costs more than a second core brings (500 series x 24 h: 31 ms of
CPU time in two threads, 19 in one).
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

from athanor.storeapi.frames import SeriesFrame


class BlockFrames:
    """A ``FrameSource`` over an iterator of frames, made when they are asked for."""

    def __init__(self, frames: Iterator[SeriesFrame]) -> None:
        self._frames = frames

    def next_frame(self) -> SeriesFrame | None:
        return next(self._frames, None)

    def close(self) -> None:
        close = getattr(self._frames, "close", None)
        if close is not None:
            close()


class PrefetchedFrames(BlockFrames):
    """The same made one ahead in the pool; the iterator runs in one thread at a time.

    ``close`` waits for what is running, which sees the cancellation of its call between two steps.
    """

    def __init__(self, frames: Iterator[SeriesFrame], pool: ThreadPoolExecutor) -> None:
        super().__init__(frames)
        self._pool = pool
        self._next: Future[SeriesFrame | None] | None = pool.submit(super().next_frame)

    def next_frame(self) -> SeriesFrame | None:
        if self._next is None:
            return None
        frame = self._next.result()
        self._next = None if frame is None else self._pool.submit(super().next_frame)
        return frame

    def close(self) -> None:
        if self._next is not None:
            if not self._next.cancel():
                wait([self._next])
            self._next = None
        super().close()
