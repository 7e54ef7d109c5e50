"""``meta.json``: what a block is, where it came from, which files belong to it.

Prometheus' block meta with one object ``thanos`` more (prometheus tsdb/block.go, thanos pkg/block/metadata/meta.go).
Written as Go writes it: keys in the order below, one TAB a level, ``<``, ``>``, ``&`` escaped, and a newline at the end
where the object ``thanos`` is present (Prometheus' own files end without one).

Read leniently, as the originals do: unknown keys are ignored, keys match in any case, an absent number is 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from athanor.model.errors import DataError

V = TypeVar("V")

META_FILE = "meta.json"
UNSET_TIME = "0001-01-01T00:00:00Z"  # Go's zero time: never uploaded
HTML_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


@dataclass(frozen=True, slots=True)
class BlockStats:
    """Counts; zeros are not written."""

    n_samples: int = 0
    n_float_samples: int = 0
    n_histogram_samples: int = 0
    n_series: int = 0
    n_chunks: int = 0
    n_tombstones: int = 0


@dataclass(frozen=True, slots=True)
class BlockParent:
    """A direct input of a compaction; ``end_ms`` is excluded."""

    ulid: str
    first_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Compaction:
    """How the block came to be. sources: the level-1 ancestors, sorted; parents: the direct inputs."""

    level: int = 1
    sources: tuple[str, ...] = ()
    deletable: bool = False
    parents: tuple[BlockParent, ...] = ()
    failed: bool = False
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BlockFile:
    """One file of the block. size_bytes is 0 for ``meta.json``; sha256 is empty unless hashes were asked for."""

    rel_path: str
    size_bytes: int = 0
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class ThanosMeta:
    """The object ``thanos``. labels: None for JSON's null. rewrites and extensions: kept as read."""

    labels: Mapping[str, str] | None = field(default_factory=dict)
    resolution_ms: int = 0
    source: str = ""
    segment_files: tuple[str, ...] = ()
    files: tuple[BlockFile, ...] = ()
    rewrites: tuple[Any, ...] = ()
    series_max_bytes: int = 0
    chunk_max_bytes: int = 0
    extensions: Any = None
    upload_time: str = UNSET_TIME
    version: int = 0


@dataclass(frozen=True, slots=True)
class BlockMeta:
    """One block; ``end_ms`` is excluded."""

    ulid: str
    first_ms: int
    end_ms: int
    stats: BlockStats = BlockStats()
    compaction: Compaction = Compaction()
    thanos: ThanosMeta | None = None
    version: int = 1

    @classmethod
    def from_json(cls, content: bytes | memoryview, where: str) -> BlockMeta:
        """Decodes and checks. where: names the block or file in the DataError."""
        try:
            decoded = json.loads(bytes(content))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: not JSON: {error}; restore or delete the block") from error
        return _meta(_Object(decoded, where))

    def to_json(self) -> bytes:
        """The bytes that the originals would write."""
        text = json.dumps(_encoded(self), indent="\t", ensure_ascii=False).translate(HTML_ESCAPES)
        return (text + ("\n" if self.thanos is not None else "")).encode("utf-8", "replace")

    @property
    def resolution_ms(self) -> int:
        """Of the downsampling; 0 for raw blocks."""
        return self.thanos.resolution_ms if self.thanos else 0

    @property
    def external_labels(self) -> Mapping[str, str]:
        return (self.thanos.labels or {}) if self.thanos else {}


