"""A query server for browser tests: the real pages and assets, and an API that answers what a test says."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from aiohttp import web

from athanor.ui import assets

Pairs = list[tuple[str, str]]


@dataclass
class Asked:
    """One request as it came in: the pairs in their order."""

    path: str
    pairs: Pairs
    headers: dict[str, str]

    def value(self, key: str) -> str:
        """The first value of a key, empty when it is absent."""
        return dict(reversed(self.pairs)).get(key, "")


@dataclass
class Reply:
    """What the API sends; ``delay_s`` is waited first."""

    body: bytes | str
    status: int = 200
    content_type: str = "application/json"
    delay_s: float = 0.0


Answer = Callable[[Asked], Reply]


def success(data: object, warnings: list[str] | None = None) -> Reply:
    """An answer in the envelope of the API, keys in its order."""
    body: dict[str, object] = {"status": "success", "data": data}
    if warnings:
        body["warnings"] = warnings
    return Reply(json.dumps(body, separators=(",", ":"), ensure_ascii=False))


def vector(rows: list[tuple[dict[str, str], str]], at_s: float = 1700000060) -> Reply:
    """An instant vector."""
    result = [{"metric": metric, "value": [at_s, value]} for metric, value in rows]
    return success({"resultType": "vector", "result": result, "analysis": {}})


def matrix(series: list[tuple[dict[str, str], list[tuple[float, str]]]], warnings: list[str] | None = None) -> Reply:
    """A range vector or the answer of a range query."""
    result = [{"metric": metric, "values": [[t, v] for t, v in values]} for metric, values in series]
    return success({"resultType": "matrix", "result": result, "analysis": {}}, warnings)


def endpoint(name: str, replica: str = "a", **changes: object) -> dict[str, object]:
    """An entry of /api/v1/stores that was checked just now."""
    entry: dict[str, object] = {
        "name": name,
        "lastCheck": time.strftime("%Y-%m-%dT%H:%M:%S.123456789Z", time.gmtime()),
        "lastError": None,
        "labelSets": [{"cluster": "eu-1", "replica": replica}],
        "minTime": 1700000000000,
        "maxTime": 9223372036854775807,
    }
    return entry | changes


@dataclass
class FakeQuery:
    """State that a test changes while the server runs in its own thread."""

    prefix: str = ""
    external_prefix: str = ""
    prefix_header: str = ""
    shows_tenant_box: bool = False
    stores: dict[str, list[dict[str, object]]] = field(default_factory=dict)
    flags: dict[str, str] = field(default_factory=lambda: {"query.promql-engine": "thanos", "query.default-step": "1s"})
    names: list[str] = field(default_factory=lambda: ["up", "http_requests_total", "demo_temp"])
    answer: Answer = field(default=lambda asked: vector([({"__name__": "up", "job": "a"}, "1")]))
    stores_fail: bool = False
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def queries(self) -> list[Asked]:
        """The query requests so far, without the others."""
        return [asked for asked in self.asked if asked.path in {"/api/v1/query", "/api/v1/query_range"}]

    # --- the server ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Serves on a free port until :meth:`stop`."""
        self._loop = asyncio.new_event_loop()
        started = threading.Event()

        def serve() -> None:
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(self._start())
            started.set()
            self._loop.run_forever()

        self._thread = threading.Thread(target=serve, daemon=True)
        self._thread.start()
        if not started.wait(10):
            raise RuntimeError("the test server did not start")

    def stop(self) -> None:
        """Closes the server and its thread."""
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application(client_max_size=1 << 22)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        self.url = f"http://127.0.0.1:{port}{self.prefix}"

    async def _handle(self, request: web.Request) -> web.Response:
        if self.prefix and not request.path.startswith(f"{self.prefix}/"):
            return web.Response(status=404, text="404 page not found\n")
        path = request.path[len(self.prefix) :]
        if path.startswith("/api/v1/"):
            return await self._api(request, path)
        accept = request.headers.get("Accept-Encoding", "")
        if path in assets.PAGE_PATHS:
            header = request.headers.get(self.prefix_header) if self.prefix_header else None
            found: assets.Asset | None = assets.index_page(
                assets.PageVariables(
                    path_prefix=assets.path_prefix(self.external_prefix, header), shows_tenant_box=self.shows_tenant_box
                )
            )
        else:
            found = assets.asset(path)
        if found is None:
            return web.Response(status=404, text="404 page not found\n")
        return web.Response(body=found.payload(accept), headers=found.headers(accept))

    async def _api(self, request: web.Request, path: str) -> web.Response:
        body = (await request.read()).decode()
        pairs = parse_qsl(request.query_string, keep_blank_values=True) + parse_qsl(body, keep_blank_values=True)
        asked = Asked(path, pairs, dict(request.headers))
        self.asked.append(asked)
        reply = self._reply(asked)
        if reply.delay_s:
            await asyncio.sleep(reply.delay_s)
        data = reply.body if isinstance(reply.body, bytes) else reply.body.encode()
        return web.Response(body=data, status=reply.status, content_type=reply.content_type)

    def _reply(self, asked: Asked) -> Reply:
        match asked.path:
            case "/api/v1/stores":
                if self.stores_fail:
                    return Reply("<html>bad gateway</html>", 502, "text/html")
                return success(self.stores)
            case "/api/v1/status/flags":
                return success(self.flags)
            case "/api/v1/query" | "/api/v1/query_range":
                return self.answer(asked)
            case "/api/v1/label/__name__/values":
                return success(self._names(asked))
            case "/api/v1/labels":
                return success(["__name__", "instance", "job"])
            case "/api/v1/metadata":
                return success({asked.value("metric"): [{"type": "counter", "help": "What it counts.", "unit": ""}]})
            case path if path.endswith("/values"):
                return success(["a", "b"])
            case "/api/v1/series":
                return success([])
        return Reply('{"status":"error","errorType":"not_found","error":"no such path"}', 404)

    def _names(self, asked: Asked) -> list[str]:
        selector = asked.value("match[]").lower()
        wanted = selector.split(".*")[1] if ".*" in selector else ""
        limit = int(asked.value("limit") or "0")
        found = [name for name in self.names if wanted in name.lower()]
        return found[:limit] if limit else found
