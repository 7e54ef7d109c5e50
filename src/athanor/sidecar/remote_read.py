"""The answer of a Prometheus to a streamed remote read: bytes as they arrive to columns of series.

Layout of the frames: see ``remote_read_kernels``. Only the bytes of an unfinished frame are kept between pieces.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cramjam
import numpy as np

from athanor.model.arrays import U8, as_bytes
from athanor.model.errors import DataError
from athanor.model.matchers import Matcher
from athanor.sidecar import remote_read_kernels as kernels
from athanor.storeapi.frames import SeriesFrame, read_joined_frames
from athanor.storeapi.matching import wire_matchers
from athanor.storeapi.messages import encode, prometheus

REQUEST_HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-stream-protobuf",
    "X-Prometheus-Remote-Read-Version": "0.1.0",
}
STREAMED_TYPE = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
STREAMED_XOR_CHUNKS = 1

_PROBLEMS = {
    kernels.BAD_FIELD: "a field that breaks the wire format",
    kernels.BAD_ENCODING: "a chunk whose encoding is not between 1 and 254",
    kernels.BAD_FRAME_LENGTH: "a frame length that is no number",
}


def read_request(first_ms: int, last_ms: int, matchers: Iterable[Matcher]) -> bytes:
    """One query for chunks, in Snappy's block format; both times included."""
    query = prometheus.Query(
        start_timestamp_ms=first_ms,
        end_timestamp_ms=last_ms,
        matchers=[prometheus.LabelMatcher(type=m.type, name=m.name, value=m.value) for m in wire_matchers(matchers)],
    )
    request = prometheus.ReadRequest(queries=[query], accepted_response_types=[STREAMED_XOR_CHUNKS])
    return bytes(cramjam.snappy.compress_raw(encode(request)))


class FrameCounter:
    """How many frames a stream had."""

    def __init__(self) -> None:
        self.n_frames = 0


def read_frames(pieces: Iterable[bytes], counter: FrameCounter, *, where: str) -> Iterator[SeriesFrame]:
    """The series of a stream in the order of arrival, one table for each piece that completes a frame.

    Encodings are those of TSDB, hashes are unknown (0). Raises DataError naming ``where`` and the position in the
    stream; a stream that ends inside a frame is one.
    """
    pending = b""
    passed = 0
    for piece in pieces:
        data = as_bytes(pending + piece if pending else piece)
        rewritten, used, n_frames = _rewrite(data, where, passed)
        counter.n_frames += n_frames
        pending = data[used:].tobytes()
        passed += used
        if rewritten.size:
            yield read_joined_frames(rewritten.tobytes(), where=where)
    if pending:
        raise DataError(f"{where}: the stream ended {len(pending)} bytes into the frame at byte {passed}")


def _rewrite(data: U8, where: str, passed: int) -> tuple[U8, int, int]:
    size = data.size + data.size // 8 + 256
    while True:
        out = np.empty(size, np.uint8)
        status, at, written, n_frames, _ = kernels.rewrite_frames(data, out)
        if status == kernels.OK:
            return out[:written], int(at), int(n_frames)
        if status != kernels.NO_ROOM:
            break
        size *= 2
    if status == kernels.BAD_CHECKSUM:
        text = "chunkedReader: corrupted frame; checksum mismatch"
    elif status == kernels.TOO_LONG:
        text = f"chunkedReader: message size exceeded the limit {kernels.MAX_FRAME_BYTES} bytes"
    else:
        text = _PROBLEMS[status]
    raise DataError(f"{where}: byte {passed + at} of the stream: {text}")
