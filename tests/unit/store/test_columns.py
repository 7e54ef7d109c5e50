"""What the store sends to Athanor's own query says the same as what it sends to everybody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from athanor.storeapi.columns import METADATA, TAG, read_column_frame
from athanor.storeapi.frames import SeriesFrame, read_series_frame

GOLDEN = Path(__file__).parents[2] / "golden/store"
CASES = {
    name: case
    for name, case in json.loads((GOLDEN / "store_gateway.json").read_text()).items()
    if case["method"] == "/thanos.Store/Series" and case["code"] == "OK" and name != "res_negative"
}


def series_of(frames):
    """[(label pairs, chunks without their hashes)], and the answers that hold no series, in their order."""
    rows, others = [], []
    for data in frames:
        read = read_column_frame if data[:1] == TAG else read_series_frame
        frame = read(data, where="a store")
        if not isinstance(frame, SeriesFrame):
            others.append(data)
            continue
        table = frame.chunks
        found = [(frame.labels.pairs(i), []) for i in range(len(frame))]
        for i, owner in enumerate(table.series.tolist()):
            chunk = table.arena[table.at[i] : table.at[i] + table.size[i]].tobytes()
            row = (table.first_ms[i], table.last_ms[i], table.aggregate[i], table.encoding[i])
            found[owner][1].append((*map(int, row), chunk))
        rows += found
    return rows, others


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_frames_of_columns_say_the_same(case, recorded_store):
    request = bytes.fromhex(case["request"])
    code, message, plain = recorded_store.call(case["method"], request)
    assert code == "OK", message
    told_code, told_message, told = recorded_store.call(case["method"], request, **METADATA)
    assert (told_code, told_message) == (code, message)
    assert series_of(told) == series_of(plain)
    assert all(data[:1] != TAG for data in plain)
    assert any(data[:1] == TAG for data in told) == bool(series_of(plain)[0])
