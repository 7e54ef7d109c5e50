"""The file of ``--http.config``: TLS, users, headers and a rate limit for an HTTP server.

Strict YAML: an unknown key is an error. Relative paths start at the file's directory. What Python's TLS cannot do
(client certificates that nobody verifies, several curves) is refused, not ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from athanor.model.errors import NotAvailableError, OperatorError
from athanor.serve.durations import NS_PER_S, ValueTextError, parse_prom_duration_ns

TLS_VERSIONS = ("TLS10", "TLS11", "TLS12", "TLS13")
CLIENT_AUTH = (
    "",
    "NoClientCert",
    "RequestClientCert",
    "RequireClientCert",
    "RequireAnyClientCert",
    "VerifyClientCertIfGiven",
    "RequireAndVerifyClientCert",
)
UNVERIFIED_CLIENT_AUTH = ("RequestClientCert", "RequireClientCert", "RequireAnyClientCert")
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
CIPHERS = {
    f"TLS_ECDHE_{auth}_WITH_{go}": f"ECDHE-{auth}-{openssl}"
    for auth in ("ECDSA", "RSA")
    for go, openssl in (
        ("AES_128_CBC_SHA", "AES128-SHA"),
        ("AES_256_CBC_SHA", "AES256-SHA"),
        ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
        ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
    )
}
TLS13_CIPHERS = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
"""Always on where TLS 1.3 is; naming them changes nothing."""
HEADERS: dict[str, tuple[str, ...]] = {
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
    "Content-Security-Policy": (),
}
"""Headers that may be configured, with the values that they may have (none named: any)."""
_BCRYPT = re.compile(r"\$2[aby]?\$(\d\d)\$[./A-Za-z0-9]{53}")


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """The section tls_server_config; paths are absolute, a path wins over inline text."""

    cert: str = ""
    cert_file: str = ""
    key: str = ""
    key_file: str = ""
    client_ca: str = ""
    client_ca_file: str = ""
    client_auth: str = ""
    client_sans: tuple[str, ...] = ()
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    ciphers: tuple[str, ...] = ()
    curve: str = ""
    prefer_server_ciphers: bool = True

    @property
    def on(self) -> bool:
        """TLS is off when nothing of it is configured."""
        return any((self.cert, self.cert_file, self.key, self.key_file, self.client_ca, self.client_ca_file)) or bool(
            self.client_auth
        )


@dataclass(frozen=True, slots=True)
class WebConfig:
    """The whole file."""

    tls: TlsConfig = TlsConfig()
    headers: tuple[tuple[str, str], ...] = ()
    users: tuple[tuple[str, str], ...] = ()
    """(name, bcrypt hash)."""
    rate_interval_s: float = 0.0
    """One request per interval is allowed on average; 0 means no limit."""
    rate_burst: int = 0


def _section(raw: Any, known: dict[str, type | tuple[type, ...]], where: str) -> dict[str, Any]:
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise OperatorError(f"{where}: a mapping is expected, got {raw!r}")
    for key, value in raw.items():
        if key not in known:
            raise OperatorError(f"{where}: field {key} not found")
        if value is not None and not isinstance(value, known[key]):
            raise OperatorError(f"{where}: field {key} cannot be {value!r}")
    return {key: value for key, value in raw.items() if value is not None}


def _tls(raw: Any, directory: Path) -> TlsConfig:
    text = dict.fromkeys(
        ("cert", "cert_file", "key", "key_file", "client_ca", "client_ca_file", "client_auth_type"), str
    )
    known: dict[str, type | tuple[type, ...]] = {**text, "min_version": str, "max_version": str}
    known |= {"client_allowed_sans": list, "cipher_suites": list, "curve_preferences": list}
    section = _section(raw, {**known, "prefer_server_cipher_suites": bool}, "tls_server_config")
    paths = {
        key: str(directory / section[key]) for key in ("cert_file", "key_file", "client_ca_file") if section.get(key)
    }
    tls = TlsConfig(
        cert=section.get("cert", ""),
        cert_file=paths.get("cert_file", ""),
        key=section.get("key", ""),
        key_file=paths.get("key_file", ""),
        client_ca=section.get("client_ca", ""),
        client_ca_file=paths.get("client_ca_file", ""),
        client_auth=section.get("client_auth_type", ""),
        client_sans=tuple(section.get("client_allowed_sans", ())),
        min_version=section.get("min_version", "TLS12"),
        max_version=section.get("max_version", "TLS13"),
        ciphers=_ciphers(section.get("cipher_suites", ())),
        curve=_curve(section.get("curve_preferences", ())),
        prefer_server_ciphers=section.get("prefer_server_cipher_suites", True),
    )
    _check_tls(tls)
    return tls


def _ciphers(names: list[str]) -> tuple[str, ...]:
    for name in names:
        if name not in CIPHERS and name not in TLS13_CIPHERS:
            raise OperatorError(f"unknown cipher: {name}")
    return tuple(CIPHERS[name] for name in names if name in CIPHERS)


def _curve(names: list[str]) -> str:
    for name in names:
        if name not in CURVES:
            raise OperatorError(f"unknown curve: {name}")
    if len(names) > 1:
        raise NotAvailableError("curve_preferences with more than one curve")
    return CURVES[names[0]] if names else ""


def _check_tls(tls: TlsConfig) -> None:
    for version in (tls.min_version, tls.max_version):
        if version not in TLS_VERSIONS:
            raise OperatorError(f"unknown TLS version: {version}")
    if tls.client_auth not in CLIENT_AUTH:
        raise OperatorError(f"invalid ClientAuth: {tls.client_auth}")
    if not tls.on:
        return
    if not (tls.cert or tls.cert_file):
        raise OperatorError("missing one of cert or cert_file")
    if not (tls.key or tls.key_file):
        raise OperatorError("missing one of key or key_file")
    if (tls.client_ca or tls.client_ca_file) and tls.client_auth in ("", "NoClientCert"):
        raise OperatorError("client CA's have been configured without a Client Auth Policy")
    if tls.client_auth in UNVERIFIED_CLIENT_AUTH:
        raise NotAvailableError(f"client_auth_type {tls.client_auth}")


def _headers(raw: Any) -> tuple[tuple[str, str], ...]:
    section = _section(raw, {"http2": bool, "headers": dict}, "http_server_config")
    headers = []
    for name, value in section.get("headers", {}).items():
        if name not in HEADERS:
            raise OperatorError(f'HTTP header "{name}" can not be configured')
        allowed = HEADERS[name]
        if not value:
            continue
        if allowed and value not in allowed:
            listed = " ".join(f'"{item}"' for item in allowed)
            raise OperatorError(f'invalid value for {name}. Expected one of: [{listed}], but got: "{value}"')
        headers.append((str(name), str(value)))
    return tuple(headers)


def _users(raw: Any) -> tuple[tuple[str, str], ...]:
    if raw is None:
        return ()
    if not isinstance(raw, dict):
        raise OperatorError(f"basic_auth_users: a mapping is expected, got {raw!r}")
    for name, value in raw.items():
        if not isinstance(value, str) or len(value) < 59:
            raise OperatorError("crypto/bcrypt: hashedSecret too short to be a bcrypted password")
        match = _BCRYPT.match(value)
        if match is None or not 4 <= int(match[1]) <= 31:
            raise OperatorError(f"basic_auth_users: the password of {name} is not a bcrypt hash")
    return tuple((str(name), value) for name, value in raw.items())


def _rate(raw: Any) -> tuple[float, int]:
    section = _section(raw, {"burst": int, "interval": (str, int)}, "rate_limit")
    try:
        interval_ns = parse_prom_duration_ns(str(section.get("interval", "0")))
    except ValueTextError as err:
        raise OperatorError(f"rate_limit: {err}") from err
    return interval_ns / NS_PER_S, section.get("burst", 0)


def parse_web_config(text: str, directory: Path) -> WebConfig:
    """The file's content; raises OperatorError with the original's texts where it has one."""
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as err:
        raise OperatorError(f"yaml: {' '.join(str(err).split())}") from err
    known: dict[str, type | tuple[type, ...]] = dict.fromkeys(
        ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"), object
    )
    section = _section(raw, known, "web configuration")
    interval_s, burst = _rate(section.get("rate_limit"))
    return WebConfig(
        tls=_tls(section.get("tls_server_config"), directory),
        headers=_headers(section.get("http_server_config")),
        users=_users(section.get("basic_auth_users")),
        rate_interval_s=interval_s,
        rate_burst=burst,
    )


def load_web_config(path: str) -> WebConfig:
    """Read and parse the file."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as err:
        raise OperatorError(f"open {path}: {(err.strerror or str(err)).lower()}") from None
    return parse_web_config(text, Path(path).resolve().parent)
