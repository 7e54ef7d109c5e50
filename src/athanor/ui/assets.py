"""The built web application as pure functions: which bytes and headers belong to a path.

A page path answers with one index document. What differs between processes and requests (prefix, component,
tenancy) stands in a ``<meta name="athanor-config">`` as JSON: there is no inline script, so a strict content security
policy holds. Links to the assets begin with the prefix where there is one and are relative where there is none, as
Thanos writes them.
"""

from __future__ import annotations

import functools
import hashlib
import html
import json
import mimetypes
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from athanor.model.errors import OperatorError

STATIC_DIR = Path(__file__).parent / "static"
INDEX_NAME = "index.html"

#: The page paths of Thanos' router, below the route prefix; all answer with the same document.
PAGE_PATHS = (
    "/",
    "/alerts",
    "/blocks",
    "/config",
    "/flags",
    "/global",
    "/graph",
    "/loaded",
    "/rules",
    "/service-discovery",
    "/status",
    "/stores",
    "/targets",
    "/tsdb-status",
)

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src 'self'; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)

IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATE = "no-cache"

# Names that Vite writes carry a hash of their content: /static/index-BxY12_3a.js
HASHED_NAME = re.compile(r"-[A-Za-z0-9_-]{8}\.[a-z0-9.]+$")

# Python's own table depends on files of the machine; these types must not.
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/vnd.microsoft.icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One answer: the body and the headers that belong to it."""

    body: bytes
    content_type: str
    etag: str
    cache_control: str
    gzipped: bytes | None = None

    def headers(self, accept_encoding: str = "") -> dict[str, str]:
        """Response headers without Content-Length, for the encoding that :meth:`payload` chooses."""
        headers = {
            "Content-Type": self.content_type,
            "Cache-Control": self.cache_control,
            "ETag": self.etag,
            "X-Content-Type-Options": "nosniff",
        }
        if self.gzipped is not None:
            headers["Vary"] = "Accept-Encoding"
            if accepts_gzip(accept_encoding):
                headers["Content-Encoding"] = "gzip"
                # Two representations of one asset must not share a strong validator (RFC 9110, 8.8.3).
                headers["ETag"] = f'{self.etag[:-1]}-gzip"'
        if self.content_type.startswith("text/html"):
            headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
            headers["Referrer-Policy"] = "same-origin"
        return headers

    def payload(self, accept_encoding: str = "") -> bytes:
        """The body to send to a client with this Accept-Encoding header."""
        return self.gzipped if self.gzipped is not None and accepts_gzip(accept_encoding) else self.body


@dataclass(frozen=True, slots=True)
class PageVariables:
    """What Thanos writes into its index page as globals (THANOS_COMPONENT, ...)."""

    path_prefix: str = ""
    component: str = "query"
    query_url: str = ""
    tenant_header: str = "THANOS-TENANT"
    default_tenant: str = "default-tenant"
    shows_tenant_box: bool = False

    def as_json(self) -> str:
        """The value of the meta element."""
        return json.dumps(
            {
                "pathPrefix": self.path_prefix,
                "component": self.component,
                "queryURL": self.query_url,
                "tenantHeader": self.tenant_header,
                "defaultTenant": self.default_tenant,
                "displayTenantBox": "inline-block" if self.shows_tenant_box else "none",
            },
            separators=(",", ":"),
        )


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the header names gzip without refusing it."""
    for item in accept_encoding.lower().split(","):
        name, _, parameters = item.partition(";")
        if name.strip() == "gzip":
            return not re.fullmatch(r"\s*q=0(\.0*)?\s*", parameters)
    return False


def path_prefix(external_prefix: str = "", prefix_header_value: str | None = None) -> str:
    """The prefix that the browser sees: ``--web.external-prefix``, else the value of the prefix header.

    Only the path of a URL counts, cleaned of ``//`` and ``..``; scheme and host are dropped, so that no header can
    send the assets to another host. Either nothing or ``/a/b``.
    """
    text = external_prefix or prefix_header_value or ""
    try:
        path = urlsplit(text).path
    except ValueError:
        return ""
    path = re.sub(r"[\x00-\x20\\]", "", unquote(path))
    if not path:
        return ""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    return "" if clean == "/" else clean


def is_built(static_dir: Path = STATIC_DIR) -> bool:
    """Whether the application was built into this installation."""
    return (static_dir / INDEX_NAME).is_file()


def index_page(variables: PageVariables, static_dir: Path = STATIC_DIR) -> Asset:
    """The document of every page path, with the variables of this process and request in it."""
    try:
        template = _read(static_dir / INDEX_NAME)
    except FileNotFoundError:
        raise OperatorError(
            f"the web UI was not built: {static_dir / INDEX_NAME} is missing; "
            "run 'python -m athanor.ui.build' or install a wheel built without ATHANOR_SKIP_UI"
        ) from None
    text = template.decode()
    if variables.path_prefix:
        prefix = html.escape(variables.path_prefix, quote=True)
        text = re.sub(r'((?:src|href)=")\./', lambda match: f"{match[1]}{prefix}/", text)
    config = html.escape(variables.as_json(), quote=True)
    text = text.replace("</title>", f'</title>\n    <meta name="athanor-config" content="{config}" />', 1)
    body = text.encode()
    return Asset(body, CONTENT_TYPES[".html"], _etag(body), REVALIDATE)


def asset(path: str, static_dir: Path = STATIC_DIR) -> Asset | None:
    """The file behind a path below the prefix (``/static/app-1a2b3c4d.js``); None when there is none."""
    relative = path.lstrip("/")
    parts = relative.split("/")
    if not relative or relative == INDEX_NAME or any(part in {"", ".", ".."} or part.startswith(".") for part in parts):
        return None
    if "\\" in relative or "\0" in relative or relative.endswith(".gz"):
        return None
    file = static_dir.joinpath(*parts)
    try:
        body = _read(file)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None
    try:
        gzipped: bytes | None = _read(file.with_name(file.name + ".gz"))
    except FileNotFoundError:
        gzipped = None
    guessed = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    content_type = CONTENT_TYPES.get(file.suffix, guessed)
    is_hashed = parts[0] == "static" and HASHED_NAME.search(file.name) is not None
    return Asset(body, content_type, _etag(body), IMMUTABLE if is_hashed else REVALIDATE, gzipped)


def _read(file: Path) -> bytes:
    stat = file.stat()
    return _read_version(file, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=64)
def _read_version(file: Path, mtime_ns: int, size_bytes: int) -> bytes:
    """A file is read once per version of it: its time and size are part of the key."""
    del mtime_ns, size_bytes
    return file.read_bytes()


def _etag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:20]}"'
