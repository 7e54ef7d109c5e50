"""No bytes of a block lead to other samples, a crash or a hang: a DataError, or what the plain reader says.

The long share runs every byte; with ATHANOR_BOUNDSCHECK=1 every index is checked too. Files end at a forbidden page.
"""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import block_reference as reference
import numpy as np
import pytest

from athanor.block.header import build_header, parse_header
from athanor.block.meta import BlockMeta
from athanor.block.reader import LocalBlock, block_from_files
from athanor.block.tombstones import decode_tombstones
from athanor.model.errors import DataError
from athanor.model.workspace import Workspace

GOLDEN = Path(__file__).parents[2] / "golden" / "block"
BLOCKS = sorted(path.name for path in (GOLDEN / "blocks").iterdir())
SMALL, MAIN = "01M810R3BH9EYZAGN34ATD1292", "01M8103DZ3ES4CV8C1462SPPP2"
OTHER_ENCODINGS = (2, 3, 255)  # native histograms, downsampled
META = BlockMeta(SMALL, 0, 1)
INDEX, SEGMENT = "index", "chunks/000001"
NAMED = re.compile(r"block X: (index|chunks/000001|segment index)")


@dataclass(frozen=True)
class Answer:
    """Everything that a reader gets from a block."""

    labels: bytes
    label_offsets: bytes
    chunks: bytes
    data: bytes
    samples: bytes


def everything(block: LocalBlock) -> Answer:
    entries = block.entries(block.series_refs())
    labels, chunks = block.labels(entries), block.chunks(entries)
    spans = zip(chunks.at.tolist(), chunks.size.tolist(), strict=True)
    data = b"".join(chunks.arena[at : at + size].tobytes() for at, size in spans)
    content = b""
    if not np.isin(chunks.encoding, OTHER_ENCODINGS).any():
        samples = block.samples(entries, Workspace())
        content = samples.offsets.tobytes() + samples.ts_ms.tobytes() + samples.values.tobytes()
    columns = np.concatenate((chunks.series, chunks.first_ms, chunks.last_ms, chunks.encoding, chunks.size))
    return Answer(labels.arena.tobytes(), labels.offsets.tobytes(), columns.tobytes(), data, content)


class Files:
    """The two large files of a golden block, of which one at a time is damaged."""

    def __init__(self, ulid: str) -> None:
        self.content = {name: (GOLDEN / "blocks" / ulid / name).read_bytes() for name in (INDEX, SEGMENT)}
        self._guards = {name: reference.Guarded(len(content) + 64) for name, content in self.content.items()}
        self._arrays = {name: self._guards[name].put(content) for name, content in self.content.items()}
        self.sound = self.read()

    def read(self) -> Answer:
        segments = {"000001": self._arrays[SEGMENT]}
        return everything(block_from_files("block X", META, self._arrays[INDEX], segments, None))

    def check(self, name: str, damaged: bytes) -> bool:
        """Whether the damage was noticed; fails where something else than the plain reader's answer came out."""
        self._arrays[name] = self._guards[name].put(damaged)
        try:
            found = self.read()
        except DataError as error:
            if not NAMED.match(str(error)):
                raise AssertionError(f"does not name block and file: {error}") from error
            return True
        finally:
            self._arrays[name] = self._guards[name].put(self.content[name])
        if found != self.sound and found.samples:
            files = self.content | {name: damaged}
            plain = reference.block(files[INDEX], [files[SEGMENT]])
            flat = [sample for _, samples in plain for sample in samples]
            assert np.frombuffer(found.samples, np.uint64).tolist() == [
                *np.cumsum([0, *(len(samples) for _, samples in plain)]).tolist(),
                *(t % 2**64 for t, _ in flat),
                *(v for _, v in flat),
            ]
        return False


def flips(content: bytes, positions: Iterator[int] | range) -> Iterator[bytes]:
    for at in positions:
        for byte in (content[at] ^ 0x01, content[at] ^ 0x80, 0xFF):
            if byte != content[at]:
                yield content[:at] + bytes([byte]) + content[at + 1 :]


