"""The HTTP API of the Prometheus that the sidecar stands beside (thanos pkg/promclient/promclient.go)."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import orjson
import urllib3
import yaml

from athanor.bucket.yaml_config import ConfigError, Node, compose
from athanor.model.cancel import CancelToken
from athanor.model.errors import AthanorError, DataError, TransientError
from athanor.model.matchers import Matcher
from athanor.model.rpc import StatusError
from athanor.sidecar.remote_read import REQUEST_HEADERS, STREAMED_TYPE
from athanor.storeapi.matching import quote as go_quote

N_CONNECTIONS = 64
READ_BYTES = 1 << 20
READ_TIMEOUT_S = 300.0  # between two bytes; the call's own deadline ends it earlier
MIN_TIME_MS, NO_DATA_MS = -(2**63), float(2**63)
LOWEST_TIMESTAMP = re.compile(rb"^prometheus_tsdb_lowest_timestamp_seconds(?:\{[^}\n]*\})? +(\S+)", re.MULTILINE)
LEGACY_NAME = re.compile(r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")
STATUS_CODES = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 422: "INTERNAL", 500: "INTERNAL", 503: "UNAVAILABLE"}
UNKNOWN_VERSION = "0"


class Prometheus:
    """One server, reached by its URL; a path in the URL is kept as prefix. Thread-safe."""

    def __init__(self, url: str, user_agent: str) -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        self._is_tls = parts.scheme == "https"
        self._host, self._port, self._path = parts.hostname or "", parts.port, parts.path
        self._headers = {"User-Agent": user_agent}
        self._pool = urllib3.PoolManager(maxsize=N_CONNECTIONS, retries=False)

    # -- what the life of the sidecar needs

    def version(self, timeout_s: float) -> str:
        """ "0" where the server does not tell."""
        answer = self._get("/api/v1/status/buildinfo", {}, timeout_s)
        if answer.status in (404, 405):
            return UNKNOWN_VERSION
        return str(_fields(self._data(answer), "buildinfo").get("version", UNKNOWN_VERSION))

    def flags(self, timeout_s: float) -> dict[str, str] | None:
        """None where the server does not tell."""
        answer = self._get("/api/v1/status/flags", {}, timeout_s)
        if answer.status == 404:
            return None
        return {name: str(value) for name, value in _fields(self._data(answer), "flags").items()}

    def external_labels(self, timeout_s: float) -> tuple[tuple[str, str], ...]:
        """Sorted by name."""
        found = _fields(self._data(self._get("/api/v1/status/config", {}, timeout_s)), "config")
        return external_labels_of(str(found.get("yaml", "")))

    def lowest_timestamp_ms(self, timeout_s: float) -> int:
        """The smallest int64 while there is no data; 0 where the metric is missing (compat)."""
        answer = self._get("/metrics", {}, timeout_s)
        if answer.status // 100 != 2:
            raise TransientError(f"{self.url}/metrics: status {answer.status}")
        return lowest_timestamp_of(answer.data)

    # -- what the StoreAPI needs

    def series(
        self, matchers: Iterable[Matcher], first_ms: int, last_ms: int, limit: int, timeout_s: float
    ) -> list[dict[str, str]]:
        data = self._query("/api/v1/series", matchers, first_ms, last_ms, limit, timeout_s)
        if not all(isinstance(labels, dict) for labels in data):
            raise DataError(f"{self.url}/api/v1/series: an entry is no set of labels")
        return data

    def label_names(
        self, matchers: Sequence[Matcher], first_ms: int, last_ms: int, limit: int, timeout_s: float
    ) -> list[str]:
        return self._query("/api/v1/labels", matchers, first_ms, last_ms, limit, timeout_s)

    def label_values(
        self, label: str, matchers: Sequence[Matcher], first_ms: int, last_ms: int, limit: int, timeout_s: float
    ) -> list[str]:
        path = f"/api/v1/label/{quote(label, safe='')}/values"
        return self._query(path, matchers, first_ms, last_ms, limit, timeout_s)

    def remote_read(self, body: bytes, cancel: CancelToken) -> Iterator[bytes]:
        """The pieces of a streamed answer. Cancelling cuts the connection at once, also while nothing has come yet."""
        # why not the pool: its connection is out of reach until the first byte of the answer
        connection = self._connection()
        try:
            connection.connect()
            with _cut_on_cancel(connection, cancel):
                url = f"{self._path}/api/v1/read"
                connection.request("POST", url, body=body, headers={**self._headers, **REQUEST_HEADERS})
                answer = connection.getresponse()
                _check_answer(answer)
                while piece := answer.read(READ_BYTES):
                    cancel.check()
                    yield piece
        except (OSError, http.client.HTTPException) as error:
            cancel.check()
            raise TransientError(f"query Prometheus: send request: {error or type(error).__name__}") from error
        finally:
            connection.close()
        cancel.check()

    def close(self) -> None:
        self._pool.clear()

    def _connection(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._is_tls else http.client.HTTPConnection
        return kind(self._host, self._port, timeout=READ_TIMEOUT_S)

    def _query(
        self, path: str, matchers: Iterable[Matcher], first_ms: int, last_ms: int, limit: int, timeout_s: float
    ) -> list[Any]:
        query = _selection(matchers, first_ms, last_ms, limit)
        answer = self._get(path, query, timeout_s)
        if answer.status == 204:
            return []
        if answer.status // 100 != 2:
            code = STATUS_CODES.get(answer.status, "INTERNAL")
            raise StatusError(code, _error_text(answer.data))
        data = self._data(answer)
        if data is None:
            return []
        if not isinstance(data, list):
            raise DataError(f"{self.url}{path}: the answer is {type(data).__name__}, expected a list")
        return data[:limit] if limit > 0 else data  # releases before 3 ignore the parameter

    def _get(
        self, path: str, query: Sequence[tuple[str, str]] | Mapping[str, str], timeout_s: float
    ) -> urllib3.BaseHTTPResponse:
        url = self.url + path + (f"?{urlencode(query)}" if query else "")
        try:
            return self._pool.request(
                "GET", url, headers=self._headers, timeout=urllib3.Timeout(total=timeout_s), redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise TransientError(f"request GET against {self.url}{path}: {error}") from error

    def _data(self, answer: urllib3.BaseHTTPResponse) -> Any:
        where = answer.url or self.url
        if answer.status // 100 != 2:
            raise TransientError(f"{where}: status {answer.status}: {_error_text(answer.data)}")
        try:
            return orjson.loads(answer.data)["data"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{where}: not an answer of the API: {error}") from error


def external_labels_of(config_text: str) -> tuple[tuple[str, str], ...]:
    """``global.external_labels`` of a configuration file."""
    try:
        node = compose(config_text)
    except ConfigError as error:
        raise DataError(f"parse Prometheus config: {error}") from error
    for name in ("global", "external_labels"):
        node = next((value for key, value in _pairs(node) if key.value == name), None)
    return tuple(sorted((key.value, value.value) for key, value in _pairs(node)))


def lowest_timestamp_of(metrics_text: bytes) -> int:
    match = LOWEST_TIMESTAMP.search(metrics_text)
    if match is None:
        return 0
    try:
        lowest_ms = float(match.group(1)) * 1000
        return MIN_TIME_MS if lowest_ms >= NO_DATA_MS else int(lowest_ms)
    except (ValueError, OverflowError) as error:
        raise DataError(f"prometheus_tsdb_lowest_timestamp_seconds is {match.group(1)!r}") from error


def selector_text(matchers: Iterable[Matcher]) -> str:
    """``{__name__="up",job=~"a.*"}``: one series selector with all matchers."""
    parts = (
        f"{m.name if LEGACY_NAME.match(m.name) else go_quote(m.name)}{m.type.value}{go_quote(m.value)}"
        for m in matchers
    )
    return "{" + ",".join(parts) + "}"


def seconds_text(time_ms: int) -> str:
    """Seconds as the shortest decimal: 1700000000.123."""
    return repr(time_ms // 1000 + time_ms % 1000 / 1000).removesuffix(".0")


def _selection(matchers: Iterable[Matcher], first_ms: int, last_ms: int, limit: int) -> list[tuple[str, str]]:
    listed = tuple(matchers)
    query = [("match[]", selector_text(listed))] if listed else []
    query += [("start", seconds_text(first_ms)), ("end", seconds_text(last_ms))]
    return [*query, ("limit", str(limit))] if limit > 0 else query


@contextmanager
def _cut_on_cancel(connection: http.client.HTTPConnection, cancel: CancelToken) -> Iterator[None]:
    cut = connection.sock

    def shutdown() -> None:
        with suppress(OSError):
            cut.shutdown(socket.SHUT_RDWR)

    forget = cancel.on_cancel(shutdown)
    try:
        yield
    finally:
        forget()


def _check_answer(answer: http.client.HTTPResponse) -> None:
    if answer.status // 100 != 2:
        message = answer.read(4096).decode("utf-8", "replace").strip()
        raise AthanorError(f"query Prometheus: request failed with code {answer.status} {answer.reason}; msg {message}")
    content_type = answer.headers.get("Content-Type", "")
    if not content_type.startswith(STREAMED_TYPE):
        raise AthanorError(f"query Prometheus: not supported remote read content type: {content_type}")


def _error_text(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:1024].decode("utf-8", "replace").strip()


def _fields(data: Any, what: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise DataError(f"Prometheus' {what} is {type(data).__name__}, expected an object")
    return data


def _pairs(node: Node | None) -> list[tuple[Any, Any]]:
    """The entries of a YAML mapping; none of anything else."""
    return list(node.value) if isinstance(node, yaml.MappingNode) else []
