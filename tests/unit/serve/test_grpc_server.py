"""The gRPC server: calls over raw bytes, health, reflection, metrics, cancellation, stopping."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from athanor.model.errors import DataError, OperatorError
from athanor.model.rpc import Call, Service, StatusError, StreamMethod, UnaryMethod
from athanor.serve import grpc_server
from athanor.serve.grpc_metrics import go_code
from athanor.serve.grpc_server import GrpcServer
from athanor.serve.metrics import exposition
from athanor.serve.process import Runtime, error_chain
from athanor.serve.small_messages import bytes_field, fields

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "grpc" / "health_reflection_query.json").read_text())
QUERY_SERVICES = [
    name
    for name in GOLDEN["/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"][0]["services"]
    if name.startswith("thanos.")
]


class Peer:
    """A running server with one service for the tests, and a channel to it."""

    def __init__(self, runtime: Runtime, grace_ms: int = 1000) -> None:
        self.calls: list[Call] = []
        self.started = threading.Event()
        self.gave_up = threading.Event()
        test = Service(
            "test.Test",
            (
                UnaryMethod("Echo", self.echo),
                UnaryMethod("Fail", self.fail),
                StreamMethod("Count", self.count),
                StreamMethod("Hang", self.hang, limited=True),
            ),
        )
        others = [Service(name, ()) for name in QUERY_SERVICES]
        self.server = GrpcServer(
            runtime,
            address="127.0.0.1:0",
            grace_ms=grace_ms,
            max_connection_age_ms=0,
            services=(test, *others),
        )
        self.server.start()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.server.port}")

    def echo(self, request: bytes, call: Call) -> bytes:
        self.calls.append(call)
        return request

    def fail(self, request: bytes, call: Call) -> bytes:
        raise {b"status": StatusError("NOT_FOUND", "no such"), b"data": DataError("bad bytes")}.get(
            request, ValueError("oops")
        )

    def count(self, request: bytes, call: Call) -> Iterator[bytes]:
        for i in range(int(request)):
            yield b"%d" % i

    def hang(self, request: bytes, call: Call) -> Iterator[bytes]:
        yield b"first"
        self.started.set()
        if call.cancel.wait(20):
            self.gave_up.set()
        call.cancel.check()

    def unary(self, path: str, request: bytes = b"", **options) -> bytes:
        return self.channel.unary_unary(path)(request, timeout=10, **options)

    def stream(self, path: str, request: bytes = b"", **options):
        return self.channel.unary_stream(path)(request, **options)


@pytest.fixture
def peer(runtime: Runtime) -> Iterator[Peer]:
    peer = Peer(runtime)
    yield peer
    peer.channel.close()
    peer.server.stop()


def test_bytes_go_through_unchanged_and_without_a_limit(peer: Peer):
    large = bytes(8 << 20)
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{peer.server.port}", options=options) as channel:
        assert channel.unary_unary("/test.Test/Echo")(large, timeout=20) == large


def test_a_call_knows_its_metadata_and_deadline(peer: Peer):
    peer.unary("/test.Test/Echo", b"x", metadata=(("thanos-tenant", "a"),))
    call = peer.calls[0]
    assert call.metadata["thanos-tenant"] == "a"
    left_s = call.cancel.remaining_s()
    assert left_s is not None
    assert 5 < left_s < 11  # the transport rounds up


def test_a_call_without_a_deadline_has_none(peer: Peer):
    peer.channel.unary_unary("/test.Test/Echo")(b"x")
    assert peer.calls[0].cancel.deadline_at is None


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (b"status", grpc.StatusCode.NOT_FOUND, "no such"),
        (b"data", grpc.StatusCode.UNKNOWN, "bad bytes"),
        (b"", grpc.StatusCode.INTERNAL, "oops"),
    ],
)
def test_errors_become_status_codes(peer: Peer, request_: bytes, code: grpc.StatusCode, text: str):
    with pytest.raises(grpc.RpcError) as caught:
        peer.unary("/test.Test/Fail", request_)
    assert (caught.value.code(), caught.value.details()) == (code, text)


def test_metrics_count_calls_messages_and_codes(peer: Peer, runtime: Runtime):
    labels = 'grpc_method="Count",grpc_service="test.Test",grpc_type="server_stream"'
    before = exposition(runtime.registry).decode()
    assert f'grpc_server_handled_total{{grpc_code="InvalidArgument",{labels}}} 0\n' in before
    assert "grpc.health" not in before
    assert list(peer.stream("/test.Test/Count", b"3")) == [b"0", b"1", b"2"]
    with pytest.raises(grpc.RpcError):
        peer.unary("/test.Test/Fail", b"")
    _until(lambda: f'grpc_code="OK",{labels}}} 1\n' in exposition(runtime.registry).decode())
    page = exposition(runtime.registry).decode()
    assert f"grpc_server_msg_sent_total{{{labels}}} 3\n" in page
    assert f"grpc_server_started_total{{{labels}}} 1\n" in page
    assert f"grpc_server_handling_seconds_count{{{labels}}} 1\n" in page
    assert "grpc_req_panics_recovered_total 1\n" in page


def _until(condition, timeout_s: float = 5) -> None:
    give_up_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def test_a_client_that_leaves_stops_the_work_at_once(peer: Peer, runtime: Runtime):
    call = peer.stream("/test.Test/Hang")
    assert next(call) == b"first"
    assert peer.started.wait(5)
    left_at = time.monotonic()
    call.cancel()
    assert peer.gave_up.wait(5)
    assert time.monotonic() - left_at < 0.2
    _until(lambda: 'grpc_code="Canceled",grpc_method="Hang"' in exposition(runtime.registry).decode())


def test_limited_calls_above_the_cap_are_refused(runtime: Runtime, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(grpc_server, "MAX_LIMITED_CALLS", 1)
    peer = Peer(runtime)
    first = peer.stream("/test.Test/Hang")
    assert next(first) == b"first"
    with pytest.raises(grpc.RpcError) as caught:
        next(peer.stream("/test.Test/Hang"))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    first.cancel()
    assert peer.gave_up.wait(5)
    peer.channel.close()
    peer.server.stop()


def test_health_knows_only_the_empty_name(peer: Peer, runtime: Runtime):
    check = "/grpc.health.v1.Health/Check"
    assert peer.unary(check) == b"\x08\x02"
    runtime.probes.healthy()
    runtime.probes.ready()
    assert peer.unary(check).hex() == GOLDEN["health:"]["hex"]
    assert peer.unary("/grpc.health.v1.Health/List").hex() == GOLDEN["health_list_hex"]
    with pytest.raises(grpc.RpcError) as caught:
        peer.unary(check, bytes_field(1, b"thanos.Store"))
    wanted = GOLDEN["health:thanos.Store"]
    assert (caught.value.code().name, caught.value.details()) == (wanted["code"], wanted["message"])


def test_health_watch_follows_the_probes(peer: Peer, runtime: Runtime):
    call = peer.stream("/grpc.health.v1.Health/Watch")
    assert next(call) == b"\x08\x02"
    runtime.probes.ready()
    assert next(call) == b"\x08\x01"
    runtime.probes.not_ready()
    assert next(call) == b"\x08\x02"
    call.cancel()
    assert next(peer.stream("/grpc.health.v1.Health/Watch", bytes_field(1, b"nope"))) == b"\x08\x03"


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_answers_as_recorded(peer: Peer, version: str):
    path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    numbers = {"list_services": 7, "file_containing_symbol": 4, "file_by_filename": 3}
    for case in GOLDEN[path]:
        kind, _, text = case["request"].partition(": ")
        request = bytes_field(numbers[kind], json.loads(text).encode())
        answer = dict(fields(next(peer.channel.stream_stream(path)(iter([request])))))
        assert answer[2] == request
        match case["kind"]:
            case "list_services_response":
                names = [dict(fields(item))[1].decode() for _, item in fields(answer[6])]
                assert [n for n in names if n != "test.Test"] == case["services"]
            case "error_response":
                error = dict(fields(answer[7]))
                assert error[1] == case["error_code"]
                assert error[2] == b"proto: not found"
            case "file_descriptor_response":
                assert case["files"][0][0].encode() in answer[4]


def test_the_health_descriptor_is_understood_by_protobuf():
    descriptor_pb2 = pytest.importorskip("google.protobuf.descriptor_pb2")
    from google.protobuf import descriptor_pool

    from athanor.serve.grpc_reflection import health_file

    parsed = descriptor_pb2.FileDescriptorProto.FromString(health_file())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(parsed)
    service = pool.FindServiceByName("grpc.health.v1.Health")
    assert [m.name for m in service.methods] == ["Check", "List", "Watch"]
    assert (
        service.methods_by_name["Check"].output_type.fields_by_name["status"].enum_type.values_by_name["SERVING"].number
        == 1
    )


def test_stopping_cuts_calls_when_the_grace_period_ends(runtime: Runtime, lines: list[str]):
    peer = Peer(runtime, grace_ms=300)
    call = peer.stream("/test.Test/Hang")
    assert next(call) == b"first"
    started_at = time.monotonic()
    peer.server.stop()
    assert 0.25 < time.monotonic() - started_at < 3
    assert peer.gave_up.wait(5)
    assert 'msg="grace period exceeded enforcing shutdown"' in "".join(lines)
    peer.channel.close()


def test_a_port_in_use_names_the_address(runtime: Runtime):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        server = GrpcServer(runtime, address=address, grace_ms=0, max_connection_age_ms=0, services=())
        with pytest.raises(OperatorError) as caught:
            server.start()
    assert error_chain(caught.value) == [
        f"listen tcp {address}: bind: address already in use",
        f"listen gRPC on address {address}",
    ]


def test_small_messages_end_where_their_fields_end():
    message = bytes_field(1, b"abc") + b"\x10\x96\x01" + bytes_field(300, b"")
    assert fields(message) == [(1, b"abc"), (2, 150), (300, b"")]
    whole = {0, 5, 8, 11}
    for end in range(len(message)):
        if end in whole:
            fields(message[:end])
        else:
            with pytest.raises(DataError):
                fields(message[:end])
    with pytest.raises(DataError):
        fields(b"\xff" * 11)


def test_codes_have_the_names_of_go():
    assert [go_code(c) for c in ("OK", "CANCELLED", "DEADLINE_EXCEEDED")] == ["OK", "Canceled", "DeadlineExceeded"]
