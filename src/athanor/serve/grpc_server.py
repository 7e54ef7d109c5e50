"""The gRPC server of a role: grpcio's synchronous server with handlers over raw bytes.

    grpc = GrpcServer(runtime, address="0.0.0.0:10901", grace_ms=120_000, max_connection_age_ms=3_600_000,
                      services=(store_service, info_service))
    runtime.group.add("grpc", grpc.start, grpc.stop)

Up to 256 calls run at once; methods marked ``limited`` share 200 of them, the next one is refused with
RESOURCE_EXHAUSTED, so that Info, labels and health always find a thread. Health and reflection are added here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from athanor.model.cancel import Cancelled, CancelToken
from athanor.model.errors import AthanorError, OperatorError
from athanor.model.rpc import CODES, Call, Service, StatusError, StreamMethod, UnaryMethod
from athanor.serve.grpc_health import NAME as HEALTH
from athanor.serve.grpc_health import health_service
from athanor.serve.grpc_metrics import GrpcMetrics, MethodMetrics
from athanor.serve.grpc_reflection import METHOD as REFLECTION_METHOD
from athanor.serve.grpc_reflection import NAMES as REFLECTION
from athanor.serve.grpc_reflection import reflect
from athanor.serve.listen import listen_tcp, split_address
from athanor.serve.process import Reason, Runtime, short_reason

N_THREADS = 256
MAX_LIMITED_CALLS = 200
MAX_MESSAGE_BYTES = 2**31 - 1
MIN_PING_MS = 10_000
NO_DEADLINE_S = 10 * 365 * 86_400  # grpcio shows "no deadline" as one in the far future
CLIENT_LEFT = "the client left"
_GRPC_CODES = {code: getattr(grpc.StatusCode, code) for code in CODES}


def server_options(max_connection_age_ms: int) -> list[tuple[str, int]]:
    """Channel arguments: no limit on messages, pings at most every 10 s, the port for this process alone."""
    options = [
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", MIN_PING_MS),
        ("grpc.http2.min_ping_interval_without_data_ms", MIN_PING_MS),
    ]
    if max_connection_age_ms > 0:
        options.append(("grpc.max_connection_age_ms", max_connection_age_ms))
    return options


class GrpcServer:
    """One listening address with its services."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        address: str,
        grace_ms: int,
        max_connection_age_ms: int,
        services: Sequence[Service],
    ) -> None:
        self._runtime = runtime
        self._log = runtime.log.bind(service="gRPC/server", component=runtime.component)
        self._address = address
        self._grace_s = grace_ms / 1000
        self._metrics = GrpcMetrics(runtime.registry, services)
        self._limited = threading.BoundedSemaphore(MAX_LIMITED_CALLS)
        self._workers = ThreadPoolExecutor(N_THREADS, thread_name_prefix="grpc")
        self._server = grpc.server(self._workers, options=server_options(max_connection_age_ms))
        self._names = [service.name for service in services] + [HEALTH, *REFLECTION]
        for service in (*services, health_service(runtime.probes)):
            self._add(service)
        for name in REFLECTION:
            handler = grpc.stream_stream_rpc_method_handler(self._reflect)
            self._server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(name, {REFLECTION_METHOD: handler}),)
            )
        self.port = 0
        """Where it listens, once started."""
        runtime.log.info("disabled TLS, key and cert must be set to enable", protocol="gRPC")

    def _add(self, service: Service) -> None:
        handlers = {}
        for method in service.methods:
            metrics = self._metrics.methods.get(f"/{service.name}/{method.name}")
            if isinstance(method, UnaryMethod):
                handlers[method.name] = grpc.unary_unary_rpc_method_handler(self._unary(method, metrics))
            else:
                handlers[method.name] = grpc.unary_stream_rpc_method_handler(self._stream(method, metrics))
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.name, handlers),))

    # -- life

    def start(self) -> None:
        """Listen; returns once calls are taken."""
        self._log.info("listening for serving gRPC", address=self._address)
        try:
            host, port = split_address(self._address)
            listed = f"[{host or '::'}]:{port}" if ":" in (host or "::") else f"{host}:{port}"
            try:
                self.port = self._server.add_insecure_port(listed)
            except RuntimeError:
                listen_tcp(self._address).close()  # grpcio keeps the reason to itself; this raises it
                raise OperatorError(f"listen tcp {self._address}: bind failed") from None
        except OperatorError as err:
            raise OperatorError(f"listen gRPC on address {self._address}") from err
        self._server.start()

    def stop(self, reason: Reason = None) -> None:
        """Take no more calls, wait for active ones up to the grace period, then cut them."""
        why = short_reason(reason)
        self._runtime.probes.not_ready(why)
        self._log.info("internal server is shutting down", err=why)
        if self._grace_s:
            self._log.info("gracefully stopping internal server")
        started_at = time.monotonic()
        self._server.stop(self._grace_s or None).wait()
        if self._grace_s and time.monotonic() - started_at >= self._grace_s:
            self._log.warn("grace period exceeded enforcing shutdown")
        self._workers.shutdown(wait=False, cancel_futures=True)
        text = "internal server is shutdown gracefully" if self._grace_s else "internal server is shutdown"
        self._log.info(text, err=why)

    # -- calls

    def _unary(self, method: UnaryMethod, metrics: MethodMetrics | None) -> Callable[[bytes, Any], bytes]:
        def serve(request: bytes, context: Any) -> bytes:
            with _Counted(metrics) as counted:
                try:
                    answer = method.handler(request, _call(context))
                    counted.sent()
                    return answer
                except Exception as err:
                    self._abort(context, err, counted)
                    raise AssertionError("BUG: abort returned") from err

        return serve

    def _stream(self, method: StreamMethod, metrics: MethodMetrics | None) -> Callable[[bytes, Any], Iterator[bytes]]:
        def serve(request: bytes, context: Any) -> Iterator[bytes]:
            with _Counted(metrics) as counted:
                if method.limited and not self._limited.acquire(blocking=False):
                    refused = StatusError(
                        "RESOURCE_EXHAUSTED", f"{MAX_LIMITED_CALLS} calls are being served, try again"
                    )
                    self._abort(context, refused, counted)
                frames: Iterator[bytes] = iter(())
                try:
                    frames = method.handler(request, _call(context))
                    for frame in frames:
                        counted.sent()
                        yield frame
                except Exception as err:
                    self._abort(context, err, counted)
                finally:
                    _close(frames)
                    if method.limited:
                        self._limited.release()

        return serve

    def _abort(self, context: Any, error: Exception, counted: _Counted) -> None:
        code, text = self._status(error)
        counted.code = code
        context.abort(_GRPC_CODES[code], text)

    def _status(self, error: Exception) -> tuple[str, str]:
        if isinstance(error, StatusError):
            return error.code, error.message
        if isinstance(error, Cancelled):
            return ("DEADLINE_EXCEEDED" if error.deadline else "CANCELLED"), error.reason
        if isinstance(error, AthanorError):
            return "UNKNOWN", str(error)
        self._metrics.panics.inc()
        self._log.error("call failed", err=f"{type(error).__name__}: {error}")
        return "INTERNAL", str(error)

    def _reflect(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        return reflect(requests, self._names)


class _Counted:
    """Counts one call; ``code`` is what it ends with."""

    __slots__ = ("code", "metrics", "started_at")

    def __init__(self, metrics: MethodMetrics | None) -> None:
        self.metrics = metrics
        self.code = "OK"
        self.started_at = time.perf_counter()

    def __enter__(self) -> _Counted:
        if self.metrics is not None:
            self.metrics.started.inc()
            self.metrics.received.inc()
        return self

    def sent(self) -> None:
        """One message goes out."""
        if self.metrics is not None:
            self.metrics.sent.inc()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if self.metrics is None:
            return
        if kind is GeneratorExit:
            self.code = "CANCELLED"
        self.metrics.handled[self.code].inc()
        self.metrics.seconds.observe(time.perf_counter() - self.started_at)


def _call(context: Any) -> Call:
    left_s = context.time_remaining()
    token = CancelToken(timeout_s=None if left_s is None or left_s > NO_DEADLINE_S else left_s)
    if not context.add_callback(lambda: token.cancel(CLIENT_LEFT)):
        token.cancel(CLIENT_LEFT)
    metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
    return Call(token, metadata, context.peer())


def _close(frames: Iterator[bytes]) -> None:
    close = getattr(frames, "close", None)
    if close is not None:
        close()
