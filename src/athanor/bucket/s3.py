"""S3: the fast client for reads and writes, signed HTTP requests of our own for the rest.

Measured against a local server: the fast client (obstore) makes 12,000 range reads a second from threads, plain HTTP of
ours 1,700.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import obstore
import obstore.exceptions as failures
from obstore.store import S3Store

from athanor.bucket.contract import ListedObject, ObjectAttributes, ObjectNotFound
from athanor.bucket.s3_config import S3Config, encryption, parse_s3_config
from athanor.bucket.s3_credentials import CredentialSource
from athanor.bucket.s3_http import S3Http, metadata_headers
from athanor.bucket.yaml_config import Node
from athanor.model.errors import AthanorError, OperatorError, TransientError

T = TypeVar("T")

N_PARALLEL_RANGES = 10  # what the fast client does itself
N_PARALLEL_PARTS = 4
REQUEST_TIMEOUT = "24h"  # the client's own default of 30 s covers the whole body: a slow download would die
RETRY_TOTAL_S = 180


def open_s3(node: Node | None, user_agent: str) -> S3Bucket:
    """A bucket from its ``config:``; no request is made."""
    return S3Bucket(parse_s3_config(node), user_agent)


class S3Bucket:
    """Objects of one bucket of an S3-compatible service."""

    def __init__(self, config: S3Config, user_agent: str = "Athanor") -> None:
        self.name = config.bucket
        self.is_remote = True
        self._config = config
        self._encryption = encryption(config.sse_config)
        self._credentials = CredentialSource(config)
        self._http = S3Http(config, self._credentials, self._encryption, self.name, user_agent)
        self._user_agent = user_agent
        self._lock = threading.Lock()
        self._store: Any = None

    def get(self, name: str) -> memoryview:
        if not self._is_fast(name):
            return memoryview(self._http.get(name))
        return self._call(name, lambda store: memoryview(obstore.get(store, name).buffer()))

    def get_range(self, name: str, at: int, length: int) -> memoryview:
        if not self._is_fast(name):
            return memoryview(self._http.get(name, at, length))
        return self._call_range(name, lambda store: memoryview(obstore.get_range(store, name, start=at, length=length)))

    def get_ranges(self, name: str, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
        if not self._is_fast(name):
            with ThreadPoolExecutor(N_PARALLEL_RANGES) as pool:
                return list(pool.map(lambda r: self.get_range(name, *r), ranges))
        starts, lengths = [at for at, _ in ranges], [length for _, length in ranges]
        try:
            # why coalesce=0: callers merge near ranges themselves, and count what they ask for
            buffers = self._call(
                name, lambda store: obstore.get_ranges(store, name, starts=starts, lengths=lengths, coalesce=0)
            )
        except _BeyondTheEnd:
            return [self.get_range(name, at, length) for at, length in ranges]
        return [memoryview(buffer) for buffer in buffers]

    def exists(self, name: str) -> bool:
        try:
            self.attributes(name)
        except ObjectNotFound:
            return False
        return True

    def attributes(self, name: str) -> ObjectAttributes:
        if not self._is_fast(name):
            return self._http.attributes(name)
        found = self._call(name, lambda store: obstore.head(store, name))
        return ObjectAttributes(found["size"], int(found["last_modified"].timestamp() * 1000))

    def iter(self, directory: str = "", *, recursive: bool = False) -> Iterator[ListedObject]:
        return self._http.list(directory, recursive)

    def upload(self, name: str, source: bytes | memoryview | Path) -> None:
        if not self._is_fast(name):
            self._http.put(name, source)
            return
        size = source.stat().st_size if isinstance(source, Path) else len(source)
        part = self._config.part_bytes(size)
        in_parts = size > part and not self._config.disable_multipart
        attributes = {"Content-Type": "application/octet-stream"} | _store_attributes(self._config.put_user_metadata)
        self._call(
            name,
            lambda store: obstore.put(
                store,
                name,
                source,
                attributes=attributes,
                use_multipart=in_parts,
                chunk_size=part,
                max_concurrency=N_PARALLEL_PARTS,
            ),
        )

    def delete(self, name: str) -> None:
        if not self._is_fast(name):
            self._http.delete(name)
            return
        try:
            self._call(name, lambda store: obstore.delete(store, name))
        except ObjectNotFound:
            return

    def close(self) -> None:
        self._http.close()
        self._store = None

    def _is_fast(self, name: str) -> bool:
        return _fits_fast_client(self._config) and _is_plain_key(name)

    def _call_range(self, name: str, call: Callable[[Any], memoryview]) -> memoryview:
        try:
            return self._call(name, call)
        except _BeyondTheEnd:
            return memoryview(b"")

    def _call(self, name: str, call: Callable[[Any], T]) -> T:
        if self._store is None:
            with self._lock:  # the region may have to be asked for: not at start, and once
                if self._store is None:
                    self._store = _fast_client(
                        self._config, self._http, self._credentials, self._encryption.store_options, self._user_agent
                    )
        try:
            return call(self._store)
        except FileNotFoundError as error:
            raise ObjectNotFound(self.name, name) from error
        except failures.BaseError as error:
            raise self._translated(error, name) from error

    def _translated(self, error: failures.BaseError, name: str) -> AthanorError:
        text = str(error)
        if "416 Range Not Satisfiable" in text or "Range started at" in text:
            return _BeyondTheEnd(text)
        first_line = f"bucket {self.name}: object {name!r}: " + " ".join(
            text.split("\n\nDebug source:", maxsplit=1)[0].split()
        )
        if isinstance(error, failures.PermissionDeniedError | failures.UnauthenticatedError):
            return OperatorError(f"{first_line}; check the credentials and the policy of the bucket")
        return TransientError(first_line)


class _BeyondTheEnd(AthanorError):
    """A range begins behind the object's last byte."""


