"""Label-table operations against dictionaries."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.kernel import labels
from athanor.model.tables import label_table

NAMES = ["__name__", "a", "ab", "job", "le", "zone", "é"]
VALUES = ["", "0", "1", "x" * 127, "x" * 128, "ü", "b\x00c"]
label_sets = st.lists(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=12)


def clean(d: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in d.items() if v}


def key(d: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return sorted((k.encode(), v.encode()) for k, v in clean(d).items())


def rows_of(table):
    return [dict(table.pairs(i)) for i in range(len(table))]


@given(label_sets)
def test_pairs_come_back_as_they_went_in(sets):
    assert rows_of(label_table([list(d.items()) for d in sets])) == [clean(d) for d in sets]


@given(label_sets)
def test_sort_order_is_that_of_sorted_pairs(sets):
    table = label_table([list(d.items()) for d in sets])
    expected = sorted(range(len(sets)), key=lambda i: key(sets[i]))
    assert labels.sort_order(table).tolist() == expected


@given(label_sets, st.lists(st.sampled_from(NAMES), unique=True, max_size=4))
def test_keep_and_drop_are_dictionary_filters(sets, names):
    table = label_table([list(d.items()) for d in sets])
    assert rows_of(labels.keep(table, names)) == [{k: v for k, v in clean(d).items() if k in names} for d in sets]
    assert rows_of(labels.drop(table, names)) == [{k: v for k, v in clean(d).items() if k not in names} for d in sets]


@given(label_sets, st.lists(st.sampled_from(NAMES), unique=True, max_size=4), st.booleans())
def test_groups_are_numbered_by_first_appearance(sets, names, by):
    table = label_table([list(d.items()) for d in sets])
    codes, groups = labels.group(table, names, by)
    seen: list[dict[str, str]] = []
    expected = []
    for d in sets:
        kept = {k: v for k, v in clean(d).items() if (k in names) == by and (by or k != "__name__")}
        if kept not in seen:
            seen.append(kept)
        expected.append(seen.index(kept))
    assert codes.tolist() == expected
    assert rows_of(groups) == seen


@given(label_sets, st.sampled_from(NAMES))
def test_a_column_is_the_values_of_one_label(sets, name):
    column = labels.column(label_table([list(d.items()) for d in sets]), name)
    assert [column.values[c].decode() for c in column.codes] == [d.get(name, "") for d in sets]
    assert len(set(column.values)) == len(column.values)


@given(label_sets, st.sampled_from(NAMES), st.data())
def test_set_column_replaces_adds_and_removes(sets, name, data):
    table = label_table([list(d.items()) for d in sets])
    codes = np.array([data.draw(st.integers(-1, len(VALUES) - 1)) for _ in sets], np.int32)
    result = labels.set_column(table, name, codes, [v.encode() for v in VALUES])
    expected = [clean(d if c < 0 else {**d, name: VALUES[c]}) for d, c in zip(sets, codes.tolist(), strict=True)]
    assert rows_of(result) == expected
    assert [result.encoded(i) for i in range(len(sets))] == [
        label_table([list(d.items())]).encoded(0) for d in expected
    ]


@given(label_sets, label_sets)
@settings(max_examples=50)
def test_an_index_finds_equal_sets_of_another_table(left, right):
    index = labels.SetIndex(label_table([list(d.items()) for d in left]))
    found = index.find(label_table([list(d.items()) for d in right])).tolist()
    distinct: list[dict[str, str]] = []
    for d in left:
        if clean(d) not in distinct:
            distinct.append(clean(d))
    assert found == [distinct.index(clean(d)) if clean(d) in distinct else -1 for d in right]


@given(label_sets, st.data())
def test_take_and_concat_move_whole_sets(sets, data):
    table = label_table([list(d.items()) for d in sets])
    rows = data.draw(st.lists(st.integers(0, len(sets) - 1), max_size=8)) if sets else []
    taken = labels.take(table, np.array(rows, np.int64))
    assert rows_of(taken) == [clean(sets[i]) for i in rows]
    assert rows_of(labels.concat([table, taken])) == [clean(d) for d in sets] + [clean(sets[i]) for i in rows]
