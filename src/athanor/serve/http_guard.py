"""What stands before every request when ``--http.config`` is set: rate limit, headers, users, TLS.

The file is looked at again on every request and every TLS handshake and read when it changed; while it cannot be read,
requests are answered with 500 and handshakes fail. Whether TLS is used and the rate limit are fixed at the start.
"""

from __future__ import annotations

import base64
import binascii
import os
import random
import ssl
import tempfile
import threading
import time
from collections.abc import Mapping

import bcrypt

from athanor.model.errors import AthanorError, OperatorError
from athanor.model.log import Logger
from athanor.serve.http_types import TEXT, HttpReply
from athanor.serve.web_config import TlsConfig, WebConfig, load_web_config

MAX_CACHED = 100
DUMMY_HASH = bcrypt.hashpw(b"athanor", b"$2b$10$abcdefghijklmnopqrstuu")
"""Unknown users are checked against it, so that the time tells nothing."""
_NOSNIFF = (("X-Content-Type-Options", "nosniff"),)
_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


class HttpGuard:
    """One configuration file; raises OperatorError when it is wrong at the start."""

    def __init__(self, path: str, log: Logger) -> None:
        self._path = path
        self._log = log
        self._lock = threading.Lock()
        self._bcrypt_lock = threading.Lock()
        self._known: dict[tuple[str, str, str], bool] = {}
        self._stamp = self._now_stamp()
        self._config = load_web_config(path)
        self._error: AthanorError | None = None
        self._interval_s, self._burst = self._config.rate_interval_s, self._config.rate_burst
        self._tokens, self._filled_at = float(self._burst), time.monotonic()
        self.tls = self._config.tls.on
        self._context = make_context(self._config.tls) if self.tls else None

    def _now_stamp(self) -> tuple[int, int, int]:
        try:
            found = os.stat(self._path)
        except OSError:
            return (0, 0, 0)
        return (found.st_mtime_ns, found.st_size, found.st_ino)

    def config(self) -> WebConfig:
        """The file as it is now; raises AthanorError while it is wrong."""
        with self._lock:
            stamp = self._now_stamp()
            if stamp != self._stamp or stamp == (0, 0, 0):
                self._stamp, self._error = stamp, None
                try:
                    self._config = load_web_config(self._path)
                except AthanorError as err:
                    self._error = err
            if self._error is not None:
                raise self._error
            return self._config

    def headers(self) -> tuple[tuple[str, str], ...]:
        """What every answer carries; nothing while the file is wrong."""
        try:
            return self.config().headers
        except AthanorError:
            return ()

    def refuse(self, headers: Mapping[str, str]) -> HttpReply | None:
        """The refusal, or None for a request that may go on. Runs in a worker thread: a password takes long."""
        try:
            config = self.config()
        except AthanorError as err:
            self._log.error("Unable to parse configuration", err=err)
            return HttpReply(500, b"Internal Server Error\n", TEXT, _NOSNIFF)
        if not self._take_token():
            return HttpReply(429, b"Too Many Requests\n", TEXT, _NOSNIFF)
        if config.users and not self._password_is_good(dict(config.users), headers.get("Authorization", "")):
            wanted = (("WWW-Authenticate", "Basic"), *_NOSNIFF)
            return HttpReply(401, b"Unauthorized\n", TEXT, wanted)
        return None

    def _take_token(self) -> bool:
        if not self._interval_s:
            return True
        with self._lock:
            now_s = time.monotonic()
            self._tokens = min(float(self._burst), self._tokens + (now_s - self._filled_at) / self._interval_s)
            self._filled_at = now_s
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True

    def _password_is_good(self, users: dict[str, str], header: str) -> bool:
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        if not colon:
            return False
        known = user in users
        key = (user, users.get(user, ""), password)
        cached = self._known.get(key)
        if cached is None:
            with self._bcrypt_lock:
                hashed = users[user].encode() if known else DUMMY_HASH
                cached = bcrypt.checkpw(password.encode()[:72], hashed)
                if len(self._known) >= MAX_CACHED:
                    for old in random.sample(list(self._known), MAX_CACHED // 10):
                        del self._known[old]
                self._known[key] = cached
        return cached and known

    def client_is_allowed(self, certificate: Mapping[str, object] | None) -> bool:
        """Whether a verified client certificate carries one of the names that are allowed."""
        allowed = self._config.tls.client_sans
        if not allowed or certificate is None:
            return not allowed or self._config.tls.client_auth == "VerifyClientCertIfGiven"
        names = certificate.get("subjectAltName", ())
        return isinstance(names, tuple) and any(value in allowed for _, value in names)

    def ssl_context(self) -> ssl.SSLContext | None:
        """The context to listen with; at each handshake it hands over to one made from the file as it is then."""
        if self._context is None:
            return None
        current: list[tuple[TlsConfig, tuple[int, ...], ssl.SSLContext]] = [
            (self._config.tls, _stamps(self._config.tls), self._context)
        ]

        def renew(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> int | None:
            try:
                tls = self.config().tls
                stamps = _stamps(tls)
                if current[0][:2] != (tls, stamps):
                    current[0] = (tls, stamps, make_context(tls))
            except (AthanorError, OSError, ssl.SSLError) as err:
                self._log.error("Unable to parse configuration", err=err)
                return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
            connection.context = current[0][2]
            return None

        listening = make_context(self._config.tls)
        listening.sni_callback = renew  # called with and without a server name
        return listening


def _stamps(tls: TlsConfig) -> tuple[int, ...]:
    files = [path for path in (tls.cert_file, tls.key_file, tls.client_ca_file) if path]
    return tuple(os.stat(path).st_mtime_ns for path in files)


def make_context(tls: TlsConfig) -> ssl.SSLContext:
    """A server's context; raises OperatorError when certificate or key cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = _VERSIONS[tls.min_version], _VERSIONS[tls.max_version]
    for label, path in (
        ("cert_file", tls.cert_file),
        ("key_file", tls.key_file),
        ("client_ca_file", tls.client_ca_file),
    ):
        if path and not os.access(path, os.R_OK):
            raise OperatorError(f"failed to read {label} ({path}): open {path}: no such file or directory")
    try:
        with tempfile.TemporaryDirectory(prefix="athanor-tls-") as directory:
            cert = tls.cert_file or _spill(directory, "cert", tls.cert)
            key = tls.key_file or _spill(directory, "key", tls.key)
            context.load_cert_chain(cert, key)
    except (ssl.SSLError, OSError) as err:
        raise OperatorError(f"failed to load X509KeyPair: {err}") from err
    if tls.ciphers:
        context.set_ciphers(":".join(tls.ciphers))
    if tls.curve:
        context.set_ecdh_curve(tls.curve)
    if tls.prefer_server_ciphers:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    if tls.client_auth in ("VerifyClientCertIfGiven", "RequireAndVerifyClientCert"):
        required = tls.client_auth == "RequireAndVerifyClientCert"
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        if tls.client_ca_file:
            context.load_verify_locations(cafile=tls.client_ca_file)
        elif tls.client_ca:
            context.load_verify_locations(cadata=tls.client_ca)
        else:
            context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    return context


def _spill(directory: str, name: str, text: str) -> str:
    path = os.path.join(directory, name)
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return path
