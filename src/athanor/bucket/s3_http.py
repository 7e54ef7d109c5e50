"""S3 over plain signed HTTP requests: every operation, for every key and every configuration.

The fast client of s3.py takes what it can express. This one lists (the fast client fails a whole listing for one key
with an empty path segment), and reads and writes where the configuration needs a client certificate, a server name, a
KMS encryption context, or a key that the fast client would rewrite.
"""

from __future__ import annotations

import hashlib
import random
import ssl
import time
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import urllib3

from athanor.bucket.contract import ListedObject, ObjectAttributes, ObjectNotFound, as_directory
from athanor.bucket.s3_config import Encryption, HTTPConfig, S3Config, TLSConfig
from athanor.bucket.s3_credentials import CredentialSource
from athanor.bucket.sigv4 import EMPTY_SHA256, UNSIGNED_PAYLOAD, encode_path, encode_query, signed_headers
from athanor.model.errors import OperatorError, TransientError

DIAL_TIMEOUT_S = 30.0
FIRST_BACKOFF_S, LAST_BACKOFF_S = 0.2, 1.0
RETRIED_STATUS = frozenset([408, 429, 499, 500, 502, 503, 504, 520])
RETRIED_CODES = frozenset(
    [
        "RequestError",
        "RequestTimeout",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "InternalError",
        "ExpiredToken",
        "ExpiredTokenException",
        "SlowDown",
        "SlowDownWrite",
        "SlowDownRead",
    ]
)
MAX_SINGLE_PUT_BYTES = 5 << 30
US_EAST_1 = "us-east-1"