def sealed_spans(name: str, content: bytes) -> list[tuple[int, int, bool]]:
    """(begin, where content starts, whether the length is fixed): the pieces that carry a checksum of their own."""
    if name == SEGMENT:
        spans, at = [], 8
        while at < len(content):
            reader = reference.Reader(content, at)
            size = reader.uvarint()
            spans.append((at, reader.at, False))
            at = reader.at + size + 5
        return spans
    symbols, series, series_end, _, postings, table = struct.unpack(">6Q", content[-52:-4])
    spans = [(symbols, symbols + 4, True), (table, table + 4, True)]
    at = series
    while (at := -(-at // 16) * 16) < series_end:
        reader = reference.Reader(content, at)
        size = reader.uvarint()
        spans.append((at, reader.at, False))
        at = reader.at + size + 4
    first = -(-postings // 4) * 4
    return [*spans, (first, first + 4, True)]


def resealed(name: str, content: bytearray, begin: int, fixed: bool) -> bytes:
    """The checksum of the piece that begins here made right again, wherever its length now says that it stands."""
    reader = reference.Reader(bytes(content), begin)
    try:
        size = reader.be32() if fixed else reader.uvarint() + (name == SEGMENT)
        body = reader.take(size)
    except reference.Broken:
        return bytes(content)
    content[reader.at : reader.at + 4] = struct.pack(">I", reference.crc32c(body))
    return bytes(content)


def edits(name: str, content: bytes, n: int, seed: int) -> Iterator[bytes]:
    """Seeded edits of one to three bytes of one piece, or of the table of contents, with its checksum right again."""
    rng = random.Random(seed)
    spans = sealed_spans(name, content)
    toc_at = len(content) - 52
    for _ in range(n):
        damaged = bytearray(content)
        if name == INDEX and rng.random() < 0.15:
            at = rng.randrange(6) * 8 + rng.choice((0, 3, 4, 5, 6, 6, 7, 7))
            damaged[toc_at + at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            damaged[-4:] = struct.pack(">I", reference.crc32c(bytes(damaged[-52:-4])))
            yield bytes(damaged)
            continue
        begin, start, fixed = rng.choice(spans)
        end = min((other for other, _, _ in spans if other > begin), default=len(content))
        for _ in range(rng.randint(1, 3)):
            # Lengths, counts and the first fields of an entry stand at its beginning.
            at = rng.randrange(begin, min(end, start + 12)) if rng.random() < 0.6 else rng.randrange(begin, end)
            damaged[at] = rng.choice(
                (0, 1, 2, 0x7F, 0x80, 0xFF, damaged[at] ^ 1 << rng.randrange(8), rng.randrange(256))
            )
        yield resealed(name, damaged, begin, fixed)


@pytest.mark.parametrize("name", [INDEX, SEGMENT])
def test_every_damaged_byte_of_a_small_block_is_noticed_or_without_effect(name: str) -> None:
    files = Files(SMALL)
    content = files.content[name]
    noticed = [files.check(name, damaged) for damaged in flips(content, range(len(content)))]
    assert sum(noticed) > len(content)


@pytest.mark.parametrize("name", [INDEX, SEGMENT])
def test_every_truncation_of_a_small_block_is_noticed(name: str) -> None:
    files = Files(SMALL)
    assert all(files.check(name, files.content[name][:n]) for n in range(len(files.content[name])))


@pytest.mark.parametrize("name", [INDEX, SEGMENT])
def test_edits_behind_right_checksums_read_as_the_plain_reader_reads_them(name: str) -> None:
    files = Files(SMALL)
    noticed = [files.check(name, damaged) for damaged in edits(name, files.content[name], 1500, seed=1)]
    assert 100 < sum(noticed) < 1500


@pytest.mark.parametrize("name", [INDEX, SEGMENT])
def test_some_damage_of_a_larger_block_is_noticed_or_without_effect(name: str) -> None:
    files = Files(MAIN)
    content = files.content[name]
    for damaged in flips(content, iter(random.Random(2).sample(range(len(content)), 100))):
        files.check(name, damaged)


def test_every_damaged_byte_of_a_header_is_noticed() -> None:
    """All of it is under checksums, but for the head, which is compared with the rest."""
    path = GOLDEN / "headers" / "01M85PM8AGQFWHH44Z3NVERKMQ.bin"
    content = path.read_bytes()
    guard = reference.Guarded(len(content))
    for damaged in [*flips(content, range(len(content))), *(content[:n] for n in range(len(content)))]:
        with pytest.raises(DataError, match=r"^block X"):
            parse_header(guard.put(damaged).data, "block X: index-header")


def test_edits_of_tombstones_behind_a_right_checksum_are_read_or_refused() -> None:
    content = (GOLDEN / "tombstones").read_bytes()
    rng = random.Random(3)
    for _ in range(2000):
        damaged = bytearray(content)
        damaged[rng.randrange(5, len(content) - 4)] = rng.randrange(256)
        damaged[-4:] = struct.pack(">I", reference.crc32c(bytes(damaged[5:-4])))
        reader, plain = reference.Reader(bytes(damaged[5:-4])), []
        try:
            while reader.at < len(reader.data):
                plain.append((reader.uvarint(), reader.varint(), reader.varint()))
            sound = all(first <= last for _, first, last in plain)
        except reference.Broken:
            sound = False
        try:
            found = decode_tombstones(bytes(damaged), "block X")
        except DataError:
            assert not sound
            continue
        assert sound
        for series, first, last in plain:
            assert any(a <= first and last <= b for a, b in found[series])


@pytest.mark.long
@pytest.mark.parametrize("name", [INDEX, SEGMENT])
@pytest.mark.parametrize("ulid", BLOCKS)
def test_every_damaged_byte_and_truncation_of_every_block(ulid: str, name: str) -> None:
    files = Files(ulid)
    content = files.content[name]
    for damaged in flips(content, range(len(content))):
        files.check(name, damaged)
    for n in range(len(content)):
        files.check(name, content[:n])


@pytest.mark.long
@pytest.mark.parametrize("name", [INDEX, SEGMENT])
@pytest.mark.parametrize("seed", range(10))
def test_many_edits_behind_right_checksums(seed: int, name: str) -> None:
    files = Files(SMALL)
    for damaged in edits(name, files.content[name], 5000, seed=100 + seed):
        files.check(name, damaged)


@pytest.mark.long
@pytest.mark.parametrize("path", sorted((GOLDEN / "headers").iterdir()), ids=lambda path: path.stem)
def test_every_damaged_byte_of_every_header(path: Path) -> None:
    content = path.read_bytes()
    guard = reference.Guarded(len(content))
    for damaged in [*flips(content, range(len(content))), *(content[:n] for n in range(len(content)))]:
        with pytest.raises(DataError):
            parse_header(guard.put(damaged).data, "block X: index-header")


def test_the_header_of_a_damaged_index_is_never_built_from_another_length() -> None:
    """A source that gives fewer bytes than asked for must not pass as a whole header."""
    content = (GOLDEN / "blocks" / SMALL / "index").read_bytes()
    with pytest.raises(DataError):
        parse_header(
            build_header(lambda at, n: memoryview(content)[at : at + n - 1], len(content), "block X"), "block X"
        )
