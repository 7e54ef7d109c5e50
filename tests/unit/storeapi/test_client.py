"""Client, services and proxy over a real gRPC connection inside this process."""

from __future__ import annotations

import importlib.util
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from athanor.model.budget import Budget
from athanor.model.cancel import Cancelled, CancelToken
from athanor.model.log import silent
from athanor.model.rpc import Call, StatusError, StreamMethod
from athanor.storeapi.client import CallError, Connection, go_code
from athanor.storeapi.endpoints import EndpointSet, EndpointSetOptions, EndpointSpec
from athanor.storeapi.frames import SeriesFrame
from athanor.storeapi.messages import encode, info, thanos
from athanor.storeapi.proxy import Proxy, ProxyCall
from athanor.storeapi.server import info_service, store_service, tenant_of
from athanor.storeapi.streams import StreamError

_spec = importlib.util.spec_from_file_location("storeapi_reference", Path(__file__).with_name("reference.py"))
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)


class Store:
    """Serves three series; ``slow`` holds the stream open after the first frame."""

    def __init__(self):
        self.slow = False
        self.calls = []

    def series(self, request, call):
        self.calls.append((request, tenant_of(call), call))
        if request.matchers[0].value == "bad":
            raise StatusError("INVALID_ARGUMENT", "bad matcher")
        for i in range(3):
            chunk = (i, i + 1, {"raw": (0, b"data", 9)})
            yield reference.batch_frame([reference.series_message([("a", str(i))], [chunk])])
            if self.slow:
                call.cancel.wait(20)

    def label_names(self, request, call):
        return thanos.LabelNamesResponse(names=["a", "b"])

    def label_values(self, request, call):
        raise StatusError("INTERNAL", "broken")


def grpc_handlers(service):
    """A small transport for the test: the server of the process has the real one."""

    def call_of(context):
        token = CancelToken()
        context.add_callback(lambda: token.cancel("client left"))
        return Call(token, dict(context.invocation_metadata()))

    def guarded(handler, stream):
        def unary(data, context):
            try:
                return handler(data, call_of(context))
            except StatusError as error:
                context.abort(getattr(grpc.StatusCode, error.code), error.message)

        def streaming(data, context):
            try:
                yield from handler(data, call_of(context))
            except StatusError as error:
                context.abort(getattr(grpc.StatusCode, error.code), error.message)
            except Cancelled:
                return

        return grpc.unary_stream_rpc_method_handler(streaming) if stream else grpc.unary_unary_rpc_method_handler(unary)

    methods = {m.name: guarded(m.handler, isinstance(m, StreamMethod)) for m in service.methods}
    return grpc.method_handlers_generic_handler(service.name, methods)


@pytest.fixture
def served():
    store = Store()
    response = info.InfoResponse(ComponentType="store")
    response.store.min_time, response.store.max_time = 0, 100
    response.store.supports_without_replica_labels = True
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers(
        (grpc_handlers(store_service(store)), grpc_handlers(info_service(lambda: response)))
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield store, f"127.0.0.1:{port}", server
    server.stop(0).wait()


def request_for(value="up"):
    return thanos.SeriesRequest(max_time=10, matchers=[thanos.LabelMatcher(name="job", value=value)])


@pytest.fixture
def connection(served):
    connection = Connection(served[1])
    yield connection
    connection.close()


def test_info_says_what_the_store_said(served, connection):
    answer = connection.info(5.0, wait_for_ready=True)
    assert (answer.ComponentType, answer.store.max_time) == ("store", 100)


def test_series_arrive_as_raw_messages_with_the_tenant(served, connection):
    call = connection.series(encode(request_for()), CancelToken(), {"thanos-tenant": "team-a"})
    assert [thanos.SeriesResponse.FromString(m).batch.series[0].labels[0].value for m in call] == ["0", "1", "2"]
    assert served[0].calls[0][1] == "team-a"


def test_the_tenant_is_the_default_one_where_the_caller_names_none(served, connection):
    list(connection.series(encode(request_for()), CancelToken(), {}))
    assert served[0].calls[0][1] == "default-tenant"


def test_errors_carry_the_text_of_gos_client(served, connection):
    with pytest.raises(StreamError) as caught:
        list(connection.series(encode(request_for("bad")), CancelToken(), {}))
    assert caught.value.failure.text == "rpc error: code = InvalidArgument desc = bad matcher"
    assert not caught.value.failure.opening
    request = encode(thanos.LabelValuesRequest(label="a"))
    with pytest.raises(CallError, match="rpc error: code = Internal desc = broken"):
        connection.label_values(request, CancelToken(), {})
    assert [go_code(c) for c in ("CANCELLED", "DEADLINE_EXCEEDED", "OK")] == ["Canceled", "DeadlineExceeded", "OK"]


def test_a_closed_port_is_a_failure_to_open():
    connection = Connection("127.0.0.1:1")
    with pytest.raises(StreamError) as caught:
        list(connection.series(encode(request_for()), CancelToken(), {}))
    assert caught.value.failure.opening and caught.value.failure.code == "UNAVAILABLE"
    connection.close()


def test_a_proxy_over_endpoints_reads_a_real_store(served):
    endpoints = EndpointSet([EndpointSpec(served[1])], silent(), EndpointSetOptions())
    endpoints.update()
    proxy = Proxy(endpoints.stores, missing=endpoints.missing)
    budget, rows = Budget(1 << 20), []
    for batch in proxy.series(request_for(), budget, ProxyCall(CancelToken(), print)):
        rows += reference.rows_of(SeriesFrame(batch.labels, batch.chunks))
        budget.give(batch.held_bytes)
    assert [labels for labels, _ in rows] == [[("a", "0")], [("a", "1")], [("a", "2")]]
    assert budget.held_bytes == 0
    assert list(proxy.label_names(thanos.LabelNamesRequest(end=1), ProxyCall(CancelToken(), print)).names) == ["a", "b"]
    endpoints.close()


def consume(batches, budget):
    for batch in batches:
        budget.give(batch.held_bytes)


def test_a_client_that_leaves_stops_the_streams_of_proxy_and_store_within_200_ms(served):
    store, address, _ = served
    store.slow = True
    endpoints = EndpointSet([EndpointSpec(address)], silent(), EndpointSetOptions())
    endpoints.update()
    cancel, budget = CancelToken(), Budget(1 << 20)
    before = threading.active_count()
    with budget:
        batches = Proxy(endpoints.stores).series(request_for(), budget, ProxyCall(cancel, print))
        threading.Timer(0.2, lambda: cancel.cancel("client left")).start()
        start = time.monotonic()
        with pytest.raises(Cancelled):
            consume(batches, budget)
        assert time.monotonic() - start < 0.4
    assert budget.held_bytes == 0
    deadline = time.monotonic() + 0.2
    while not store.calls[0][2].cancel.cancelled and time.monotonic() < deadline:
        time.sleep(0.005)
    assert store.calls[0][2].cancel.cancelled
    assert not [t for t in threading.enumerate() if t.name.startswith("series ")]
    assert threading.active_count() <= before + 1
    endpoints.close()