def _fits_fast_client(config: S3Config) -> bool:
    tls = config.http_config.tls_config
    return not (tls.cert_file or tls.server_name or config.sse_config.kms_encryption_context)


def _is_plain_key(name: str) -> bool:
    """Whether the fast client leaves the key as it is: no empty, ``.`` or ``..`` path segment."""
    return all(segment not in ("", ".", "..") for segment in name.split("/"))


def _store_attributes(metadata: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for header, value in metadata_headers(metadata).items():
        if header == "x-amz-storage-class":
            found["Storage-Class"] = value
        else:
            found[header.removeprefix("x-amz-meta-")] = value
    return found


def _fast_client(
    config: S3Config,
    http: S3Http,
    credentials: CredentialSource,
    encryption_options: Mapping[str, str],
    user_agent: str,
) -> Any:
    """differs: a configured CA is added to those of the system, where the original replaces them."""
    scheme = "http" if config.insecure else "https"
    host = f"{config.bucket}.{http.host}" if http.virtual_hosted else http.host
    client: dict[str, Any] = {
        "allow_http": config.insecure,
        "timeout": REQUEST_TIMEOUT,
        "read_timeout": f"{config.http_config.response_header_timeout_ms}ms",
        "connect_timeout": "30s",
        "pool_idle_timeout": f"{config.http_config.idle_conn_timeout_ms}ms",
        "pool_max_idle_per_host": str(config.http_config.max_idle_conns_per_host),
        "user_agent": user_agent,
    }
    if config.http_config.insecure_skip_verify:
        client["allow_invalid_certificates"] = True
    if config.http_config.tls_config.ca_file:
        client["root_certificate"] = Path(config.http_config.tls_config.ca_file).read_text()
    anonymous = credentials.current().anonymous
    make: Any = S3Store
    return make(
        config.bucket,
        endpoint=f"{scheme}://{host}",
        region=http.region,
        virtual_hosted_style_request=http.virtual_hosted,
        skip_signature=anonymous,
        client_options=client,
        retry_config={
            "max_retries": config.n_attempts - 1,
            "backoff": {"base": 2, "init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=1)},
            "retry_timeout": timedelta(seconds=RETRY_TOTAL_S),
        },
        config=dict(encryption_options),
        credential_provider=None if anonymous else partial(_provided, credentials),
    )


def _provided(source: CredentialSource) -> dict[str, Any]:
    current = source.current()
    return {
        "access_key_id": current.access_key,
        "secret_access_key": current.secret_key,
        "token": current.session_token or None,
        "expires_at": None if current.expires_s is None else datetime.fromtimestamp(current.expires_s, UTC),
    }
