# ruff: noqa: RUF009
"""A bucket from the operator's YAML (objstore client/factory.go).

type: FILESYSTEM | S3
config: {...}
prefix: ""
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from athanor.bucket.contract import Bucket
from athanor.bucket.filesystem import FilesystemBucket
from athanor.bucket.metered import BucketMetrics, MeteredBucket
from athanor.bucket.prefixed import with_prefix
from athanor.bucket.s3 import open_s3
from athanor.bucket.yaml_config import ConfigError, Node, compose, decode, key
from athanor.model.errors import NotAvailableError, OperatorError

LATER_TYPES = frozenset(["GCS", "AZURE", "SWIFT", "COS", "ALIYUNOSS", "BOS", "OCI", "OBS"])


@dataclass(frozen=True, slots=True)
class BucketConfig:
    """The top level of the file."""

    type: str = key(default="")
    config: Any = key(default=None)
    prefix: str = key(default="")
    # differs: the original documents this key for the store's file and then refuses a file that has it
    hedging_config: Any = key(default=None)


@dataclass(frozen=True, slots=True)
class HedgingConfig:
    """Whether slow requests are to be sent twice."""

    enabled: bool = key(default=False)


@dataclass(frozen=True, slots=True)
class FilesystemConfig:
    """Below ``config:`` of a FILESYSTEM bucket."""

    directory: str = key(default="")


def open_bucket(text: str, metrics: Callable[[str], BucketMetrics], *, user_agent: str = "Athanor") -> Bucket:
    """The configured bucket, below its prefix, metered. No request is made: a wrong key shows on first use.

    text: the YAML, environment references already expanded. metrics: makes the counters for a bucket's name, e.g.
    ``partial(RegisteredBucketMetrics, registry)``. Raises OperatorError with the original's text, NotAvailableError for
    a provider of the original that this version does not have.
    """
    config = parse_bucket_config(text)
    bucket = with_prefix(_provider(config, user_agent), config.prefix)
    return MeteredBucket(bucket, metrics(bucket.name))


def parse_bucket_config(text: str) -> BucketConfig:
    try:
        config = decode(compose(text), BucketConfig, "client.BucketConfig", strict=True)
    except ConfigError as error:
        raise ConfigError(f"parsing config YAML file: {error}") from error
    if decode(config.hedging_config, HedgingConfig, "exthttp.CustomBucketConfig", strict=False).enabled:
        raise NotAvailableError("hedging_config of the bucket")
    return config


def _provider(config: BucketConfig, user_agent: str) -> Bucket:
    kind = config.type.upper()
    node: Node | None = config.config
    if kind in LATER_TYPES:
        raise NotAvailableError(f"bucket type {kind}")
    try:
        if kind == "FILESYSTEM":
            decoded = decode(node, FilesystemConfig, "filesystem.Config", strict=False, re_encoded=True)
            return FilesystemBucket(decoded.directory)
        if kind == "S3":
            return open_s3(node, user_agent)
    except OperatorError as error:
        raise OperatorError(f"create {config.type} client: {error}") from error
    raise OperatorError(f"bucket with type {config.type} is not supported")
