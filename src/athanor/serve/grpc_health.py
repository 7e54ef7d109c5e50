"""grpc.health.v1 over the probes: only the empty service name exists.

HealthCheckRequest{1: string service}   HealthCheckResponse{1: enum status}   HealthListResponse{1: map statuses}
"""

from __future__ import annotations

import queue
from collections.abc import Iterator

from athanor.model.errors import DataError
from athanor.model.rpc import Call, Service, StatusError, StreamMethod, UnaryMethod
from athanor.serve.probes import Probes
from athanor.serve.small_messages import bytes_field, fields, int_field

NAME = "grpc.health.v1.Health"
SERVICE_UNKNOWN = 3


def _service_name(request: bytes) -> bytes:
    name = b""
    try:
        for number, value in fields(request):
            if number == 1 and isinstance(value, bytes):
                name = value
    except DataError as err:
        raise StatusError("INTERNAL", str(err)) from err
    return name


def health_service(probes: Probes) -> Service:
    """The three methods; their answers follow the probes."""

    def check(request: bytes, call: Call) -> bytes:
        if _service_name(request):
            raise StatusError("NOT_FOUND", "unknown service")
        return int_field(1, probes.grpc_status)

    def list_all(request: bytes, call: Call) -> bytes:
        return bytes_field(1, bytes_field(1, b"") + bytes_field(2, int_field(1, probes.grpc_status)))

    def watch(request: bytes, call: Call) -> Iterator[bytes]:
        changes: queue.SimpleQueue[None] = queue.SimpleQueue()
        known = not _service_name(request)
        forget = probes.on_change(lambda: changes.put(None))
        call.cancel.on_cancel(lambda: changes.put(None))
        try:
            last = -1
            while not call.cancel.cancelled:
                status = probes.grpc_status if known else SERVICE_UNKNOWN
                if status != last:
                    yield int_field(1, status)
                    last = status
                changes.get()
        finally:
            forget()

    return Service(NAME, (UnaryMethod("Check", check), UnaryMethod("List", list_all), StreamMethod("Watch", watch)))
