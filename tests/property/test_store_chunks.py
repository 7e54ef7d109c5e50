"""Chunk records and aggregate chunks that the store reads, against plain readers; hostile bytes end in a status."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from athanor.kernel.checksum_kernels import crc32c
from athanor.store import chunk_kernels as kernels
from athanor.store import entry_kernels


def uvarint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def record(encoding, data):
    body = bytes([encoding]) + data
    array = np.frombuffer(body, np.uint8)
    return uvarint(len(data)) + body + int(crc32c(array, 0, array.size)).to_bytes(4, "big")


def locate(data, at, end):
    n = len(at)
    data_at, size, needed = (np.zeros(n, np.int64) for _ in range(3))
    encoding = np.zeros(n, np.uint8)
    array = np.frombuffer(data, np.uint8)
    status, bad = kernels.locate_chunks(
        array, np.array(at, np.int64), np.array(end, np.int64), data_at, size, encoding, needed
    )
    return status, bad, data_at, size, encoding, needed


RECORDS = st.lists(st.tuples(st.sampled_from([1, 2, 3, 255]), st.binary(max_size=300)), min_size=1, max_size=6)


@given(RECORDS, st.binary(max_size=5))
def test_records_are_found_where_they_were_written(records, gap):
    data, at = b"", []
    for encoding, content in records:
        data += gap
        at.append(len(data))
        data += record(encoding, content)
    status, _, data_at, size, encoding, needed = locate(data, at, [len(data)] * len(at))
    assert status == 0 and not needed.any()
    found = [(e, data[a : a + s]) for e, a, s in zip(encoding.tolist(), data_at.tolist(), size.tolist(), strict=True)]
    assert found == records


@given(st.sampled_from([1, 255]), st.binary(max_size=300), st.data())
def test_a_record_that_was_read_in_part_says_how_much_it_needs(encoding, content, data):
    whole = record(encoding, content)
    n = data.draw(st.integers(0, len(whole) - 1))
    status, _, _, _, _, needed = locate(whole[:n], [0], [n])
    assert status == 0
    length_bytes = len(uvarint(len(content)))
    assert needed[0] == (len(whole) if n >= length_bytes else kernels.MAX_LENGTH_BYTES + 1 + kernels.CRC_BYTES)


def test_a_wrong_checksum_and_an_endless_length_are_statuses():
    good = record(1, b"abc")
    assert locate(good[:-1] + b"\0", [0], [len(good)])[:2] == (kernels.BAD_CHECKSUM, 0)
    assert locate(b"\xff" * 12, [0], [12])[:2] == (kernels.BAD_LENGTH, 0)
    assert locate(b"", [0], [4])[:2] == (kernels.BAD_LENGTH, 0)


SUB_CHUNK = st.none() | st.tuples(st.sampled_from([1, 2, 3]), st.binary(min_size=1, max_size=40))
SUB_CHUNKS = st.lists(SUB_CHUNK, min_size=5, max_size=5)


def expand(data, chunks, wanted):
    n = len(chunks)
    at, size, encoding = (np.array([c[i] for c in chunks], t) for i, t in ((0, np.int64), (1, np.int64), (2, np.uint8)))
    series = np.arange(n, dtype=np.int32)
    first_ms, last_ms = np.arange(n, dtype=np.int64) * 10, np.arange(n, dtype=np.int64) * 10 + 5
    room = n * kernels.N_AGGREGATES
    source, out_first, out_last, out_at, out_size = (np.zeros(room, np.int64) for _ in range(5))
    out_series = np.zeros(room, np.int32)
    out_encoding, out_aggregate = np.zeros(room, np.uint8), np.zeros(room, np.uint8)
    rows, status, bad = kernels.expand_aggregates(
        np.frombuffer(data, np.uint8), series, first_ms, last_ms, at, size, encoding, wanted,
        source, out_series, out_first, out_last, out_encoding, out_aggregate, out_at, out_size,
    )  # fmt: skip
    found = [
        (int(source[i]), int(out_aggregate[i]), int(out_encoding[i]), data[out_at[i] : out_at[i] + out_size[i]])
        for i in range(rows)
    ]
    return found, status, bad


@given(st.lists(SUB_CHUNKS, min_size=1, max_size=4), st.sets(st.integers(1, 5)))
def test_the_wanted_sub_chunks_come_out_untouched(chunks, wanted):
    data, spans, expected, missing = b"", [], [], None
    for c, subs in enumerate(chunks):
        body = b"".join(b"\0" if s is None else uvarint(len(s[1])) + bytes([s[0]]) + s[1] for s in subs)
        spans.append((len(data), len(body), 255))
        data += body
        for k in sorted(wanted):
            sub = subs[k - 1]
            if sub is None and missing is None:
                missing = 8 * c + k
            elif missing is None:
                expected.append((c, k, *sub))
        if not wanted:
            expected.append((c, 0, 0, b""))
    found, status, bad = expand(data, spans, sum(1 << k for k in wanted))
    assert found == expected
    assert (status, bad) == ((kernels.MISSING_AGGREGATE, missing) if missing is not None else (0, 0))


def test_raw_chunks_pass_whatever_is_wanted():
    assert expand(b"abcdef", [(0, 3, 1), (3, 3, 2)], 0b110) == ([(0, 0, 1, b"abc"), (1, 0, 2, b"def")], 0, 0)


def test_hostile_aggregate_chunks_end_in_a_status_or_inside_their_bytes():
    luck = random.Random(7)
    body = b"".join(uvarint(20) + b"\1" + bytes(20) for _ in range(5))
    for _ in range(3000):
        broken = bytearray(body)
        for _ in range(luck.randint(1, 3)):
            broken[luck.randrange(len(broken))] = luck.randrange(256)
        cut = luck.randint(0, len(broken))
        found, _, _ = expand(bytes(broken), [(0, cut, 255)], luck.randrange(64))
        assert sum(len(data) for *_, data in found) <= cut


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5), st.data())
def test_an_entry_says_how_much_it_needs(bodies, data):
    content, at = b"", []
    for body in bodies:
        at.append(len(content))
        content += uvarint(len(body)) + body + b"crc!"
    end = data.draw(st.integers(0, len(content)))
    needed = np.zeros(len(at), np.int64)
    starts = [min(a, end) for a in at]
    bad = entry_kernels.measure_entries(
        np.frombuffer(content[:end], np.uint8), np.array(starts, np.int64), np.full(len(at), end), needed
    )
    assert bad == 0
    for body, begin, start, wanted in zip(bodies, at, starts, needed.tolist(), strict=True):
        whole = len(uvarint(len(body))) + len(body) + 4
        if start == begin and end - begin >= whole:
            assert wanted == 0
        elif start == begin and end - begin >= len(uvarint(len(body))):
            assert wanted == whole
        else:
            assert wanted == entry_kernels.MAX_LENGTH_BYTES


def test_golden_blocks_hold_no_record_that_is_not_found():
    for path in (Path(__file__).parents[1] / "golden/store/bucket").glob("*/chunks/*"):
        data = path.read_bytes()
        at = 8
        while at < len(data):
            status, _, data_at, size, _, needed = locate(data, [at], [len(data)])
            assert status == 0 and not needed.any()
            at = int(data_at[0] + size[0]) + 4
        assert at == len(data)
