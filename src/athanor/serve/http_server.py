"""The HTTP server of a role: aiohttp on uvloop in a thread of its own, handlers in worker threads.

    http = HttpServer(runtime, address="0.0.0.0:10902", grace_ms=120_000, n_threads=28)
    http.route("/api/v1/query", query_handler, methods=("GET", "POST"), name="query", api=True)
    runtime.group.add("http", http.start, http.stop)

A handler is an ordinary function of a ``HttpCall`` and a ``CancelToken``. When the client leaves, the token is
cancelled at once; the worker thread ends when the handler next looks. Probes and /metrics never wait for a worker of
the handlers.
"""

from __future__ import annotations

import asyncio
import html
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import uvloop
from aiohttp import web

from athanor.model.cancel import Cancelled, CancelToken
from athanor.model.errors import AthanorError, OperatorError
from athanor.model.log import Logger
from athanor.serve.http_bodies import Body, accepts_gzip
from athanor.serve.http_metrics import HttpMetrics
from athanor.serve.http_routes import Match, Route, Routes
from athanor.serve.http_types import TEXT, Handler, HttpCall, HttpReply
from athanor.serve.listen import listen_tcp, shown_address
from athanor.serve.metrics import CONTENT_TYPE, exposition
from athanor.serve.process import Reason, Runtime, short_reason

if TYPE_CHECKING:
    from athanor.serve.http_guard import HttpGuard

T = TypeVar("T")

MAX_BODY_BYTES = 64 * 1024 * 1024
CORS_HEADERS = (
    ("Access-Control-Allow-Headers", "Accept, Accept-Encoding, Authorization, Content-Type, Origin"),
    ("Access-Control-Allow-Methods", "GET, POST, OPTIONS"),
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", "Date"),
)
VARY = ("Vary", "Accept-Encoding")
REDIRECTS = {301: "Moved Permanently", 307: "Temporary Redirect"}
CLIENT_LEFT = "the client closed the connection"


