"""Object storage: the contract, its providers, their configuration, their metrics.

open_bucket(yaml_text, partial(RegisteredBucketMetrics, registry)) -> Bucket     from the operator's YAML (open.py)
Bucket, ListedObject, ObjectAttributes, ObjectNotFound                           contract.py
FilesystemBucket, MemoryBucket, PrefixedBucket, MeteredBucket, s3.S3Bucket
BucketMetrics, BucketCounters                                                    metered.py
"""

from athanor.bucket.contract import Bucket, ListedObject, ObjectAttributes, ObjectNotFound
from athanor.bucket.filesystem import FilesystemBucket
from athanor.bucket.memory import MemoryBucket
from athanor.bucket.metered import BucketCounters, BucketMetrics, MeteredBucket
from athanor.bucket.open import open_bucket
from athanor.bucket.prefixed import PrefixedBucket
from athanor.bucket.registered import RegisteredBucketMetrics

__all__ = [
    "Bucket",
    "BucketCounters",
    "BucketMetrics",
    "FilesystemBucket",
    "ListedObject",
    "MemoryBucket",
    "MeteredBucket",
    "ObjectAttributes",
    "ObjectNotFound",
    "PrefixedBucket",
    "RegisteredBucketMetrics",
    "open_bucket",
]
