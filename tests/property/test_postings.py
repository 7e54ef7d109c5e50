"""Postings kernels against Python sets."""

from __future__ import annotations

import struct
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athanor.block import postings
from athanor.model.errors import DataError

REFS = st.sets(st.integers(0, 60) | st.integers(0, 2**32 - 1), max_size=40)


def as_array(refs):
    return np.array(sorted(refs), np.uint32)


def as_lists(sets):
    offsets = np.zeros(len(sets) + 1, np.int64)
    np.cumsum([len(s) for s in sets], out=offsets[1:])
    return np.concatenate([as_array(s) for s in sets]) if sets else np.empty(0, np.uint32), offsets


@given(st.lists(REFS, max_size=9))
def test_union_of_many_lists_is_the_union_of_sets(sets):
    refs, offsets = as_lists(sets)
    before = refs.copy()
    assert postings.union(refs, offsets).tolist() == sorted(set().union(*sets))
    assert (refs == before).all()


@given(st.lists(REFS, max_size=5))
def test_intersection_is_the_intersection_of_sets(sets):
    expected = sorted(set.intersection(*sets)) if sets else []
    assert postings.intersection([as_array(s) for s in sets]).tolist() == expected


@given(REFS, REFS)
def test_difference_is_the_difference_of_sets(left, right):
    assert postings.difference(as_array(left), as_array(right)).tolist() == sorted(left - right)


@given(st.lists(REFS, max_size=5), st.binary(max_size=7))
def test_lists_are_decoded_from_their_big_endian_form(sets, gap):
    data, at, end = b"", [], []
    for refs in sets:
        data += gap
        at.append(len(data))
        data += struct.pack(f">{len(refs) + 1}I", len(refs), *sorted(refs))
        end.append(len(data))
    refs, offsets = postings.read_lists(
        np.frombuffer(data, np.uint8), np.array(at, np.int64), np.array(end, np.int64), "test"
    )
    assert [refs[a:b].tolist() for a, b in pairwise(offsets)] == [sorted(s) for s in sets]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "shorter than its count"),
        (b"\0\0\0", "shorter than its count"),
        (b"\0\0\0\2\0\0\0\1", "shorter than its count"),
        (b"\xff\xff\xff\xff\0\0\0\1", "shorter than its count"),
        (b"\0\0\0\2\0\0\0\1\0\0\0\1", "does not ascend"),
        (b"\0\0\0\2\0\0\0\2\0\0\0\1", "does not ascend"),
    ],
)
def test_a_broken_list_is_a_data_error(data, reason):
    array = np.frombuffer(data, np.uint8)
    with pytest.raises(DataError, match=reason):
        postings.read_lists(array, np.array([0], np.int64), np.array([len(data)], np.int64), "test")


def test_a_list_outside_the_buffer_is_a_data_error():
    array = np.zeros(16, np.uint8)
    for at, end in ((-4, 8), (8, 24), (40, 44)):
        with pytest.raises(DataError):
            postings.read_lists(array, np.array([at], np.int64), np.array([end], np.int64), "test")
