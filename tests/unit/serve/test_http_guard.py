"""The file of --http.config: users, headers, TLS, rate limit, reading it again."""

from __future__ import annotations

import base64
import http.client
import os
import ssl
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import bcrypt
import pytest

from athanor.model.errors import NotAvailableError, OperatorError
from athanor.serve.http_server import HttpServer
from athanor.serve.listen import split_address
from athanor.serve.process import Runtime, error_chain
from athanor.serve.web_config import parse_web_config

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
USERS = f"basic_auth_users: {{ann: '{HASH}'}}\n"
HERE = Path("/etc")


class Site:
    """A guarded server that can be restarted with another file."""

    def __init__(self, runtime: Runtime, file: Path) -> None:
        self.file = file
        self.server = HttpServer(
            runtime, address="127.0.0.1:0", grace_ms=1000, n_threads=2, config_file=str(file), instrumented=False
        )

    def write(self, text: str) -> None:
        self.file.write_text(text)

    def start(self) -> None:
        self.server.start()
        self.host, self.port = split_address(self.server.address)

    def get(self, path: str = "/-/healthy", user: str = "", context: ssl.SSLContext | None = None):
        if context is None:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        else:
            connection = http.client.HTTPSConnection(self.host, self.port, timeout=10, context=context)
        headers = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()} if user else {}
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, dict(response.getheaders()), body


@pytest.fixture
def site(runtime: Runtime, tmp_path: Path) -> Iterator[Site]:
    site = Site(runtime, tmp_path / "web.yml")
    yield site
    site.server.stop()


def test_without_the_password_nothing_is_shown(site: Site):
    site.write(USERS + "http_server_config: {headers: {X-Frame-Options: deny}}\n")
    site.start()
    status, headers, body = site.get()
    assert (status, body) == (401, b"Unauthorized\n")
    assert headers["WWW-Authenticate"] == "Basic"
    assert headers["X-Frame-Options"] == "deny"
    assert site.get(user="ann:wrong")[0] == 401
    assert site.get(user="bob:secret")[0] == 401
    for _ in range(2):
        status, headers, body = site.get(user="ann:secret")
        assert (status, body, headers["X-Frame-Options"]) == (200, b"OK", "deny")


def test_the_file_is_read_again_when_it_changes(site: Site):
    site.write("{}")
    site.start()
    assert site.get()[0] == 200
    site.write("nonsense: 1\n")
    assert site.get()[::2] == (500, b"Internal Server Error\n")
    site.write(USERS)
    assert site.get()[0] == 401


def test_requests_above_the_rate_are_refused(site: Site):
    site.write("rate_limit: {interval: 1h, burst: 2}\n")
    site.start()
    assert [site.get()[0] for _ in range(3)] == [200, 200, 429]


def make_certificate(directory: Path, name: str) -> None:
    from datetime import datetime, timedelta

    cryptography = pytest.importorskip("cryptography")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    assert cryptography
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (directory / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def client(directory: Path, *, with_certificate: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(directory / "cert.pem"))
    context.check_hostname = False
    if with_certificate:
        context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    return context


def test_tls_uses_the_certificate_of_the_moment(site: Site, tmp_path: Path):
    make_certificate(tmp_path, "one")
    site.write("tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n")
    site.start()
    old = client(tmp_path)
    assert site.get(context=old)[0] == 200
    make_certificate(tmp_path, "two")
    os.utime(tmp_path / "cert.pem", (1, 1))
    assert site.get(context=client(tmp_path))[0] == 200
    with pytest.raises(ssl.SSLError):
        site.get(context=old)


def test_client_certificates_are_required_and_their_names_checked(site: Site, tmp_path: Path):
    make_certificate(tmp_path, "one")
    section = "cert_file: cert.pem, key_file: key.pem, client_ca_file: cert.pem, client_auth_type: {auth}"
    section = section.format(auth="RequireAndVerifyClientCert")
    site.write(f"tls_server_config: {{{section}, client_allowed_sans: [one]}}\n")
    site.start()
    assert site.get(context=client(tmp_path, with_certificate=True))[0] == 200
    with pytest.raises((OSError, http.client.HTTPException)):
        site.get(context=client(tmp_path))
    site.write(f"tls_server_config: {{{section}, client_allowed_sans: [other]}}\n")
    with pytest.raises((OSError, http.client.HTTPException)):
        site.get(context=client(tmp_path, with_certificate=True))


def test_a_missing_file_stops_the_start_with_the_chain_of_the_original(runtime: Runtime):
    server = HttpServer(runtime, address="127.0.0.1:0", grace_ms=0, n_threads=1, config_file="nofile.yml")
    with pytest.raises(OperatorError) as caught:
        server.start()
    assert error_chain(caught.value) == ["open nofile.yml: no such file or directory", "server could not be started"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tls_server_config: {cert_file: a}", "missing one of key or key_file"),
        ("tls_server_config: {key_file: a}", "missing one of cert or cert_file"),
        ("tls_server_config: {client_auth_type: X}", "invalid ClientAuth: X"),
        (
            "tls_server_config: {cert: a, key: b, client_ca: c}",
            "client CA's have been configured without a Client Auth Policy",
        ),
        ("tls_server_config: {min_version: TLS9}", "unknown TLS version: TLS9"),
        ("tls_server_config: {cipher_suites: [X]}", "unknown cipher: X"),
        ("tls_server_config: {curve_preferences: [X]}", "unknown curve: X"),
        ("http_server_config: {headers: {X-Y: z}}", 'HTTP header "X-Y" can not be configured'),
        (
            "http_server_config: {headers: {X-Frame-Options: x}}",
            'invalid value for X-Frame-Options. Expected one of: ["deny" "sameorigin"], but got: "x"',
        ),
        ("basic_auth_users: {a: b}", "crypto/bcrypt: hashedSecret too short to be a bcrypted password"),
        ("other: 1", "web configuration: field other not found"),
    ],
)
def test_mistakes_in_the_file_have_the_texts_of_the_original(text: str, message: str):
    with pytest.raises(OperatorError) as caught:
        parse_web_config(text, HERE)
    assert str(caught.value) == message


def test_what_cannot_be_done_is_refused():
    with pytest.raises(NotAvailableError, match="client_auth_type RequireAnyClientCert"):
        parse_web_config("tls_server_config: {cert: a, key: b, client_auth_type: RequireAnyClientCert}", HERE)
    with pytest.raises(NotAvailableError, match="curve_preferences with more than one curve"):
        parse_web_config("tls_server_config: {curve_preferences: [X25519, CurveP256]}", HERE)


def test_paths_start_at_the_directory_of_the_file():
    tls = parse_web_config("tls_server_config: {cert_file: a, key_file: /b}", HERE).tls
    assert (tls.cert_file, tls.key_file) == ("/etc/a", "/b")
