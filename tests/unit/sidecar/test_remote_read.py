from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import cramjam
import numpy as np
import pytest
import xxhash
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from athanor.model.errors import DataError
from athanor.model.matchers import Matcher, MatchType
from athanor.model.tables import ENCODING_XOR, RAW
from athanor.sidecar.remote_read import FrameCounter, read_frames, read_request
from athanor.storeapi.hashes import fill_hashes
from athanor.storeapi.messages import encode, prometheus

RECORDED = json.loads((Path(__file__).parents[2] / "golden/sidecar/remote_read_frames.json").read_text())
STREAM = b"".join(bytes.fromhex(frame["frame_hex"]) for frame in RECORDED["frames"])


def plain_crc32c(data: bytes) -> int:
    """The checksum bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def framed(payload: bytes) -> bytes:
    length, head = len(payload), bytearray()
    while length >= 0x80:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(head) + bytes([length]) + plain_crc32c(payload).to_bytes(4, "big") + payload


def plain_read(stream: bytes) -> list[tuple[list[tuple[str, str]], list[tuple[int, int, int, bytes]]]]:
    """The same frames through the protobuf library, one object after the other."""
    found, at = [], 0
    while at < len(stream):
        length = shift = 0
        while True:
            byte, at = stream[at], at + 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        payload, at = stream[at + 4 : at + 4 + length], at + 4 + length
        for series in prometheus.ChunkedReadResponse.FromString(payload).chunked_series:
            labels = sorted((label.name, label.value) for label in series.labels if label.value)
            chunks = [(c.min_time_ms, c.max_time_ms, c.type, bytes(c.data)) for c in series.chunks]
            found.append((labels, chunks))
    return found


def read(pieces: list[bytes]) -> list[tuple[list[tuple[str, str]], list[tuple[int, int, int, bytes]]]]:
    found = []
    for frame in read_frames(pieces, FrameCounter(), where="test"):
        chunks = frame.chunks
        for row in range(len(frame)):
            mine = np.flatnonzero(chunks.series == row).tolist()
            listed = [
                (
                    int(chunks.first_ms[i]),
                    int(chunks.last_ms[i]),
                    int(chunks.encoding[i]),
                    chunks.arena[chunks.at[i] : chunks.at[i] + chunks.size[i]].tobytes(),
                )
                for i in mine
            ]
            found.append((frame.labels.pairs(row), listed))
    return found


def test_the_request_is_the_recorded_one_but_for_the_types_it_accepts():
    body = read_request(1700000000000, 1700000030000, [Matcher(MatchType.RE, "__name__", ".+")])
    recorded = prometheus.ReadRequest.FromString(bytes.fromhex(RECORDED["request"]["read_request_hex"]))
    sent = prometheus.ReadRequest.FromString(bytes(cramjam.snappy.decompress_raw(body)))
    assert sent.queries == recorded.queries
    assert list(sent.accepted_response_types) == [1]


def test_recorded_frames_are_read():
    frames = list(read_frames([STREAM], FrameCounter(), where="test"))
    assert len(frames) == 1
    (frame,) = frames
    chunks = fill_hashes(frame.chunks)
    for row, recorded in enumerate(RECORDED["frames"]):
        assert [list(pair) for pair in frame.labels.pairs(row)] == recorded["labels"]
        (chunk,) = recorded["chunks"]
        data = chunks.arena[chunks.at[row] : chunks.at[row] + chunks.size[row]].tobytes()
        assert data.hex() == chunk["data_hex"]
        assert (chunks.first_ms[row], chunks.last_ms[row]) == (chunk["min_time_ms"], chunk["max_time_ms"])
        assert (chunks.encoding[row], chunks.aggregate[row]) == (ENCODING_XOR, RAW)
        assert chunks.hash[row] == int(chunk["xxh64"]) == xxhash.xxh64_intdigest(data)


@given(st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_where_the_stream_is_cut_into_pieces_does_not_matter(cuts: list[int]):
    at = sorted({0, len(STREAM), *cuts})
    pieces = [STREAM[a:b] for a, b in pairwise(at)]
    assert read(pieces) == plain_read(STREAM)


chunk_strategy = st.builds(
    lambda first, last, kind, data: prometheus.Chunk(min_time_ms=first, max_time_ms=last, type=kind, data=data),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(1, 6),
    st.binary(max_size=300),
)
label_strategy = st.builds(
    lambda name, value: prometheus.Label(name=name, value=value),
    st.text("abcdef", min_size=1, max_size=3),
    st.text(max_size=200),
)
series_strategy = st.builds(
    lambda labels, chunks: prometheus.ChunkedSeries(labels=labels, chunks=chunks),
    st.lists(label_strategy, max_size=4, unique_by=lambda label: label.name),
    st.lists(chunk_strategy, max_size=4),
)


@given(st.lists(st.lists(series_strategy, max_size=3), max_size=4))
def test_the_kernel_reads_what_the_plain_reader_reads(frames):
    payloads = [encode(prometheus.ChunkedReadResponse(chunked_series=series, query_index=3)) for series in frames]
    stream = b"".join(framed(payload) for payload in payloads)
    assert read([stream] if stream else []) == plain_read(stream)


def test_every_frame_is_counted():
    counter = FrameCounter()
    list(read_frames([STREAM], counter, where="test"))
    assert counter.n_frames == 3


@pytest.mark.parametrize("at", range(len(STREAM)))
def test_a_changed_byte_is_noticed(at: int):
    broken = bytearray(STREAM)
    broken[at] ^= 1
    with pytest.raises(DataError):
        read([bytes(broken)])


@pytest.mark.parametrize("size", [1, 50, 102, 104, len(STREAM) - 1])
def test_a_stream_that_ends_inside_a_frame_is_an_error(size: int):
    with pytest.raises(DataError, match="the stream ended"):
        read([STREAM[:size]])


def test_a_frame_above_the_limit_is_refused_before_it_is_read():
    with pytest.raises(DataError, match="message size exceeded the limit 50000000 bytes"):
        read([bytes.fromhex("81e1eb17") + bytes(20)])  # 50,000,001


@given(st.data())
def test_hostile_payloads_with_a_right_checksum_end_in_an_error_or_the_plain_answer(data):
    payload = bytearray(STREAM[5:103])
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    stream = framed(bytes(payload))
    try:
        found = read([stream])
    except DataError:
        return
    try:
        expected = plain_read(stream)
    except DecodeError:  # the library refuses texts that are not UTF-8, Go does not
        return
    assert found == expected


def test_a_chunk_without_encoding_is_an_error():
    series = prometheus.ChunkedSeries(chunks=[prometheus.Chunk(data=b"x")])
    with pytest.raises(DataError, match="encoding"):
        read([framed(encode(prometheus.ChunkedReadResponse(chunked_series=[series])))])