class HttpServer:
    """One listening address. Routes are added before ``start``."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        address: str,
        grace_ms: int,
        n_threads: int,
        cors: bool = True,
        tenant_header: str = "",
        default_tenant: str = "",
        api_root: str = "/api/v1",
        instrumented: bool = True,
        config_file: str = "",
    ) -> None:
        """config_file: the file of ``--http.config``, "" for none.

        instrumented: whether the role has http_* metrics; tenant_header: "" leaves the tenant label out.
        """
        self._runtime = runtime
        self._log = runtime.log.bind(service="http/server", component=runtime.component)
        self._address = address
        self._grace_s = grace_ms / 1000
        self._cors = CORS_HEADERS if cors else ()
        self._tenant_header, self._default_tenant = tenant_header, default_tenant
        self._metrics = HttpMetrics(runtime.registry, tenants=bool(tenant_header)) if instrumented else None
        self._config_file = config_file
        self._guard: HttpGuard | None = None
        self._routes = Routes()
        self._routes.api_roots.append(api_root)
        self._workers = ThreadPoolExecutor(n_threads, thread_name_prefix="http")
        self._own_workers = ThreadPoolExecutor(2, thread_name_prefix="http-own")
        self._gzip_workers = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="gzip")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._runner: web.AppRunner | None = None
        self.address = ""
        """Where it listens, once started: the port that was given for port 0."""

    def route(
        self,
        pattern: str,
        handler: Handler,
        *,
        methods: tuple[str, ...] = ("GET",),
        name: str = "",
        api: bool = False,
    ) -> None:
        """Answer a pattern; ``name`` is the handler label of the metrics, "" leaves it out of them."""
        self._routes.add(Route(pattern, methods, handler, name, api))

    # -- life

    def start(self) -> None:
        """Listen; returns once requests are taken."""
        self._runtime.probes.healthy()
        self._log.info("listening for requests and metrics", address=self._address)
        if self._config_file:
            self._guard = _make_guard(self._config_file, self._log)
        try:
            sock = listen_tcp(self._address)
        except OperatorError as err:
            raise OperatorError("serve HTTP and metrics") from err
        ssl_context = self._guard.ssl_context() if self._guard is not None else None
        self.address = shown_address(sock)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="http-loop", daemon=True)
        self._thread.start()

        async def serve() -> None:
            # handler_cancellation: without it a client that leaves would not be noticed until the answer is written
            app = web.Application(client_max_size=MAX_BODY_BYTES)
            app.on_response_prepare.append(self._finish_headers)
            app.router.add_route("*", "/{tail:.*}", self._answer)
            self._runner = web.AppRunner(
                app, handler_cancellation=True, access_log=None, shutdown_timeout=self._grace_s, keepalive_timeout=300
            )
            await self._runner.setup()
            await web.SockSite(self._runner, sock, backlog=1024, ssl_context=ssl_context).start()

        asyncio.run_coroutine_threadsafe(serve(), self._loop).result()
        self._log.info("Listening on", address=self.address)
        self._log.info(
            "TLS is disabled." if ssl_context is None else "TLS is enabled.", http2=False, address=self.address
        )

    def stop(self, reason: Reason = None) -> None:
        """Close the listener, wait for active requests up to the grace period, then cut them."""
        why = short_reason(reason)
        self._runtime.probes.not_ready(why)
        self._log.info("internal server is shutting down", err=why)
        if self._loop is not None and self._runner is not None and self._thread is not None:
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._own_workers.shutdown(wait=False, cancel_futures=True)
        self._gzip_workers.shutdown(wait=False, cancel_futures=True)
        text = "internal server is shutdown gracefully" if self._grace_s else "internal server is shutdown"
        self._log.info(text, err=why)
        self._runtime.probes.not_healthy(why)

    # -- one request

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        guard = self._guard
        if guard is None:
            return await self._answer_admitted(request)
        refusal = await self._in_thread(self._own_workers, lambda: guard.refuse(request.headers))
        if guard.tls and not guard.client_is_allowed(request.get_extra_info("peercert")):
            # differs: the name is looked at here, not in the handshake; the client sees a connection that is cut
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the client's certificate carries none of the allowed names")
        if refusal is not None:
            return self._response(request, refusal)
        return await self._answer_admitted(request)

    async def _answer_admitted(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        own = await self._own_answer(path, request)
        if own is not None:
            return own
        cleaned = _clean(path)
        if cleaned != path:
            return self._response(request, HttpReply(307, b"", "", (("Location", _with_query(cleaned, request)),)))
        if request.method == "OPTIONS" and self._routes.is_api(path):
            return web.Response(status=204, headers=[*self._cors, VARY])
        found = self._routes.find(request.method, path)
        if isinstance(found, HttpReply):
            return self._response(request, found)
        return await self._serve(request, path, found)

    async def _own_answer(self, path: str, request: web.Request) -> web.StreamResponse | None:
        probes = self._runtime.probes
        if path in ("/-/healthy", "/-/ready"):
            good = probes.is_healthy if path == "/-/healthy" else probes.is_ready
            if good:
                return web.Response(body=b"OK", headers={"Content-Type": TEXT})
            headers = {"Content-Type": TEXT, "X-Content-Type-Options": "nosniff"}
            return web.Response(status=503, body=b"NOT OK\n", headers=headers)
        if path == "/metrics":
            gzip = self._gzip(request)
            body = await self._in_thread(self._own_workers, lambda: Body(self._metrics_page(), gzip))
            encoding = {"Content-Encoding": "gzip"} if body.compressed else {}
            return web.Response(body=body.whole, headers={"Content-Type": CONTENT_TYPE, **encoding})
        return None

    async def _finish_headers(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        response.headers.pop("Server", None)  # the original does not say what it runs on
        if self._guard is not None:
            response.headers.update(self._guard.headers())

    def _gzip(self, request: web.Request) -> Executor | None:
        return self._gzip_workers if accepts_gzip(request.headers.get("Accept-Encoding", "")) else None

    def _metrics_page(self) -> HttpReply:
        return HttpReply(200, exposition(self._runtime.registry), CONTENT_TYPE)

    def _response(self, request: web.Request, reply: HttpReply) -> web.Response:
        assert isinstance(reply.body, bytes)
        location = [(k, v) for k, v in reply.headers if k != "Location"]
        for key, value in reply.headers:
            if key == "Location":
                location.append((key, value if "?" in value else _with_query(value, request)))
        kind = [("Content-Type", reply.content_type)] if reply.content_type else []
        body = reply.body
        if reply.status in REDIRECTS and request.method == "GET":
            # compat: Go's http.Redirect adds a page for people
            target = next(value for key, value in location if key == "Location")
            body = f'<a href="{html.escape(target)}">{REDIRECTS[reply.status]}</a>.\n\n'.encode()
            kind = [("Content-Type", "text/html; charset=utf-8")]
        return web.Response(status=reply.status, body=body or None, headers=[*kind, *location])

    async def _in_thread(self, workers: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(workers, work)

    async def _serve(self, request: web.Request, path: str, match: Match) -> web.StreamResponse:
        route = match.route
        started_at = time.perf_counter()
        tenant = request.headers.get(self._tenant_header, "") if self._tenant_header else ""
        tenant = tenant or self._default_tenant
        counted = self._metrics is not None and bool(route.name)
        inflight = self._metrics.inflight(route.name, request.method, tenant) if self._metrics and counted else None
        if inflight is not None:
            inflight.inc()
        status, n_sent, n_received = 499, 0, 0
        token = CancelToken()
        try:
            raw = await request.read()
            n_received = len(raw)
            call = HttpCall(
                request.method,
                path,
                request.raw_path.partition("?")[2],
                request.headers,
                raw,
                request.remote or "",
                match.values,
            )
            gzip = self._gzip(request) if route.api else None
            reply, body = await self._in_thread(self._workers, lambda: self._handle(route, call, token, gzip))
            status = reply.status
            response, n_sent = await self._send(request, route, reply, body)
            return response
        except (asyncio.CancelledError, ConnectionError):
            token.cancel(CLIENT_LEFT)
            raise
        finally:
            if inflight is not None and self._metrics is not None:
                inflight.dec()
                seconds = time.perf_counter() - started_at
                self._metrics.done(route.name, request.method, tenant, status, seconds, n_received, n_sent)

    def _handle(
        self, route: Route, call: HttpCall, token: CancelToken, gzip: Executor | None
    ) -> tuple[HttpReply, Body]:
        """In a worker thread: the handler, then the beginning of the body."""
        try:
            token.check()
            reply = route.handler(call, token)
            body = Body(reply, gzip)
            if token.cancelled:
                body.close()
            return reply, body
        except Cancelled as err:
            reply = HttpReply(503, f"{err}\n".encode(), TEXT)
        except Exception as err:
            self._log.error("handler failed", path=call.path, err=f"{type(err).__name__}: {err}")
            reply = HttpReply(500, b"Internal Server Error\n", TEXT)
        return reply, Body(reply, None)

    async def _send(
        self, request: web.Request, route: Route, reply: HttpReply, body: Body
    ) -> tuple[web.StreamResponse, int]:
        headers = [*reply.headers]
        if reply.content_type:
            headers.append(("Content-Type", reply.content_type))
        if route.api:
            headers += [*self._cors, VARY]
        if body.compressed:
            headers.append(("Content-Encoding", "gzip"))
        if body.pieces is None:
            return web.Response(status=reply.status, body=body.whole, headers=headers), len(body.whole)
        response = web.StreamResponse(status=reply.status, headers=headers)
        n_sent = 0
        try:
            await response.prepare(request)
            while True:
                piece = await self._in_thread(self._workers, body.next_piece)
                if piece is None:
                    break
                n_sent += len(piece)
                await response.write(piece)
            await response.write_eof()
        except BaseException:
            self._workers.submit(body.close)
            raise
        return response, n_sent


def _make_guard(path: str, log: Logger) -> HttpGuard:
    from athanor.serve.http_guard import HttpGuard  # most servers run without one

    try:
        return HttpGuard(path, log)
    except AthanorError as err:
        raise OperatorError("server could not be started") from err


def _clean(path: str) -> str:
    """The path without empty, ``.`` and ``..`` parts; a trailing slash stays."""
    if "//" not in path and "/./" not in path and "/../" not in path and not path.endswith(("/.", "/..")):
        return path
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            kept = kept[:-1]
        elif part not in ("", "."):
            kept.append(part)
    return "/" + "/".join(kept) + ("/" if path.endswith("/") and kept else "")


def _with_query(path: str, request: web.Request) -> str:
    query = request.raw_path.partition("?")[2]
    return f"{path}?{query}" if query else path
