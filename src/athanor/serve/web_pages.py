"""The pages of the web UI as routes of an HTTP server: one document for all pages, and its assets."""

from __future__ import annotations

from athanor.model.cancel import CancelToken
from athanor.model.errors import OperatorError
from athanor.serve.http_server import HttpServer
from athanor.serve.http_types import TEXT, Handler, HttpCall, HttpReply
from athanor.ui import assets

ROOT_FILES = ("/boot.js", "/favicon.svg")
NO_FILE = HttpReply(404, b"", "")


def add_pages(
    http: HttpServer, variables: assets.PageVariables, *, prefix: str, external_prefix: str, prefix_header: str
) -> None:
    """prefix: where the pages live; external_prefix, prefix_header: what the browser sees in front of the paths."""

    def page(call: HttpCall, cancel: CancelToken) -> HttpReply:
        seen = assets.path_prefix(external_prefix, call.headers.get(prefix_header) if prefix_header else None)
        shown = assets.PageVariables(
            seen,
            variables.component,
            variables.query_url,
            variables.tenant_header,
            variables.default_tenant,
            variables.shows_tenant_box,
        )
        try:
            return _reply(assets.index_page(shown), call)
        except OperatorError as err:
            return HttpReply(503, f"{err}\n".encode(), TEXT)

    def file(call: HttpCall, cancel: CancelToken) -> HttpReply:
        found = assets.asset(call.path.removeprefix(prefix))
        return NO_FILE if found is None else _reply(found, call)

    for path in assets.PAGE_PATHS:
        if path != "/":
            http.route(prefix + path, page)
    if prefix:
        for path in ("/", prefix):
            http.route(path, _redirect(f"{prefix}/graph"))
    else:
        http.route("/", page)
    for path in (*ROOT_FILES, "/static/*file"):
        http.route(prefix + path, file)


def _redirect(target: str) -> Handler:
    def answer(call: HttpCall, cancel: CancelToken) -> HttpReply:
        location = f"{target}?{call.query_string}" if call.query_string else target
        body = f'<a href="{target}">Found</a>.\n\n'.encode()
        return HttpReply(302, body, "text/html; charset=utf-8", (("Location", location),))

    return answer


def _reply(found: assets.Asset, call: HttpCall) -> HttpReply:
    accepted = call.headers.get("Accept-Encoding", "")
    headers = found.headers(accepted)
    content_type = headers.pop("Content-Type")
    if call.headers.get("If-None-Match") == headers["ETag"]:
        return HttpReply(304, b"", content_type, tuple(headers.items()))
    return HttpReply(200, found.payload(accepted), content_type, tuple(headers.items()))