class S3Http:
    """One bucket behind one endpoint."""

    def __init__(
        self, config: S3Config, credentials: CredentialSource, encryption: Encryption, name: str, user_agent: str
    ) -> None:
        self.config = config
        self.name = name
        self._credentials = credentials
        self._encryption = encryption
        self._user_agent = user_agent
        self._scheme = "http" if config.insecure else "https"
        self._pool = _connection_pool(config.http_config, self._scheme)
        self._region = config.region or region_of_host(config.endpoint)

    @property
    def region(self) -> str:
        """From the configuration, the host's name, or the service itself, which is asked once."""
        if not self._region:
            self._region = self._ask_region()
        return self._region

    @property
    def host(self) -> str:
        """Where requests go, without the bucket."""
        return service_host(self.config, self.region)

    @property
    def virtual_hosted(self) -> bool:
        return is_virtual_hosted(self.config)

    def get(self, name: str, at: int = 0, length: int | None = None) -> bytes:
        headers = dict(self._encryption.on_read)
        if length is not None:
            headers["range"] = f"bytes={at}-{at + length - 1}"
        answer = self._request("GET", name, headers=headers)
        return b"" if answer.status == 416 else answer.data

    def attributes(self, name: str) -> ObjectAttributes:
        headers = self._request("HEAD", name, headers=self._encryption.on_read).headers
        modified = parsedate_to_datetime(headers["last-modified"])
        return ObjectAttributes(int(headers["content-length"]), int(modified.timestamp() * 1000))

    def put(self, name: str, source: bytes | memoryview | Path) -> None:
        size = source.stat().st_size if isinstance(source, Path) else len(source)
        if size > MAX_SINGLE_PUT_BYTES:
            raise OperatorError(
                f"bucket {self.name}: object {name!r} has {size} bytes, more than the {MAX_SINGLE_PUT_BYTES} of one "
                "request; uploads in parts need a configuration without client certificate, server_name and KMS context"
            )
        headers = {"content-type": "application/octet-stream"} | self._encryption.on_write
        headers |= metadata_headers(self.config.put_user_metadata)
        self._request("PUT", name, headers=headers, body=source, size=size)

    def delete(self, name: str) -> None:
        self._request("DELETE", name)

    def list(self, directory: str, recursive: bool) -> Iterator[ListedObject]:
        prefix = as_directory(directory)
        query = {"prefix": prefix, "delimiter": "" if recursive else "/", "encoding-type": "url", "max-keys": "1000"}
        first_version = self.config.list_objects_version == "v1"
        if not first_version:
            query |= {"list-type": "2", "fetch-owner": "true"}
        while True:
            page = ET.fromstring(self._request("GET", "", query=query).data)
            yield from _page_entries(page, prefix)
            if _text(page, "IsTruncated") != "true":
                return
            if first_version:
                keys = [unquote_plus(found) for found in _texts(page, "Contents", "Key")]
                keys += [unquote_plus(found) for found in _texts(page, "CommonPrefixes", "Prefix")]
                query["marker"] = unquote_plus(_text(page, "NextMarker")) or max(keys)
            else:
                query["continuation-token"] = _text(page, "NextContinuationToken")
                if not query["continuation-token"]:
                    raise TransientError("Truncated response should have continuation token set")

    def close(self) -> None:
        self._pool.clear()

    def _ask_region(self) -> str:
        query = [("location", "")]
        path = f"/{self.config.bucket}/"
        headers = self._signed("GET", self.config.endpoint, path, query, {}, EMPTY_SHA256, US_EAST_1)
        url = f"{self._scheme}://{self.config.endpoint}{path}?{encode_query(query)}"
        answer = self._send("GET", url, headers, None, "")
        if answer.status != 200:
            return answer.headers.get("x-amz-bucket-region") or US_EAST_1
        found = (ET.fromstring(answer.data).text or "").strip()
        return {"": US_EAST_1, "EU": "eu-west-1"}.get(found, found)

    def _signed(
        self,
        method: str,
        host: str,
        path: str,
        query: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        payload_sha256: str,
        region: str,
    ) -> dict[str, str]:
        sent = {"user-agent": self._user_agent, **headers}
        current = self._credentials.current()
        return signed_headers(method, without_default_port(host), path, query, sent, payload_sha256, current, region)

    def _request(
        self,
        method: str,
        name: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | memoryview | Path | None = None,
        size: int = 0,
    ) -> urllib3.BaseHTTPResponse:
        """One operation with its retries; the answer's status is below 300, or 416."""
        bucket = self.config.bucket
        host, root = (f"{bucket}.{self.host}", "/") if self.virtual_hosted else (self.host, f"/{bucket}/")
        path = encode_path(root + name)
        pairs = sorted((query or {}).items())
        url = f"{self._scheme}://{host}{path}" + (f"?{encode_query(pairs)}" if pairs else "")
        payload = UNSIGNED_PAYLOAD if self._scheme == "https" else _sha256(body)
        for attempt in range(self.config.n_attempts):
            if attempt:
                time.sleep(random.uniform(0, min(LAST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (attempt - 1))))
            last = attempt + 1 == self.config.n_attempts
            complete = self._signed(method, host, path, pairs, headers or {}, payload, self.region)
            if body is not None:
                complete["content-length"] = str(size)
            try:
                answer = self._send(method, url, complete, body, name)
            except TransientError:
                if last:
                    raise
                continue
            if answer.status < 300 or answer.status == 416:
                return answer
            code, message = _error_of(answer)
            if last or not (answer.status in RETRIED_STATUS or code in RETRIED_CODES):
                raise self._failure(method, name, answer.status, code, message)
        raise AssertionError("BUG: the last attempt neither returned nor raised")

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | memoryview | Path | None, name: str
    ) -> urllib3.BaseHTTPResponse:
        try:
            if isinstance(body, Path):
                with body.open("rb") as opened:
                    return self._pool.request(method, url, headers=headers, body=opened, redirect=False, retries=False)
            sent = None if body is None else bytes(body)
            return self._pool.request(method, url, headers=headers, body=sent, redirect=False, retries=False)
        except urllib3.exceptions.SSLError as error:
            raise OperatorError(f"bucket {self.name}: TLS with {url}: {error}") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise TransientError(f"bucket {self.name}: {method} {name!r}: {error}") from error

    def _failure(self, method: str, name: str, status: int, code: str, message: str) -> Exception:
        if name and (code == "NoSuchKey" or (status == 404 and code in ("", "NotFound"))):
            return ObjectNotFound(self.name, name)
        text = f"bucket {self.name}: {method} {name!r}: status {status}, {code or 'no error code'}: {message}"
        return TransientError(text) if status in RETRIED_STATUS else OperatorError(text)


def region_of_host(endpoint: str) -> str:
    """The region that an AWS host name carries; empty when none."""
    host = without_default_port(endpoint)
    if not host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return ""
    for part in host.removeprefix("s3.").removeprefix("s3-").removeprefix("dualstack.").split("."):
        if part.count("-") >= 2 and part[-1].isdigit():
            return part.removeprefix("s3-")
    return ""


def is_aws(endpoint: str) -> bool:
    return without_default_port(endpoint).endswith((".amazonaws.com", ".amazonaws.com.cn"))


