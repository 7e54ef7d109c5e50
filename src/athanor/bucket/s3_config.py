# ruff: noqa: RUF009
"""The ``config:`` of an S3 bucket: its keys, their defaults, their checks (objstore providers/s3/s3.go)."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from athanor.bucket.yaml_config import ConfigError, Node, decode, key
from athanor.model.errors import OperatorError

DEFAULT_PART_BYTES = 64 << 20
SMALL_PART_BYTES = 16 << 20  # what applies to objects below the configured part size (minio-go)
DEFAULT_ATTEMPTS = 10
ALLOWED_HOST = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9.\-_]*[A-Za-z0-9])?$|^\[[0-9a-fA-F:.]+\]$")
DURATION = re.compile(
    r"^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$"  # Prometheus' syntax
)
DURATION_UNITS_MS = (31_536_000_000, 604_800_000, 86_400_000, 3_600_000, 60_000, 1_000, 1)


def parse_duration_ms(text: str) -> int:
    """A Prometheus duration; 0 needs no unit."""
    if text == "0":
        return 0
    match = DURATION.match(text) if text else None
    if not text:
        raise ValueError("empty duration string")
    if match is None:
        raise ValueError(f'not a valid duration string: "{text}"')
    return sum(int(n) * unit for n, unit in zip(match.groups(), DURATION_UNITS_MS, strict=True) if n)


def _lookup_type(text: str) -> str:
    if text not in ("", "auto", "virtual-hosted", "path"):
        raise ValueError(f"unsupported bucket lookup type: {text}")
    return text or "auto"


@dataclass(frozen=True, slots=True)
class TLSConfig:
    ca_file: str = key(default="")
    cert_file: str = key(default="")
    key_file: str = key(default="")
    server_name: str = key(default="")
    insecure_skip_verify: bool = key(default=False)


@dataclass(frozen=True, slots=True)
class HTTPConfig:
    """``http_config``; ``insecure_skip_verify`` out here wins over the one of ``tls_config``."""

    idle_conn_timeout_ms: int = key("idle_conn_timeout", default=90_000, parse=parse_duration_ms)
    response_header_timeout_ms: int = key("response_header_timeout", default=120_000, parse=parse_duration_ms)
    insecure_skip_verify: bool = key(default=False)
    tls_handshake_timeout_ms: int = key("tls_handshake_timeout", default=10_000, parse=parse_duration_ms)
    expect_continue_timeout_ms: int = key("expect_continue_timeout", default=1_000, parse=parse_duration_ms)
    max_idle_conns: int = key(default=100)
    max_idle_conns_per_host: int = key(default=100)
    max_conns_per_host: int = key(default=0)
    disable_compression: bool = key(default=False)
    tls_config: TLSConfig = key(default_factory=TLSConfig)


@dataclass(frozen=True, slots=True)
class TraceConfig:
    enable: bool = key(default=False)


@dataclass(frozen=True, slots=True)
class SSEConfig:
    """Server-side encryption; ``encryption_key`` is the path of a file of exactly 32 raw bytes."""

    type: str = key(default="")
    kms_key_id: str = key(default="")
    kms_encryption_context: dict[str, str] = key(default_factory=dict)
    encryption_key: str = key(default="")


@dataclass(frozen=True, slots=True)
class S3Config:
    """The keys of the file."""

    bucket: str = key(default="")
    endpoint: str = key(default="")
    region: str = key(default="")
    disable_dualstack: bool = key(default=False)
    aws_sdk_auth: bool = key(default=False)
    access_key: str = key(default="")
    insecure: bool = key(default=False)
    signature_version2: bool = key(default=False)  # compat: without effect, requests are signed V4
    secret_key: str = key(default="")
    session_token: str = key(default="")
    put_user_metadata: dict[str, str] = key(default_factory=dict)
    http_config: HTTPConfig = key(default_factory=HTTPConfig)
    trace: TraceConfig = key(default_factory=TraceConfig)
    list_objects_version: str = key(default="")
    bucket_lookup_type: str = key(default="auto", parse=_lookup_type)
    send_content_md5: bool = key(default=True)
    disable_multipart: bool = key(default=False)
    part_size: int = key(default=DEFAULT_PART_BYTES, unsigned=True)
    sse_config: SSEConfig = key(default_factory=SSEConfig)
    sts_endpoint: str = key(default="")
    max_retries: int = key(default=0)

    @property
    def n_attempts(self) -> int:
        return self.max_retries or DEFAULT_ATTEMPTS

    def part_bytes(self, size_bytes: int) -> int:
        """compat: the configured part size applies only to objects that reach it."""
        return self.part_size if size_bytes >= self.part_size else SMALL_PART_BYTES


def parse_s3_config(node: Node | None) -> S3Config:
    """The checked configuration; raises OperatorError with the original's text, in its order."""
    config = decode(node, S3Config, "s3.Config", strict=True, re_encoded=True)
    if mistake := _first_mistake(config):
        raise ConfigError(mistake)
    return config


