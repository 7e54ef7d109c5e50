"""gRPC server reflection: lists the services, describes the health service, knows no other symbol (as Thanos).

request:  1 host  3 file_by_filename  4 file_containing_symbol  5 file_containing_extension  6 extension numbers
          7 list_services
response: 1 valid_host  2 original_request  4 files{1: bytes}  6 services{1: {1: name}}  7 error{1: code, 2: text}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

from athanor.serve.grpc_health import NAME as HEALTH
from athanor.serve.small_messages import bytes_field, fields, int_field

NAMES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
METHOD = "ServerReflectionInfo"
HEALTH_FILE = "grpc/health/v1/health.proto"
_NOT_FOUND = 5
_UNIMPLEMENTED = 12
_STRING, _ENUM, _MESSAGE = 9, 14, 11
_STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")


def _field(name: str, kind: int, type_name: str = "", *, repeated: bool = False) -> bytes:
    body = bytes_field(1, name.encode()) + int_field(3, 1) + int_field(4, 3 if repeated else 1) + int_field(5, kind)
    return body + (bytes_field(6, type_name.encode()) if type_name else b"")


def _method(name: str, request: str, response: str, *, streams: bool = False) -> bytes:
    types = [f".grpc.health.v1.{kind}".encode() for kind in (request, response)]
    body = bytes_field(1, name.encode()) + bytes_field(2, types[0]) + bytes_field(3, types[1])
    return body + (int_field(6, 1) if streams else b"")


@cache
def health_file() -> bytes:
    """The FileDescriptorProto of grpc/health/v1/health.proto."""
    values = b"".join(
        bytes_field(2, bytes_field(1, name.encode()) + (int_field(2, i) or b"\x10\x00"))
        for i, name in enumerate(_STATUSES)
    )
    status = bytes_field(1, b"ServingStatus") + values
    response = "HealthCheckResponse"
    status_field = _field("status", _ENUM, f".grpc.health.v1.{response}.ServingStatus")
    entry = bytes_field(1, b"StatusesEntry") + bytes_field(2, _field("key", _STRING))
    value_field = bytes_field(1, b"value") + int_field(3, 2) + int_field(4, 1) + int_field(5, _MESSAGE)
    entry += bytes_field(2, value_field + bytes_field(6, f".grpc.health.v1.{response}".encode()))
    entry += bytes_field(7, int_field(7, 1))
    statuses = _field("statuses", _MESSAGE, ".grpc.health.v1.HealthListResponse.StatusesEntry", repeated=True)
    messages = [
        bytes_field(1, b"HealthCheckRequest") + bytes_field(2, _field("service", _STRING)),
        bytes_field(1, response.encode()) + bytes_field(2, status_field) + bytes_field(4, status),
        bytes_field(1, b"HealthListRequest"),
        bytes_field(1, b"HealthListResponse") + bytes_field(2, statuses) + bytes_field(3, entry),
    ]
    service = bytes_field(1, b"Health")
    service += bytes_field(2, _method("Check", "HealthCheckRequest", response))
    service += bytes_field(2, _method("List", "HealthListRequest", "HealthListResponse"))
    service += bytes_field(2, _method("Watch", "HealthCheckRequest", response, streams=True))
    head = bytes_field(1, HEALTH_FILE.encode()) + bytes_field(2, b"grpc.health.v1")
    return head + b"".join(bytes_field(4, m) for m in messages) + bytes_field(6, service) + bytes_field(12, b"proto3")


def _is_health_symbol(symbol: bytes) -> bool:
    return symbol == HEALTH.encode() or symbol.startswith(f"{HEALTH}.".encode())


def _answer(number: int, value: bytes, services: tuple[str, ...]) -> bytes:
    if number == 7:
        return bytes_field(6, b"".join(bytes_field(1, bytes_field(1, name.encode())) for name in services))
    known = (number == 3 and value == HEALTH_FILE.encode()) or (number == 4 and _is_health_symbol(value))
    if known:
        return bytes_field(4, bytes_field(1, health_file()))
    code, text = (_NOT_FOUND, "proto: not found") if number in (3, 4, 5, 6) else (_UNIMPLEMENTED, "invalid request")
    return bytes_field(7, int_field(1, code) + bytes_field(2, text.encode()))


def reflect(requests: Iterable[bytes], services: Iterable[str]) -> Iterator[bytes]:
    """One answer for each request; ``services`` are the names to list."""
    names = tuple(sorted(services))
    for request in requests:
        host, number, value = b"", 0, b""
        for field_number, field_value in fields(request):
            if field_number == 1 and isinstance(field_value, bytes):
                host = field_value
            elif isinstance(field_value, bytes):
                number, value = field_number, field_value
        valid_host = bytes_field(1, host) if host else b""
        yield valid_host + bytes_field(2, request) + _answer(number, value, names)
