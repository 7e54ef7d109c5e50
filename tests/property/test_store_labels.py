"""Label sets that the store makes from symbols, against plain dictionaries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from athanor.block.series import SeriesEntries
from athanor.model.tables import encode_label_set
from athanor.store.label_overlay import LabelOverlay


@dataclass
class Header:
    """Symbols and label names, as an index header has them."""

    symbols: list[bytes]
    names: set[str]

    def __post_init__(self):
        self.arena = np.frombuffer(b"".join(self.symbols), np.uint8)
        self.symbol_size = np.array([len(s) for s in self.symbols], np.uint32)
        self.symbol_at = (np.cumsum(self.symbol_size) - self.symbol_size).astype(np.uint32)

    def find_symbol(self, text):
        rank = sum(s < text for s in self.symbols)
        return rank, text in self.symbols

    def rows_of(self, name):
        return (1, 2) if name in self.names else (0, 0)


NAMES = st.sampled_from(["__name__", "a", "b", "c", "job", "replica", "zone", "é"])
VALUES = st.sampled_from(["", "1", "2", "a", "zone", "x" * 130])
SETS = st.dictionaries(NAMES, VALUES, max_size=6)


@given(st.lists(SETS, min_size=1, max_size=8), SETS, st.sets(NAMES, max_size=3))
def test_external_labels_win_and_replica_labels_go(stored, external, without):
    texts = sorted({t.encode() for s in stored for pair in s.items() for t in pair} | {b""})
    header = Header(texts, {name for s in stored for name in s})
    numbers = {text: i for i, text in enumerate(texts)}
    pairs = [sorted((n.encode(), v.encode()) for n, v in s.items()) for s in stored]
    labels = np.array([numbers[t] for s in pairs for pair in s for t in pair], np.uint32)
    label_at = np.cumsum([0] + [len(s) for s in pairs]).astype(np.int64)
    none = np.empty(0, np.int64)
    names, values = np.ascontiguousarray(labels[0::2]), np.ascontiguousarray(labels[1::2])
    entries = SeriesEntries(label_at, names, values, np.zeros(len(pairs) + 1, np.int64), none, none, none)
    overlay = LabelOverlay(header, sorted(external.items()), without)
    table = overlay.labels(entries, "test")
    added = {name: value for name, value in external.items() if value and name not in without}
    expected = [
        encode_label_set([(n, v) for n, v in {**s, **added}.items() if n not in without]) for s in stored
    ]
    assert [table.encoded(i) for i in range(len(table))] == expected
    touched = {name for s in stored for name in s} & (set(external) | without)
    assert overlay.keeps_order == (not touched)
