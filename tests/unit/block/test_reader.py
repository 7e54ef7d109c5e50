"""Real blocks are read as Prometheus reads them."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import block_reference as reference
import numpy as np
import pytest

from athanor.block.header import build_header, parse_header
from athanor.block.reader import LocalBlock, open_block
from athanor.model.errors import DataError
from athanor.model.workspace import Workspace

GOLDEN = Path(__file__).parents[2] / "golden" / "block"
MAIN, OPENMETRICS, HISTOGRAMS = "01M8103DZ3ES4CV8C1462SPPP2", "01M810R3BH9EYZAGN34ATD1292", "01M810CQN6WMWHZ9J30SPWVVF9"
FLOAT_BLOCKS = [
    MAIN,
    OPENMETRICS,
    "01M810E4M1MPTHWWESA6E62GNR",
    "01M810J0XQ6S52PDZYPTJ0DK6Z",
    "01M85PJ3MD8JA0P6BF4R5NH6BR",
]


def answer(block: LocalBlock) -> reference.Answer:
    entries = block.entries(block.series_refs())
    labels = block.labels(entries)
    samples = block.samples(entries, Workspace())
    pairs = list(zip(samples.ts_ms.tolist(), samples.values.view(np.uint64).tolist(), strict=True))
    bounds = samples.offsets.tolist()
    names = [{n.encode(): v.encode() for n, v in labels.pairs(i)} for i in range(len(labels))]
    return [(name, pairs[a:b]) for name, a, b in zip(names, bounds, bounds[1:], strict=False)]


def value_bits(text: str) -> int:
    special = {"NaN": 0x7FF8000000000001, "StaleNaN": 0x7FF0000000000002}
    if text in special:
        return special[text]
    if text.startswith("NaN:"):
        return int(text[4:], 16)
    return int(struct.unpack(">Q", struct.pack(">d", float(text)))[0])


@pytest.mark.parametrize(("ulid", "dump"), [(MAIN, "block-main"), (OPENMETRICS, "block-openmetrics")])
def test_every_sample_equals_the_dump_of_prometheus(ulid: str, dump: str) -> None:
    expected = json.loads((GOLDEN / f"{dump}.samples.json").read_text())["series"]
    found = {frozenset(labels.items()): samples for labels, samples in answer(open_block(GOLDEN / "blocks" / ulid))}
    assert found == {
        frozenset((n.encode(), v.encode()) for n, v in series["labels"].items()): [
            (t, value_bits(v)) for t, v in series["samples"]
        ]
        for series in expected
    }


@pytest.mark.parametrize("ulid", FLOAT_BLOCKS)
def test_arrays_equal_the_plain_reader(ulid: str) -> None:
    directory = GOLDEN / "blocks" / ulid
    plain = reference.block((directory / "index").read_bytes(), [(directory / "chunks/000001").read_bytes()])
    assert answer(open_block(directory)) == plain


def test_chunks_outside_a_span_are_left_out_and_their_series_stay() -> None:
    block = open_block(GOLDEN / "blocks" / MAIN)
    refs = block.series_refs()
    everything = block.entries(refs)
    first, last = int(everything.first_ms.min()), int(np.sort(everything.last_ms)[10])
    entries = block.entries(refs, (first, last))
    kept = (everything.first_ms <= last) & (everything.last_ms >= first)
    assert 0 < kept.sum() < kept.size
    assert entries.refs.tolist() == everything.refs[kept].tolist()
    assert len(entries) == len(everything) == 52
    assert entries.names.tolist() == everything.names.tolist()


def test_native_histogram_and_downsampled_chunks_keep_their_bytes() -> None:
    for ulid, encodings in ((HISTOGRAMS, {1, 2, 3}), ("01M85PM8AGQFWHH44Z3NVERKMQ", {255})):
        block = open_block(GOLDEN / "blocks" / ulid)
        chunks = block.chunks(block.entries(block.series_refs()))
        segment = (GOLDEN / "blocks" / ulid / "chunks/000001").read_bytes()
        assert set(chunks.encoding.tolist()) == encodings
        for at, size in zip(chunks.at.tolist(), chunks.size.tolist(), strict=True):
            assert chunks.arena[at : at + size].tobytes() in segment


@pytest.mark.parametrize("path", sorted((GOLDEN / "headers").iterdir()), ids=lambda path: path.stem)
def test_the_header_of_an_index_equals_that_of_thanos(path: Path) -> None:
    index = (GOLDEN / "blocks" / path.stem / "index").read_bytes()
    header = build_header(lambda at, n: memoryview(index)[at : at + n], len(index), "index")
    assert header == path.read_bytes()
    assert [name for name in parse_header(header, "index").names if name] == sorted(
        {name.decode() for labels, _ in reference.index(index) for name in labels}
    )


def broken(tmp_path: Path, ulid: str = MAIN) -> Path:
    shutil.copytree(GOLDEN / "blocks" / ulid, tmp_path / ulid)
    return tmp_path / ulid


@pytest.mark.parametrize("missing", ["index", "meta.json", "chunks"])
def test_a_block_without_one_of_its_files_is_named(tmp_path: Path, missing: str) -> None:
    block = broken(tmp_path)
    shutil.rmtree(block / missing) if (block / missing).is_dir() else (block / missing).unlink()
    with pytest.raises(DataError, match=f"block {MAIN}.*{missing}"):
        open_block(block)


def test_a_block_without_tombstones_has_no_deletions(tmp_path: Path) -> None:
    block = broken(tmp_path)
    (block / "tombstones").unlink()
    assert open_block(block).deleted == {}


def test_a_missing_segment_is_named_when_its_chunks_are_read(tmp_path: Path) -> None:
    directory = broken(tmp_path)
    (directory / "chunks/000001").unlink()
    block = open_block(directory)
    with pytest.raises(DataError, match=f"block {MAIN}: segment index 0 out of range"):
        block.chunks(block.entries(block.series_refs()))


def test_a_flipped_bit_in_a_chunk_names_block_file_and_position(tmp_path: Path) -> None:
    directory = broken(tmp_path)
    content = bytearray((directory / "chunks/000001").read_bytes())
    content[20] ^= 1
    (directory / "chunks/000001").write_bytes(content)
    block = open_block(directory)
    with pytest.raises(DataError, match=f"block {MAIN}: chunks/000001 at byte 8: checksum mismatch"):
        block.chunks(block.entries(block.series_refs()))
