"""AWS Signature Version 4: the headers that sign one S3 request.

Layout of what is signed: method, path, sorted query, sorted lower-case headers, their names, the hash of the body, each
on its line; its SHA-256 goes with the time and the scope ``day/region/s3/aws4_request`` under an HMAC chain of the
secret key. The key of a day is kept: deriving it costs more than signing.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
SAFE_IN_PATH = "-_.~/"
SAFE_IN_QUERY = "-_.~"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key pair, perhaps temporary. Both empty: requests are sent unsigned."""

    access_key: str = ""
    secret_key: str = ""
    session_token: str = ""
    expires_s: float | None = None
    """Unix time after which they are asked for again; None: never."""

    @property
    def anonymous(self) -> bool:
        return not self.access_key or not self.secret_key

    def __repr__(self) -> str:
        return f"Credentials({'anonymous' if self.anonymous else self.access_key})"


def encode_path(path: str) -> str:
    return quote(path, safe=SAFE_IN_PATH)


def encode_query(query: Sequence[tuple[str, str]]) -> str:
    return "&".join(f"{quote(k, safe=SAFE_IN_QUERY)}={quote(v, safe=SAFE_IN_QUERY)}" for k, v in sorted(query))


@lru_cache(maxsize=8)
def _signing_key(secret_key: str, day: str, region: str) -> bytes:
    signed = f"AWS4{secret_key}".encode()
    for part in (day, region, "s3", "aws4_request"):
        signed = hmac.new(signed, part.encode(), hashlib.sha256).digest()
    return signed


def signed_headers(
    method: str,
    host: str,
    encoded_path: str,
    query: Sequence[tuple[str, str]],
    headers: Mapping[str, str],
    payload_sha256: str,
    credentials: Credentials,
    region: str,
    now: datetime | None = None,
) -> dict[str, str]:
    """The headers of a request with its signature; unchanged but for the date when the credentials are anonymous."""
    moment = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    day = moment[:8]
    complete = {name.lower(): value for name, value in headers.items()}
    if credentials.anonymous:
        return complete
    complete |= {"host": host, "x-amz-date": moment, "x-amz-content-sha256": payload_sha256}
    if credentials.session_token:
        complete["x-amz-security-token"] = credentials.session_token
    names = ";".join(sorted(complete))
    canonical_headers = "".join(f"{name}:{' '.join(complete[name].split())}\n" for name in sorted(complete))
    canonical = "\n".join([method, encoded_path, encode_query(query), canonical_headers, names, payload_sha256])
    scope = f"{day}/{region}/s3/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = _signing_key(credentials.secret_key, day, region)
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    complete["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return complete
