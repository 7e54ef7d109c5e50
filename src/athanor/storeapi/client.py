"""The client of one remote store: a channel, and the calls of the StoreAPI over raw bytes.

Errors of the transport become ``StreamError`` (Series) or ``CallError`` (the rest) with the text that Go's client
prints, ``rpc error: code = Unavailable desc = ...``, because that text reaches users in warnings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import grpc
import grpc.experimental

from athanor.model.cancel import CancelToken
from athanor.model.errors import AthanorError, OperatorError
from athanor.storeapi import columns, messages
from athanor.storeapi.matching import MAX_TIME_MS, MIN_TIME_MS, LabelSet, StoreFacts
from athanor.storeapi.messages import info, thanos
from athanor.storeapi.streams import SeriesCall, StreamError, StreamFailure

TENANT_HEADER = "thanos-tenant"
DEFAULT_TENANT = "default-tenant"
_GO_CODES = {"OK": "OK", "CANCELLED": "Canceled"}
"""Status names that are not simply the capitalised words."""

CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Whoever reads a stream polls for it too: no other thread wakes it for each message (sum(g): 73 to 62 ms).
    (grpc.experimental.ChannelOptions.SingleThreadedUnaryStream, 1),
    # What is on its way to a slow reader is bounded: a probing window grows beyond what a query has reserved.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 4 << 20),
    # Few large pieces: each is a copy of its own on the way to the message, with the interpreter's lock held.
    ("grpc.http2.max_frame_size", 1 << 20),
    ("grpc.experimental.tcp_min_read_chunk_size", 64 << 10),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)


class CallError(AthanorError):
    """A unary call failed; ``code`` is a gRPC status name, the text is what Go's client prints."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How to reach a server that speaks TLS. Files are PEM; an empty ca_file means the system's authorities."""

    cert_file: str = ""
    key_file: str = ""
    ca_file: str = ""
    server_name: str = ""


def go_code(code: str) -> str:
    """``DEADLINE_EXCEEDED`` as Go prints it: ``DeadlineExceeded``."""
    return _GO_CODES.get(code) or "".join(word.capitalize() for word in code.split("_"))


def rpc_error_text(code: str, details: str) -> str:
    """A status as Go's client prints it."""
    return f"rpc error: code = {go_code(code)} desc = {details}"


def _status(error: grpc.RpcError) -> tuple[str, str]:
    """(status name, text) of an error that a call raised."""
    code = error.code() if isinstance(error, grpc.Call) else None
    name = code.name if code is not None else "UNKNOWN"
    details = error.details() if isinstance(error, grpc.Call) else str(error)
    return name, rpc_error_text(name, details or "")


def _read(path: str, what: str) -> bytes | None:
    if not path:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise OperatorError(
            f"gRPC client {what} {path}: {error.strerror}; check the path and its permissions"
        ) from error


def open_channel(address: str, tls: TlsOptions | None = None) -> grpc.Channel:
    """A channel to ``host:port``; it connects when first used."""
    options: list[tuple[str, Any]] = list(CHANNEL_OPTIONS)
    if tls is None:
        return grpc.insecure_channel(address, options)
    if tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    credentials = grpc.ssl_channel_credentials(
        _read(tls.ca_file, "CA file"), _read(tls.key_file, "key file"), _read(tls.cert_file, "certificate file")
    )
    return grpc.secure_channel(address, credentials, options)


class StoreClient(Protocol):
    """One store as the proxy sees it; remote, or in this process."""

    @property
    def facts(self) -> StoreFacts: ...

    def series(self, request: bytes, cancel: CancelToken, metadata: Mapping[str, str]) -> SeriesCall: ...

    def label_names(self, request: bytes, cancel: CancelToken, metadata: Mapping[str, str]) -> bytes: ...

    def label_values(self, request: bytes, cancel: CancelToken, metadata: Mapping[str, str]) -> bytes: ...


