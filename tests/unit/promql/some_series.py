"""Series for tests that ask about every kind of operator: counters and native histograms with labels job and i."""

from __future__ import annotations

from tests.conformance.memory_storage import MemoryStorage
from tests.conformance.script import Load, parse_script

_NATIVE = "{{schema:1 sum:9 count:24 z_bucket:2 z_bucket_w:0.001 buckets:[1 2 3 4 3 2 1] n_buckets:[1 2 3]}}"


def counters(name: str, rows: range) -> list[str]:
    """One line of a script for each row, an hour of samples a minute apart."""
    return [f"{_named(name, i)} 0+{i + 1}x60" for i in rows]


def histograms(name: str, rows: range) -> list[str]:
    """The same of native histograms that grow by themselves."""
    return [f"{_named(name, i)} {_NATIVE}+{_NATIVE}x60" for i in rows]


def _named(name: str, i: int) -> str:
    return f'{name}{{job="{"ab"[i % 2]}", i="{i:03}"}}'


def loaded(lines: list[str], tile_size: int, every: str = "1m") -> MemoryStorage:
    """A storage that hands these series out in tiles of so many."""
    (command,) = parse_script("\n".join([f"load {every}", *lines]) + "\n")
    assert isinstance(command, Load)
    storage = MemoryStorage(tile_size=tile_size)
    storage.load(command)
    return storage
