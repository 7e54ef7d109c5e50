"""Deletions are read and written as Prometheus does."""

from __future__ import annotations

from pathlib import Path

import pytest

from athanor.block.tombstones import add_interval, decode_tombstones, encode_tombstones
from athanor.model.errors import DataError

GOLDEN = Path(__file__).parents[2] / "golden" / "block" / "tombstones"


def test_a_real_file_is_read() -> None:
    assert decode_tombstones(GOLDEN.read_bytes(), "here") == {
        10: ((1700000000000, 1700003645000),),
        8: ((1700000015000, 1700000045000), (1700000070000, 1700000075000)),
    }


def test_the_file_of_no_deletions_has_nine_bytes() -> None:
    assert encode_tombstones({}) == bytes.fromhex("0130ba300100000000")


def test_what_is_written_is_read_again() -> None:
    deleted = {1: ((-(2**63), -1), (5, 5)), 2**32 - 1: ((0, 2**63 - 1),)}
    assert decode_tombstones(encode_tombstones(deleted), "here") == deleted


def test_spans_that_overlap_or_touch_become_one() -> None:
    assert add_interval(((1, 3), (10, 12)), 4, 5) == ((1, 5), (10, 12))
    assert add_interval(((1, 3), (10, 12)), 5, 8) == ((1, 3), (5, 8), (10, 12))
    assert add_interval(((1, 3), (10, 12)), 0, 9) == ((0, 12),)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "invalid size"),
        (bytes.fromhex("0130ba310100000000"), "invalid magic number 130ba31"),
        (bytes.fromhex("0130ba300200000000"), "invalid tombstone format 2"),
        (bytes.fromhex("0130ba300100000001"), "checksum did not match"),
    ],
)
def test_broken_files_are_refused(content: bytes, text: str) -> None:
    with pytest.raises(DataError, match=f"block X: .*{text}"):
        decode_tombstones(content, "block X")
