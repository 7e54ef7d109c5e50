"""The StoreAPI as services over raw bytes, for any role that serves series.

Decodes requests, evens out what would crash the original (negative resolution or batch size), and leaves the rest to a
``StoreServer``. The gRPC server of the process carries the services, with its cap on Series calls; inside one process
they can be called directly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from google.protobuf.message import DecodeError

from athanor.model.rpc import Call, Service, StatusError, StreamMethod, UnaryMethod
from athanor.storeapi import messages
from athanor.storeapi.client import DEFAULT_TENANT, TENANT_HEADER
from athanor.storeapi.messages import info, thanos


class StoreServer(Protocol):
    """What a role implements. Messages are those of ``messages.thanos``; StatusError ends a call with its status."""

    def series(self, request: Any, call: Call) -> Iterator[bytes]:
        """``SeriesResponse`` messages, serialised; see ``frames``. The call's token is cancelled when the client
        leaves."""
        ...

    def label_names(self, request: Any, call: Call) -> Any:
        """A ``LabelNamesResponse``."""
        ...

    def label_values(self, request: Any, call: Call) -> Any:
        """A ``LabelValuesResponse``."""
        ...


def tenant_of(call: Call) -> str:
    """The tenant that the caller names."""
    return call.metadata.get(TENANT_HEADER) or DEFAULT_TENANT


def decode_request(message_class: Any, data: bytes) -> Any:
    """A request; StatusError INTERNAL with the original's text where the bytes are none."""
    try:
        return message_class.FromString(data)
    except DecodeError:
        raise StatusError("INTERNAL", "grpc: failed to unmarshal the received message: unexpected EOF") from None


def store_service(server: StoreServer) -> Service:
    """``thanos.Store``."""

    def series(data: bytes, call: Call) -> Iterator[bytes]:
        request = decode_request(thanos.SeriesRequest, data)
        # differs: the original panics on these, and a negative resolution blocks it for good; we take them for 0.
        request.max_resolution_window = max(0, request.max_resolution_window)
        request.response_batch_size = max(0, request.response_batch_size)
        for frame in server.series(request, call):
            call.cancel.check()
            yield frame

    def label_names(data: bytes, call: Call) -> bytes:
        return messages.encode(server.label_names(decode_request(thanos.LabelNamesRequest, data), call))

    def label_values(data: bytes, call: Call) -> bytes:
        return messages.encode(server.label_values(decode_request(thanos.LabelValuesRequest, data), call))

    return Service(
        "thanos.Store",
        (
            StreamMethod("Series", series, limited=True),
            UnaryMethod("LabelNames", label_names),
            UnaryMethod("LabelValues", label_values),
        ),
    )


def info_service(read: Callable[[], Any]) -> Service:
    """``thanos.info.Info``; ``read`` makes an ``InfoResponse``, or raises StatusError UNKNOWN "Not ready"."""

    def answer(data: bytes, call: Call) -> bytes:
        decode_request(info.InfoRequest, data)
        return messages.encode(read())

    return Service("thanos.info.Info", (UnaryMethod("Info", answer),))