def _first_mistake(config: S3Config) -> str | None:
    both = "either both should be present in config or envvars/IAM should be used."
    if not config.endpoint:
        return "no s3 endpoint in config file"
    if config.aws_sdk_auth and config.access_key:
        return "aws_sdk_auth and access_key are mutually exclusive configurations"
    if not config.access_key and config.secret_key:
        return f"no s3 access_key specified while secret_key is present in config file; {both}"
    if config.access_key and not config.secret_key:
        return f"no s3 secret_key specified while access_key is present in config file; {both}"
    sse = config.sse_config
    if sse.type == "SSE-C" and not sse.encryption_key:
        return "encryption_key must be set if sse_config.type is set to 'SSE-C'"
    if sse.type == "SSE-KMS" and not sse.kms_key_id:
        return "kms_key_id must be set if sse_config.type is set to 'SSE-KMS'"
    if "/" in config.endpoint:
        return "initialize s3 client: Endpoint url cannot have fully qualified paths."
    host = config.endpoint.rpartition(":")[0] if re.search(r":\d+$", config.endpoint) else config.endpoint
    if not ALLOWED_HOST.match(host):
        return f"initialize s3 client: Endpoint: {config.endpoint} does not follow ip address or domain name standards."
    if sse.type not in ("", "SSE-S3", "SSE-KMS", "SSE-C"):
        return (
            f'Initialize s3 client SSE Config: Unsupported type "{sse.type}" was provided. '
            "Supported types are SSE-S3, SSE-KMS, SSE-C"
        )
    if config.list_objects_version not in ("", "v1", "v2"):
        return (
            f'Initialize s3 client list objects version: Unsupported version "{config.list_objects_version}" '
            "was provided. Supported values are v1, v2"
        )
    return None


@dataclass(frozen=True, slots=True)
class Encryption:
    """Server-side encryption as request headers and as options of the fast client."""

    on_write: dict[str, str]
    on_read: dict[str, str]
    store_options: dict[str, str]


def encryption(config: SSEConfig) -> Encryption:
    """Raises OperatorError when the key file of SSE-C is unreadable or not 32 bytes long."""
    if config.type == "SSE-S3":
        headers = {"x-amz-server-side-encryption": "AES256"}
        return Encryption(headers, {}, {"server_side_encryption": "AES256"})
    if config.type == "SSE-KMS":
        context = base64.b64encode(json.dumps(config.kms_encryption_context, separators=(",", ":")).encode()).decode()
        headers = {
            "x-amz-server-side-encryption": "aws:kms",
            "x-amz-server-side-encryption-aws-kms-key-id": config.kms_key_id,
            "x-amz-server-side-encryption-context": context,
        }
        options = {"server_side_encryption": "aws:kms", "sse_kms_key_id": config.kms_key_id}
        return Encryption(headers, {}, options)
    if config.type == "SSE-C":
        try:
            secret = Path(config.encryption_key).read_bytes()
        except OSError as error:
            raise OperatorError(f"initialize s3 client SSE-C: {error}") from error
        if len(secret) != 32:
            raise OperatorError("initialize s3 client SSE-C: encrypt: SSE-C key must be 256 bit long")
        encoded = base64.b64encode(secret).decode()
        headers = {
            "x-amz-server-side-encryption-customer-algorithm": "AES256",
            "x-amz-server-side-encryption-customer-key": encoded,
            "x-amz-server-side-encryption-customer-key-md5": base64.b64encode(hashlib.md5(secret).digest()).decode(),
        }
        options = {"server_side_encryption": "sse-c", "sse_customer_key_base64": encoded}
        return Encryption(headers, headers, options)
    return Encryption({}, {}, {})
