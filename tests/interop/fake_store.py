"""A store of the StoreAPI whose answers a test decides, frame by frame."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np

from athanor.block.writer import encode_samples
from athanor.model.tables import Samples, label_table
from athanor.storeapi import messages
from athanor.storeapi.frames import write_series_frames
from athanor.storeapi.messages import info, thanos
from tests.interop.pair import END_S, FIRST_S

Answer = Callable[[threading.Event], Iterator[bytes]]
N_SAMPLES = 480
STEP_MS = 15_000


def frames(name: str, n_frames: int, n_series: int) -> list[bytes]:
    """Frames of n_series series each, in label order, all values random but for the last, which is 1."""
    rng = np.random.default_rng(7)
    made: list[bytes] = []
    for number in range(n_frames):
        sets = [[("__name__", name), ("place", f"{number:04d}-{i:04d}")] for i in range(n_series)]
        values = rng.normal(size=(n_series, N_SAMPLES))
        values[:, -1] = 1.0
        times = FIRST_S * 1000 + STEP_MS * np.tile(np.arange(N_SAMPLES, dtype=np.int64), n_series)
        offsets = np.arange(n_series + 1, dtype=np.int64) * N_SAMPLES
        chunks = encode_samples(Samples(times, values.ravel(), offsets))
        made += write_series_frames(label_table(sets), chunks, 1000, frame_bytes=1 << 30)
    return made


LAST_S = FIRST_S + (N_SAMPLES - 1) * STEP_MS // 1000


class FakeStore:
    """Serves Info and Series on a port of its own; ``answer`` makes the frames of each call. It gets an event that is
    set when the caller has left or the store stops."""

    def __init__(self, answer: Answer, external: Sequence[tuple[str, str]]) -> None:
        self._answer, self._external = answer, external
        self._server = grpc.server(ThreadPoolExecutor(32))
        self._stopped = threading.Event()
        raw = {"request_deserializer": None, "response_serializer": None}
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    "thanos.Store",
                    {
                        "Series": grpc.unary_stream_rpc_method_handler(self._series, **raw),
                        "LabelNames": grpc.unary_unary_rpc_method_handler(
                            lambda request, context: messages.encode(thanos.LabelNamesResponse()), **raw
                        ),
                    },
                ),
                grpc.method_handlers_generic_handler(
                    "thanos.info.Info", {"Info": grpc.unary_unary_rpc_method_handler(self._info, **raw)}
                ),
            )
        )
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def _info(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        response = info.InfoResponse(ComponentType="store")
        labels = response.label_sets.add().labels
        for name, value in self._external:
            labels.add(name=name, value=value)
        response.store.min_time, response.store.max_time = FIRST_S * 1000, END_S * 1000
        return messages.encode(response)

    def _series(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        left = threading.Event()
        context.add_callback(left.set)
        yield from self._answer(left)

    def __enter__(self) -> FakeStore:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait()


def good(made: Sequence[bytes]) -> Answer:
    """All frames at once."""
    return lambda left: iter(made)


def slow(made: Sequence[bytes], n_first: int, go_on: threading.Event) -> Answer:
    """Some frames at once, the others when the test says so."""

    def answer(left: threading.Event) -> Iterator[bytes]:
        yield from made[:n_first]
        go_on.wait(30)
        yield from made[n_first:]

    return answer


def silent(made: Sequence[bytes]) -> Answer:
    """Some frames, and nothing more, ever."""

    def answer(left: threading.Event) -> Iterator[bytes]:
        yield from made
        left.wait(30)

    return answer