class _RemoteCall:
    """A Series call whose transport errors are StreamErrors."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __iter__(self) -> Iterator[bytes]:
        started = False
        try:
            for message in self._call:
                started = True
                yield message
        except grpc.RpcError as error:
            code, text = _status(error)
            opening = code == "UNAVAILABLE" and not started
            raise StreamError(StreamFailure(text, code, opening=opening)) from None

    def cancel(self) -> object:
        return self._call.cancel()


class Connection:
    """A channel and its calls, without state about the peer."""

    def __init__(self, address: str, tls: TlsOptions | None = None) -> None:
        self.address = address
        self._channel = open_channel(address, tls)
        self._unary: dict[str, Any] = {}
        self._series = self._channel.unary_stream("/thanos.Store/Series")

    def unary(
        self,
        path: str,
        request: bytes,
        *,
        timeout_s: float | None,
        cancel: CancelToken | None = None,
        metadata: Mapping[str, str] | None = None,
        wait_for_ready: bool = False,
    ) -> bytes:
        """One call; CallError when it fails, Cancelled when the token is."""
        method = self._unary.get(path)
        if method is None:
            method = self._unary[path] = self._channel.unary_unary(path)
        future = method.future(
            request, timeout=timeout_s, metadata=tuple((metadata or {}).items()), wait_for_ready=wait_for_ready
        )
        forget = cancel.on_cancel(future.cancel) if cancel is not None else None
        try:
            return future.result()  # type: ignore[no-any-return]
        except grpc.FutureCancelledError:
            if cancel is not None:
                cancel.check()
            raise CallError("CANCELLED", rpc_error_text("CANCELLED", "context canceled")) from None
        except grpc.RpcError as error:
            if cancel is not None:
                cancel.check()
            raise CallError(*_status(error)) from None
        finally:
            if forget is not None:
                forget()

    def info(self, timeout_s: float, wait_for_ready: bool) -> Any:
        """``info.InfoResponse``."""
        data = self.unary(
            "/thanos.info.Info/Info",
            messages.encode(info.InfoRequest()),
            timeout_s=timeout_s,
            wait_for_ready=wait_for_ready,
        )
        return messages.decode(info.InfoResponse, data, f"Info of {self.address}")

    def series(self, request: bytes, cancel: CancelToken, metadata: Mapping[str, str]) -> SeriesCall:
        """Start a Series call."""
        told = tuple({**metadata, **columns.METADATA}.items())
        return _RemoteCall(self._series(request, timeout=cancel.remaining_s(), metadata=told))

    def label_names(self, request: bytes, cancel: CancelToken, metadata: Mapping[str, str]) -> bytes:
        """``thanos.LabelNamesResponse``."""
        return self.unary(
            "/thanos.Store/LabelNames", request, timeout_s=cancel.remaining_s(), cancel=cancel, metadata=metadata
        )

    def label_values(self, request: bytes, cancel: CancelToken, metadata: Mapping[str, str]) -> bytes:
        """``thanos.LabelValuesResponse``."""
        return self.unary(
            "/thanos.Store/LabelValues", request, timeout_s=cancel.remaining_s(), cancel=cancel, metadata=metadata
        )

    def close(self) -> None:
        """Close the channel; running calls end with CANCELLED."""
        self._channel.close()


def facts_of(address: str, response: Any) -> StoreFacts:
    """What an Info answer says about the store."""
    sets: list[LabelSet] = []
    for label_set in response.label_sets:
        if label_set.labels:
            sets.append(tuple(sorted((label.name, label.value) for label in label_set.labels)))
    if not response.HasField("store"):
        return StoreFacts(address, response.ComponentType, tuple(sets), MIN_TIME_MS, MAX_TIME_MS)
    store = response.store
    return StoreFacts(
        address,
        response.ComponentType,
        tuple(sets),
        store.min_time,
        store.max_time,
        store.supports_sharding,
        store.supports_without_replica_labels,
        store.supports_projections,
        tsdb_infos=tuple(messages.encode(one) for one in store.tsdb_infos),
    )


def decode_label_names(data: bytes, where: str) -> Any:
    return messages.decode(thanos.LabelNamesResponse, data, where)


def decode_label_values(data: bytes, where: str) -> Any:
    return messages.decode(thanos.LabelValuesResponse, data, where)