class _Object:
    """A JSON object whose fields are read by name and type; every mistake is a DataError that names the field."""

    def __init__(self, decoded: Any, where: str) -> None:
        if not isinstance(decoded, dict):
            raise DataError(f"{where}: {_kind(decoded)} where an object was expected; restore or delete the block")
        self.where = where
        self._fields = {name.lower(): value for name, value in decoded.items()}

    def get(self, name: str, kind: type[V], default: V) -> V:
        value = self._fields.get(name.lower())
        if value is None:
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise DataError(
                f"{self.where}: field {name!r} is {_kind(value)}, expected {kind.__name__}; restore or delete the block"
            )
        return value

    def count(self, name: str) -> int:
        value = self.get(name, int, 0)
        if not 0 <= value < 2**64:
            raise DataError(f"{self.where}: field {name!r} is {value}, expected a count; restore or delete the block")
        return value

    def time_ms(self, name: str) -> int:
        value = self.get(name, int, 0)
        if not -(2**63) <= value < 2**63:
            raise DataError(f"{self.where}: field {name!r} is {value}, beyond 64 bits; restore or delete the block")
        return value

    def object(self, name: str) -> _Object:
        return _Object(self._fields.get(name.lower()) or {}, f"{self.where}: {name}")

    def objects(self, name: str) -> list[_Object]:
        return [_Object(value, f"{self.where}: {name}") for value in self.get(name, list, [])]

    def texts(self, name: str) -> tuple[str, ...]:
        values = self.get(name, list, [])
        if not all(isinstance(value, str) for value in values):
            raise DataError(f"{self.where}: field {name!r} holds more than texts; restore or delete the block")
        return tuple(values)

    def raw(self, name: str) -> Any:
        return self._fields.get(name.lower())


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _meta(found: _Object) -> BlockMeta:
    version = found.get("version", int, 0)
    if version != 1:
        raise DataError(f"{found.where}: unexpected meta file version {version}")
    stats, compaction = found.object("stats"), found.object("compaction")
    return BlockMeta(
        ulid=found.get("ulid", str, ""),
        first_ms=found.time_ms("minTime"),
        end_ms=found.time_ms("maxTime"),
        stats=BlockStats(
            n_samples=stats.count("numSamples"),
            n_float_samples=stats.count("numFloatSamples"),
            n_histogram_samples=stats.count("numHistogramSamples"),
            n_series=stats.count("numSeries"),
            n_chunks=stats.count("numChunks"),
            n_tombstones=stats.count("numTombstones"),
        ),
        compaction=Compaction(
            level=compaction.get("level", int, 0),
            sources=compaction.texts("sources"),
            deletable=compaction.get("deletable", bool, False),
            parents=tuple(
                BlockParent(parent.get("ulid", str, ""), parent.time_ms("minTime"), parent.time_ms("maxTime"))
                for parent in compaction.objects("parents")
            ),
            failed=compaction.get("failed", bool, False),
            hints=compaction.texts("hints"),
        ),
        thanos=_thanos(found.object("thanos")) if found.raw("thanos") is not None else None,
        version=version,
    )


def _thanos(found: _Object) -> ThanosMeta:
    labels = found.raw("labels")
    if labels is not None and not (isinstance(labels, dict) and all(isinstance(v, str) for v in labels.values())):
        raise DataError(f"{found.where}: field 'labels' is no map of texts; restore or delete the block")
    sizes = found.object("index_stats")
    return ThanosMeta(
        labels=labels,
        resolution_ms=found.object("downsample").time_ms("resolution"),
        source=found.get("source", str, ""),
        segment_files=found.texts("segment_files"),
        files=tuple(
            BlockFile(
                entry.get("rel_path", str, ""), entry.count("size_bytes"), entry.object("hash").get("value", str, "")
            )
            for entry in found.objects("files")
        ),
        rewrites=tuple(found.get("rewrites", list, [])),
        series_max_bytes=sizes.count("series_max_size"),
        chunk_max_bytes=sizes.count("chunk_max_size"),
        extensions=found.raw("extensions"),
        upload_time=found.get("upload_time", str, UNSET_TIME),
        version=found.get("version", int, 0),
    )


def _encoded(meta: BlockMeta) -> dict[str, Any]:
    stats, compaction = meta.stats, meta.compaction
    encoded: dict[str, Any] = {
        "ulid": meta.ulid,
        "minTime": meta.first_ms,
        "maxTime": meta.end_ms,
        "stats": _without_empty(
            numSamples=stats.n_samples,
            numFloatSamples=stats.n_float_samples,
            numHistogramSamples=stats.n_histogram_samples,
            numSeries=stats.n_series,
            numChunks=stats.n_chunks,
            numTombstones=stats.n_tombstones,
        ),
        "compaction": {"level": compaction.level}
        | _without_empty(
            sources=compaction.sources,
            deletable=compaction.deletable,
            parents=[{"ulid": p.ulid, "minTime": p.first_ms, "maxTime": p.end_ms} for p in compaction.parents],
            failed=compaction.failed,
            hints=compaction.hints,
        ),
        "version": meta.version,
    }
    if meta.thanos is not None:
        encoded["thanos"] = _encoded_thanos(meta.thanos)
    return encoded


def _encoded_thanos(thanos: ThanosMeta) -> dict[str, Any]:
    labels = None if thanos.labels is None else {name: thanos.labels[name] for name in sorted(thanos.labels)}
    extensions = {} if thanos.extensions is None else {"extensions": thanos.extensions}
    return (
        _without_empty(version=thanos.version)
        | {"labels": labels, "downsample": {"resolution": thanos.resolution_ms}, "source": thanos.source}
        | _without_empty(
            segment_files=thanos.segment_files,
            files=[_encoded_file(entry) for entry in thanos.files],
            rewrites=thanos.rewrites,
        )
        | {
            "index_stats": _without_empty(
                series_max_size=thanos.series_max_bytes, chunk_max_size=thanos.chunk_max_bytes
            )
        }
        | extensions
        | {"upload_time": thanos.upload_time}
    )


def _encoded_file(entry: BlockFile) -> dict[str, Any]:
    hashed = {"hash": {"hashFunc": "SHA256", "value": entry.sha256}} if entry.sha256 else {}
    return {"rel_path": entry.rel_path} | _without_empty(size_bytes=entry.size_bytes) | hashed


def _without_empty(**fields: int | bool | Sequence[Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}