def service_host(config: S3Config, region: str) -> str:
    """compat: a plain AWS host is replaced by the dual-stack one of the bucket's region."""
    host = without_default_port(config.endpoint)
    plain = host == "s3.amazonaws.com" or host in (f"s3.{region}.amazonaws.com", f"s3-{region}.amazonaws.com")
    if not plain:
        return config.endpoint
    return f"s3.{region}.amazonaws.com" if config.disable_dualstack else f"s3.dualstack.{region}.amazonaws.com"


def is_virtual_hosted(config: S3Config) -> bool:
    if config.bucket_lookup_type != "auto":
        return config.bucket_lookup_type == "virtual-hosted"
    if not config.insecure and "." in config.bucket:  # a certificate of the service does not cover such names
        return False
    host = without_default_port(config.endpoint)
    return is_aws(host) or host == "storage.googleapis.com" or host.endswith(".aliyuncs.com")


def without_default_port(host: str) -> str:
    return host.removesuffix(":443").removesuffix(":80")


def metadata_headers(metadata: Mapping[str, str]) -> dict[str, str]:
    """``put_user_metadata`` as headers: Amazon's and the standard ones as they are, the others behind x-amz-meta-."""
    standard = (
        "content-type",
        "cache-control",
        "content-encoding",
        "content-disposition",
        "content-language",
        "expires",
    )
    return {
        name.lower()
        if name.lower().startswith("x-amz-") or name.lower() in standard
        else f"x-amz-meta-{name.lower()}": value
        for name, value in metadata.items()
    }


def tls_context(tls: TLSConfig, insecure_skip_verify: bool) -> ssl.SSLContext:
    """A configured CA replaces those of the system. Raises OperatorError with the original's texts."""
    context = ssl.create_default_context()
    if tls.ca_file:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(tls.ca_file)
        except ssl.SSLError as error:
            raise OperatorError(f"unable to use specified CA cert {tls.ca_file}") from error
        except OSError as error:
            raise OperatorError(f"unable to load specified CA cert {tls.ca_file}: {error}") from error
    if tls.cert_file and not tls.key_file:
        raise OperatorError(f'client cert file "{tls.cert_file}" specified without client key file')
    if tls.key_file and not tls.cert_file:
        raise OperatorError(f'client key file "{tls.key_file}" specified without client cert file')
    if tls.cert_file:
        try:
            context.load_cert_chain(tls.cert_file, tls.key_file)
        except (OSError, ssl.SSLError) as error:
            raise OperatorError(
                f"unable to use specified client cert ({tls.cert_file}) & key ({tls.key_file}): {error}"
            ) from error
    if insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _connection_pool(http: HTTPConfig, scheme: str) -> urllib3.PoolManager:
    options: dict[str, Any] = {
        "maxsize": http.max_conns_per_host or http.max_idle_conns_per_host,
        "block": http.max_conns_per_host > 0,
        "timeout": urllib3.Timeout(connect=DIAL_TIMEOUT_S, read=http.response_header_timeout_ms / 1000 or None),
    }
    if scheme == "https":
        options["ssl_context"] = tls_context(http.tls_config, http.insecure_skip_verify)
        if http.tls_config.server_name:
            options["server_hostname"] = http.tls_config.server_name
            options["assert_hostname"] = http.tls_config.server_name
    proxy = urllib.request.getproxies().get(scheme)
    return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)


def _sha256(body: bytes | memoryview | Path | None) -> str:
    if body is None:
        return EMPTY_SHA256
    if isinstance(body, Path):
        with body.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    return hashlib.sha256(body).hexdigest()


def _page_entries(page: ET.Element, prefix: str) -> Iterator[ListedObject]:
    for found in page.iterfind("{*}Contents"):
        name = unquote_plus(_text(found, "Key"))
        if name and name != prefix:
            modified = datetime.fromisoformat(_text(found, "LastModified").replace("Z", "+00:00"))
            yield ListedObject(name, int(_text(found, "Size")), int(modified.timestamp() * 1000))
    for found in page.iterfind("{*}CommonPrefixes"):
        yield ListedObject(unquote_plus(_text(found, "Prefix")))


def _text(element: ET.Element, tag: str) -> str:
    return element.findtext(f"{{*}}{tag}") or ""


def _texts(page: ET.Element, tag: str, inner: str) -> list[str]:
    return [_text(found, inner) for found in page.iterfind(f"{{*}}{tag}")]


def _error_of(answer: urllib3.BaseHTTPResponse) -> tuple[str, str]:
    try:
        root = ET.fromstring(answer.data)
    except ET.ParseError:
        return "", answer.data[:200].decode("utf-8", "replace")
    return _text(root, "Code"), _text(root, "Message")
