"""Protobuf classes of every message that Athanor sends or receives, built from ``schema`` at import.

``thanos.SeriesRequest``, ``info.InfoResponse``, ``hints.QueryStats``, ``prometheus.ReadRequest``, ``write_v2.Request``.
The descriptors are in protobuf's default pool, so gRPC reflection finds them. Write with ``encode``: it adds the empty
messages and the zero times that the reference encoder always writes; decoding does not depend on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, duration_pb2, message_factory, timestamp_pb2
from google.protobuf.message import DecodeError

from athanor.model.errors import DataError
from athanor.storeapi.schema import PACKAGES

GO_ZERO_TIME_S = -62135596800
"""0001-01-01T00:00:00Z: what Go writes for a time that was never set."""

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "double": _Field.TYPE_DOUBLE,
    "int64": _Field.TYPE_INT64,
    "uint64": _Field.TYPE_UINT64,
    "int32": _Field.TYPE_INT32,
    "uint32": _Field.TYPE_UINT32,
    "sint32": _Field.TYPE_SINT32,
    "sint64": _Field.TYPE_SINT64,
    "bool": _Field.TYPE_BOOL,
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
}
_WELL_KNOWN = (any_pb2, duration_pb2, timestamp_pb2)
_always_present: dict[str, list[tuple[str, bool]]] = {}
"""Full message name -> (field, is a time) of the fields that are written even when they were not set."""


class _PackageBuilder:
    """Turns one table into a file descriptor."""

    def __init__(self, package: str, table: str, dependencies: list[str]) -> None:
        self._package = package
        self.file = descriptor_pb2.FileDescriptorProto(
            name=f"athanor/{package.replace('.', '/')}.proto", package=package, syntax="proto3", dependency=dependencies
        )
        lines = [line.strip() for line in table.splitlines() if line.strip()]
        self._enums = {line.partition(" = ")[0] for line in lines if " = " in line}
        self._messages: dict[str, descriptor_pb2.DescriptorProto] = {}
        for line in lines:
            if not line.startswith("service ") and " = " not in line:
                self._message(line)
        for line in lines:
            if line.startswith("service "):
                self._service(line.removeprefix("service "))
            elif " = " in line:
                self._enum(line)

    def _message(self, line: str) -> None:
        name, _, body = line.partition(":")
        message = self._messages[name] = self.file.message_type.add(name=name)
        for field in filter(None, body.strip().split(", ")):
            self._field(message, *field.split(" "))

    def _field(self, message: descriptor_pb2.DescriptorProto, name: str, number: str, kind: str) -> None:
        field = message.field.add(name=name, number=int(number), label=_Field.LABEL_OPTIONAL)
        kind, _, group = kind.partition("|")
        if group:
            groups = [oneof.name for oneof in message.oneof_decl]
            if group not in groups:
                message.oneof_decl.add(name=group)
                groups.append(group)
            field.oneof_index = groups.index(group)
        if kind[0] == "!":
            kind = kind[1:]
            is_time = kind == "time"
            _always_present.setdefault(f"{self._package}.{message.name}", []).append((name, is_time))
            kind = "google.protobuf.Timestamp" if is_time else kind
        if kind[0] == "*" or kind.startswith("map:"):
            field.label = _Field.LABEL_REPEATED
        if kind.startswith("map:"):
            kind = self._map_entry(message, name, kind[4:])
        self._set_type(field, kind.removeprefix("*"))

    def _map_entry(self, message: descriptor_pb2.DescriptorProto, name: str, value: str) -> str:
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        key = entry.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL)
        self._set_type(key, "string")
        self._set_type(entry.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL), value)
        return f"{self._package}.{message.name}.{entry.name}"

    def _set_type(self, field: descriptor_pb2.FieldDescriptorProto, kind: str) -> None:
        if kind in _SCALARS:
            field.type = _SCALARS[kind]
            return
        field.type = _Field.TYPE_ENUM if kind in self._enums else _Field.TYPE_MESSAGE
        foreign = "." in kind and kind not in self._enums
        field.type_name = f".{kind}" if foreign else f".{self._package}.{kind}"

    def _enum(self, line: str) -> None:
        name, _, values = line.partition(" = ")
        owner, _, short = name.rpartition(".")
        enum = (self._messages[owner] if owner else self.file).enum_type.add(name=short)
        for number, value in enumerate(values.split()):
            enum.value.add(name=value, number=number)

    def _service(self, line: str) -> None:
        name, _, methods = line.partition(":")
        service = self.file.service.add(name=name)
        for method in methods.strip().split(", "):
            method_name, request, response = method.split(" ")
            service.method.add(
                name=method_name,
                input_type=f".{self._package}.{request}",
                output_type=f".{self._package}.{response.removesuffix('*')}",
                server_streaming=response.endswith("*"),
            )


def _build() -> None:
    pool = descriptor_pool.Default()
    dependencies = [module.DESCRIPTOR.name for module in _WELL_KNOWN]
    for package, table in PACKAGES:
        builder = _PackageBuilder(package, table.replace("\\\n", ""), dependencies)
        pool.AddSerializedFile(builder.file.SerializeToString())
        dependencies = [*dependencies, builder.file.name]


_build()


class _Package:
    """Message classes and enums of one protobuf package as attributes."""

    def __init__(self, package: str) -> None:
        self._package = package

    def __getattr__(self, name: str) -> Any:
        pool = descriptor_pool.Default()
        try:
            found = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{self._package}.{name}"))
        except KeyError:
            raise AttributeError(f"no message {name} in package {self._package}") from None
        setattr(self, name, found)
        return found


thanos = _Package("thanos")
info = _Package("thanos.info")
hints = _Package("hintspb")
prometheus = _Package("prometheus")
write_v2 = _Package("io.prometheus.write.v2")

WARN, ABORT = 0, 1
"""PartialResponseStrategy."""
EQ, NEQ, RE, NRE = range(4)
"""LabelMatcher.Type."""


def _submessages(message: Any) -> Iterator[Any]:
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is not None:
                yield from (value[key] for key in value)
        elif field.is_repeated:
            yield from value
        else:
            yield value


def _complete(message: Any) -> None:
    for name, is_time in _always_present.get(message.DESCRIPTOR.full_name, ()):
        if not message.HasField(name):
            getattr(message, name).SetInParent()
            if is_time:
                getattr(message, name).seconds = GO_ZERO_TIME_S
    for inner in _submessages(message):
        _complete(inner)


def encode(message: Any) -> bytes:
    """The bytes that the reference encoder would write; sets the always-present fields in the message itself."""
    _complete(message)
    return message.SerializeToString(deterministic=True)  # type: ignore[no-any-return]


def decode(message_class: Any, data: bytes, where: str = "message") -> Any:
    """A message of this class; DataError names ``where`` when the bytes do not follow the wire format."""
    try:
        return message_class.FromString(data)
    except DecodeError as error:
        name = message_class.DESCRIPTOR.full_name
        raise DataError(f"{where}: {len(data)} bytes are not a {name}: {error}") from None


def pack_hints(message: Any) -> any_pb2.Any:
    """Hints as the StoreAPI carries them: ``type.googleapis.com/<full name>``."""
    packed = any_pb2.Any()
    packed.Pack(message, deterministic=True)
    return packed
