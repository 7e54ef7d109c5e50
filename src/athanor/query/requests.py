"""What a handler of the HTTP API gets and gives: forms read as Go reads them, answers in the envelope of Prometheus."""

from __future__ import annotations

import email.parser
import email.policy
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import unquote_to_bytes

import numpy as np

from athanor.model.cancel import CancelToken
from athanor.query.json_result import json_text, json_texts

Form = dict[str, list[str]]
JSON_TYPE = "application/json"
NO_STORE = (("Cache-Control", "no-store"),)
_HEX_VALUES = np.full(256, -1, np.int16)
_HEX_VALUES[list(b"0123456789")] = np.arange(10)
_HEX_VALUES[list(b"abcdef")] = _HEX_VALUES[list(b"ABCDEF")] = np.arange(10, 16)
SHORT_BYTES = 4096
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9a-fA-F]{2}).{0,2}", re.DOTALL)

STATUS = {"bad_data": 400, "execution": 422, "canceled": 503, "timeout": 503, "internal": 500}


class ApiError(Exception):
    """The answer is an error of this type (a key of STATUS)."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind, self.text = kind, text


def bad_data(text: str) -> ApiError:
    """A mistake in the parameters."""
    return ApiError("bad_data", text)


@dataclass(frozen=True)
class ApiRequest:
    """One request, read completely."""

    method: str
    path: str
    """As it was sent: still escaped."""
    query_string: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in any case, the mapping ignores it."""
    body: bytes = b""

    @cached_property
    def _forms(self) -> tuple[Form, Form, str]:
        """(URL, body, the first error)."""
        url, url_error = parse_pairs(self.query_string.encode("utf-8", "surrogateescape"))
        kind = self.headers.get("Content-Type", "")
        plain = kind.partition(";")[0].strip().lower()
        if self.method not in ("POST", "PUT", "PATCH"):
            return url, {}, url_error
        if plain == "application/x-www-form-urlencoded":
            posted, error = parse_pairs(self.body)
            return url, posted, error or url_error
        if plain == "multipart/form-data":
            return url, _multipart(kind, self.body), url_error
        return url, {}, url_error

    @property
    def form_error(self) -> str:
        """What Go's ParseForm says of a broken form; "" when it is sound. Broken pairs are left out otherwise."""
        return self._forms[2]

    def values(self, name: str) -> list[str]:
        """All values of a parameter: those of the body, then those of the URL."""
        url, posted, _ = self._forms
        return [*posted.get(name, ()), *url.get(name, ())]

    def value(self, name: str) -> str:
        """The first value, "" where there is none."""
        found = self.values(name)
        return found[0] if found else ""

    def url_value(self, name: str) -> str:
        """The first value in the URL alone."""
        found = self._forms[0].get(name)
        return found[0] if found else ""

    def url_values(self, name: str) -> list[str]:
        return self._forms[0].get(name, [])

    @cached_property
    def path_parts(self) -> list[bytes]:
        """The parts of the path, unescaped."""
        return [_unescape_path(part) for part in self.path.encode("utf-8", "surrogateescape").split(b"/")]


@dataclass(frozen=True, slots=True)
class ApiReply:
    """One answer; a body of pieces is pulled while the client reads."""

    status: int
    body: bytes | Iterable[bytes]
    headers: tuple[tuple[str, str], ...] = ()


ApiHandler = Callable[[ApiRequest, CancelToken], ApiReply]


def parse_pairs(text: bytes) -> tuple[Form, str]:
    """(parameters, first error) of ``a=b&c=d``; pairs with a semicolon or a broken escape are left out."""
    form: Form = {}
    error = ""
    for pair in text.split(b"&"):
        if not pair:
            continue
        if b";" in pair:
            error = error or "invalid semicolon separator in query"
            continue
        key, _, value = pair.partition(b"=")
        broken = _BROKEN_ESCAPE.search(key) or _BROKEN_ESCAPE.search(value)
        if broken is not None:
            error = error or f'invalid URL escape "{broken[0].decode("utf-8", "replace")}"'
            continue
        form.setdefault(_unescape(key), []).append(_unescape(value))
    return form, error


def _unescape(text: bytes) -> str:
    return _unescape_path(text.replace(b"+", b" ")).decode("utf-8", "surrogateescape")


def _unescape_path(text: bytes) -> bytes:
    """Escapes become their bytes, what is no escape stays; as arrays, because a text may be nothing but escapes."""
    if b"%" not in text:
        return text
    if len(text) <= SHORT_BYTES:
        return unquote_to_bytes(text)
    raw = np.frombuffer(text + b"  ", np.uint8)
    at = np.flatnonzero(raw == ord("%"))
    high, low = _HEX_VALUES[raw[at + 1]], _HEX_VALUES[raw[at + 2]]
    is_escape = (high >= 0) & (low >= 0)
    at = at[is_escape]
    out, kept = raw.copy(), np.ones(raw.size, np.bool_)
    out[at] = high[is_escape] * 16 + low[is_escape]
    kept[at + 1] = kept[at + 2] = False
    return out[kept][:-2].tobytes()


def _multipart(content_type: str, body: bytes) -> Form:
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
        b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n" + body
    )
    form: Form = {}
    if not message.is_multipart():
        return form
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str) and part.get_filename() is None:
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            form.setdefault(name, []).append(payload.decode("utf-8", "surrogateescape"))
    return form


def success(data: str | bytes, warnings: Iterable[str] = ()) -> ApiReply:
    """An answer whose data is JSON already."""
    encoded = data.encode() if isinstance(data, str) else data
    tail, headers = _tail(warnings)
    return ApiReply(200, b'{"status":"success","data":' + encoded + tail, headers)


def streamed(
    head: bytes, pieces: Iterator[bytes], tail: bytes, warnings: Iterable[str], release: Callable[[], None]
) -> ApiReply:
    """An answer whose data is head, pieces and tail; release runs when the last piece was taken, or nobody wants it."""
    end, headers = _tail(warnings)

    def body() -> Generator[bytes, None, None]:
        try:
            yield b'{"status":"success","data":' + head
            yield from pieces
            yield tail + end
        finally:
            release()

    return ApiReply(200, _small_pieces_joined(body()), headers)


def _small_pieces_joined(pieces: Generator[bytes, None, None], least: int = 1 << 16) -> Iterator[bytes]:
    """Fewer, larger pieces: each is a step through the event loop."""
    held = b""
    try:
        for piece in pieces:
            held = held + piece if held else piece
            if len(held) >= least:
                yield held
                held = b""
        if held:
            yield held
    finally:
        pieces.close()


def _tail(warnings: Iterable[str]) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    texts = list(dict.fromkeys(warnings))
    if not texts:
        return b"}", ()
    # compat: an answer that lacks data must not be cached; annotations of the language do no harm (pkg/api/api.go)
    harmless = all(text.startswith(("PromQL warning", "PromQL info")) for text in texts)
    return b',"warnings":' + json_texts(texts).encode() + b"}", () if harmless else NO_STORE


def failure(kind: str, text: str) -> ApiReply:
    """An error answer."""
    body = f'{{"status":"error","errorType":"{kind}","error":{json_text(text)}}}'
    return ApiReply(STATUS[kind], body.encode(), NO_STORE)
