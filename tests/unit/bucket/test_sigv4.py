"""Signatures against the examples that Amazon publishes for S3 (Signature Version 4, header-based authentication)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from athanor.bucket.sigv4 import EMPTY_SHA256, Credentials, encode_path, signed_headers

EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NOON = datetime(2013, 5, 24, tzinfo=UTC)
HOST = "examplebucket.s3.amazonaws.com"


@pytest.mark.parametrize(
    ("path", "query", "headers", "signature"),
    [
        (
            "/test.txt",
            [],
            {"Range": "bytes=0-9"},
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "/",
            [("lifecycle", "")],
            {},
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "/",
            [("max-keys", "2"), ("prefix", "J")],
            {},
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_published_examples_have_their_signatures(path, query, headers, signature):
    signed = signed_headers("GET", HOST, path, query, headers, EMPTY_SHA256, EXAMPLE, "us-east-1", NOON)
    assert signed["authorization"].endswith(f"Signature={signature}")
    assert "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request" in signed["authorization"]


def test_without_keys_nothing_is_signed():
    signed = signed_headers("GET", HOST, "/", [], {"User-Agent": "a"}, EMPTY_SHA256, Credentials(), "us-east-1", NOON)
    assert signed == {"user-agent": "a"}


def test_paths_keep_slashes_and_encode_the_rest_in_upper_case():
    assert encode_path("/a b/ü+~") == "/a%20b/%C3%BC%2B~"


def test_secrets_are_not_printed():
    assert "wJalr" not in repr(EXAMPLE)
