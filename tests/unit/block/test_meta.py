from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from athanor.block.meta import BlockFile, BlockMeta, ThanosMeta
from athanor.model.errors import DataError

GOLDEN = sorted((Path(__file__).parents[2] / "golden/block/meta").glob("*.meta.json"))
MINIMAL = b'{"ulid":"01J00000000000000000000000","minTime":1,"maxTime":2,"version":1}'


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_files_of_the_originals_are_written_again_byte_for_byte(path: Path):
    content = path.read_bytes()
    assert BlockMeta.from_json(content, path.name).to_json() == content


def test_the_fields_of_an_uploaded_block_are_read():
    path = next(path for path in GOLDEN if path.name.endswith("uploaded.meta.json"))
    meta = BlockMeta.from_json(path.read_bytes(), path.name)
    assert (meta.ulid, meta.first_ms, meta.end_ms) == ("01M85PJ3KHR8M7MY2BREAE10XS", 1700006400000, 1700013560001)
    assert (meta.stats.n_series, meta.stats.n_chunks, meta.stats.n_samples) == (16, 32, 2880)
    assert meta.external_labels == {"cluster": "eu1", "replica": "a"}
    assert meta.thanos is not None
    assert meta.thanos.source == "sidecar"
    assert meta.thanos.files[2] == BlockFile("meta.json")
    assert meta.thanos.files[1].size_bytes == 1750


def test_keys_match_in_any_case_and_unknown_keys_are_ignored():
    meta = BlockMeta.from_json(b'{"ULID":"x","mintime":5,"MaxTime":6,"version":1,"news":{"a":1}}', "b")
    assert (meta.ulid, meta.first_ms, meta.end_ms) == ("x", 5, 6)


def test_labels_are_escaped_as_go_escapes_them():
    meta = replace(BlockMeta.from_json(MINIMAL, "b"), thanos=ThanosMeta({"b": "<&>\u2028", "a": "é"}))
    text = meta.to_json().decode()
    assert '"a": "é",\n\t\t\t"b": "\\u003c\\u0026\\u003e\\u2028"' in text
    assert BlockMeta.from_json(text.encode(), "b") == meta


def test_null_labels_stay_null_and_extensions_are_kept():
    source = replace(BlockMeta.from_json(MINIMAL, "b"), thanos=ThanosMeta(None, extensions={"x": [1, {"y": None}]}))
    again = BlockMeta.from_json(source.to_json(), "b")
    assert again == source
    assert again.external_labels == {}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "b: not JSON"),
        (b"[]", "b: list where an object was expected"),
        (b'{"version":2}', "b: unexpected meta file version 2"),
        (b'{"version":1,"minTime":"1"}', "field 'minTime' is str, expected int"),
        (b'{"version":1,"stats":{"numSamples":-1}}', "b: stats: field 'numSamples' is -1"),
        (b'{"version":1,"thanos":{"labels":{"a":1}}}', "field 'labels' is no map of texts"),
        (b'{"version":1,"compaction":{"sources":[1]}}', "field 'sources' holds more than texts"),
        (b'{"version":1,"maxTime":9223372036854775808}', "beyond 64 bits"),
    ],
)
def test_a_broken_file_is_a_data_error_that_names_the_field(content: bytes, text: str):
    with pytest.raises(DataError) as raised:
        BlockMeta.from_json(content, "b")
    assert text in str(raised.value)


@pytest.mark.parametrize("path", GOLDEN[:2], ids=lambda path: path.name)
def test_a_damaged_file_is_a_data_error_or_another_meta_and_never_a_crash(path: Path):
    content = path.read_bytes()
    damaged = [content[:at] for at in range(len(content))]
    for change in (0x01, 0x80, 0xFF):
        damaged += [content[:at] + bytes([content[at] ^ change]) + content[at + 1 :] for at in range(len(content))]
    errors: list[str] = []
    for broken in damaged:
        try:
            BlockMeta.from_json(broken, path.name).to_json()
        except DataError as error:
            errors.append(str(error))
    assert len(errors) > len(content)
    assert all(path.name in error for error in errors)
