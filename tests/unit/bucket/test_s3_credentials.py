"""The chain of credentials, with an environment of the test's own and a small server in the place of the services."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from athanor.bucket.s3_config import S3Config, TLSConfig
from athanor.bucket.s3_credentials import CredentialSource
from athanor.bucket.s3_http import is_virtual_hosted, region_of_host, service_host, tls_context
from athanor.bucket.sigv4 import Credentials
from athanor.model.errors import OperatorError

ROLE_KEYS = {"AccessKeyId": "role-id", "SecretAccessKey": "role-secret", "Token": "role-token"}
STS_ANSWER = (
    b'<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>'
    b"<Credentials><AccessKeyId>web-id</AccessKeyId><SecretAccessKey>web-secret</SecretAccessKey>"
    b"<SessionToken>web-token</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials>"
    b"</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
)


class Service(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.expiration = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((self.command, self.path, headers, body))
        answers = {
            "/latest/api/token": b"imds-token",
            "/latest/meta-data/iam/security-credentials/": b"my-role\nother",
            "/": STS_ANSWER,
        }
        keys = ROLE_KEYS | ({"Expiration": self.server.expiration} if self.server.expiration else {})
        answer = answers.get(self.path, json.dumps(keys).encode())
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_PUT = do_POST = do_GET

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def service() -> Iterator[Service]:
    server = Service()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def found(environment: dict[str, str], **config: str) -> Credentials:
    no_file = {"AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}
    return CredentialSource(S3Config(endpoint="e", **config), no_file | environment).current()


def test_configured_keys_come_first():
    environment = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    keys = found(environment, access_key="a", secret_key="s", session_token="t")
    assert keys == Credentials("a", "s", "t")


@pytest.mark.parametrize(
    "names", [("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("AWS_ACCESS_KEY", "AWS_SECRET_KEY")]
)
def test_both_spellings_of_the_environment_are_read(names: tuple[str, str]):
    environment = {names[0]: "id", names[1]: "secret", "AWS_SESSION_TOKEN": "token"}
    assert found(environment) == Credentials("id", "secret", "token")


def test_half_a_pair_counts_as_found_and_is_anonymous():
    assert found({"AWS_ACCESS_KEY_ID": "id"}).anonymous


def test_the_shared_file_is_read_by_profile(tmp_path: Path):
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = d\naws_secret_access_key = ds\n"
        "[other]\naws_access_key_id = o\naws_secret_access_key = os\naws_session_token = ot\n"
    )
    environment = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}
    assert found(environment) == Credentials("d", "ds")
    assert found(environment | {"AWS_PROFILE": "other"}) == Credentials("o", "os", "ot")


def test_a_credential_process_wins_over_keys_in_the_file(tmp_path: Path):
    (tmp_path / "keys.json").write_text('{"AccessKeyId":"p","SecretAccessKey":"ps","SessionToken":"pt"}')
    (tmp_path / "credentials").write_text(
        f"[default]\naws_access_key_id = d\naws_secret_access_key = ds\ncredential_process = cat {tmp_path}/keys.json\n"
    )
    environment = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}
    assert found(environment) == Credentials("p", "ps", "pt")


def test_a_web_identity_is_exchanged(service: Service, tmp_path: Path):
    (tmp_path / "token").write_text("the-token")
    environment = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
        "AWS_ROLE_ARN": "arn:role",
        "AWS_ROLE_SESSION_NAME": "me",
    }
    keys = found(environment, sts_endpoint=service.url)
    assert (keys.access_key, keys.secret_key, keys.session_token) == ("web-id", "web-secret", "web-token")
    method, path, _, body = service.seen[0]
    assert (method, path) == ("POST", "/")
    assert parse_qs(body.decode()) == {
        "Action": ["AssumeRoleWithWebIdentity"],
        "RoleArn": ["arn:role"],
        "RoleSessionName": ["me"],
        "WebIdentityToken": ["the-token"],
        "Version": ["2011-06-15"],
    }


def test_a_container_asks_its_own_service_with_the_token_of_its_file(service: Service, tmp_path: Path):
    (tmp_path / "auth").write_text("the-authorization")
    environment = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{service.url}/container",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "auth"),
    }
    assert found(environment).access_key == "role-id"
    assert service.seen[0][1] == "/container"
    assert service.seen[0][2]["authorization"] == "the-authorization"


def test_a_full_address_must_be_of_this_machine_unless_a_token_file_is_given():
    assert found({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.1/x"}).anonymous


def test_a_machine_asks_for_a_token_then_for_its_first_role(service: Service):
    keys = found({}, sts_endpoint=service.url)
    assert keys == Credentials("role-id", "role-secret", "role-token")
    assert [(method, path) for method, path, _, _ in service.seen] == [
        ("PUT", "/latest/api/token"),
        ("GET", "/latest/meta-data/iam/security-credentials/"),
        ("GET", "/latest/meta-data/iam/security-credentials/my-role"),
    ]
    assert service.seen[2][2]["x-aws-ec2-metadata-token"] == "imds-token"


def test_temporary_keys_are_asked_for_again_after_four_fifths_of_their_life(service: Service):
    service.expiration = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1000))
    environment = {"AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}
    source = CredentialSource(S3Config(endpoint="e", sts_endpoint=service.url), environment)
    keys = source.current()
    assert keys.expires_s is not None
    assert 780 < keys.expires_s - time.time() <= 800
    assert source.current() is keys
    assert len(service.seen) == 3


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("s3.eu-west-1.amazonaws.com", "eu-west-1"),
        ("s3.dualstack.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("s3-ap-south-1.amazonaws.com", "ap-south-1"),
        ("s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("s3.amazonaws.com", ""),
        ("minio.local:9000", ""),
    ],
)
def test_an_aws_host_carries_its_region(host: str, region: str):
    assert region_of_host(host) == region


def test_the_plain_aws_host_becomes_the_dual_stack_one_of_the_region():
    config = S3Config(endpoint="s3.amazonaws.com")
    assert service_host(config, "eu-west-1") == "s3.dualstack.eu-west-1.amazonaws.com"
    config = S3Config(endpoint="s3.amazonaws.com", disable_dualstack=True)
    assert service_host(config, "eu-west-1") == "s3.eu-west-1.amazonaws.com"
    assert service_host(S3Config(endpoint="minio:9000"), "eu-west-1") == "minio:9000"


@pytest.mark.parametrize(
    ("config", "virtual"),
    [
        (S3Config(endpoint="s3.amazonaws.com", bucket="b"), True),
        (S3Config(endpoint="s3.amazonaws.com", bucket="a.b"), False),
        (S3Config(endpoint="s3.amazonaws.com", bucket="a.b", insecure=True), True),
        (S3Config(endpoint="storage.googleapis.com", bucket="b"), True),
        (S3Config(endpoint="oss-cn.aliyuncs.com", bucket="b"), True),
        (S3Config(endpoint="minio:9000", bucket="b"), False),
        (S3Config(endpoint="minio:9000", bucket="b", bucket_lookup_type="virtual-hosted"), True),
        (S3Config(endpoint="s3.amazonaws.com", bucket="b", bucket_lookup_type="path"), False),
    ],
)
def test_the_bucket_is_in_the_host_name_where_a_certificate_covers_it(config: S3Config, virtual: bool):
    assert is_virtual_hosted(config) is virtual


@pytest.mark.parametrize(
    ("tls", "text"),
    [
        (TLSConfig(ca_file="/nonexistent"), "unable to load specified CA cert /nonexistent: "),
        (TLSConfig(cert_file="c"), 'client cert file "c" specified without client key file'),
        (TLSConfig(key_file="k"), 'client key file "k" specified without client cert file'),
        (TLSConfig(cert_file="c", key_file="k"), "unable to use specified client cert (c) & key (k): "),
    ],
)
def test_mistakes_in_tls_files_have_the_texts_of_the_original(tls: TLSConfig, text: str):
    with pytest.raises(OperatorError) as raised:
        tls_context(tls, insecure_skip_verify=False)
    assert str(raised.value).startswith(text)


def test_a_file_that_is_no_certificate_cannot_be_used(tmp_path: Path):
    (tmp_path / "ca").write_text("no certificate")
    with pytest.raises(OperatorError, match="unable to use specified CA cert"):
        tls_context(TLSConfig(ca_file=str(tmp_path / "ca")), insecure_skip_verify=False)
