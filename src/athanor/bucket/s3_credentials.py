"""Where the keys of S3 come from: configuration, environment, shared file, or the machine's role.

The chain of the original (minio-go pkg/credentials): a provider that fails or has nothing is skipped; none at all means
unsigned requests. Temporary keys are asked for again when 80 % of their life has passed.
"""

from __future__ import annotations

import configparser
import json
import os
import shlex
import subprocess
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3

from athanor.bucket.s3_config import S3Config
from athanor.bucket.sigv4 import Credentials

IMDS_ENDPOINT = "http://169.254.169.254"
CONTAINER_ENDPOINT = "http://169.254.170.2"
LIFETIME_USED_RATIO = 0.8
TOKEN_TIMEOUT_S = 1.0
REQUEST_TIMEOUT_S = 10.0


class CredentialSource:
    """Credentials for the next request; thread-safe."""

    def __init__(self, config: S3Config, environment: Mapping[str, str] | None = None) -> None:
        self._config = config
        self._environment = os.environ if environment is None else environment
        self._http = urllib3.PoolManager(timeout=urllib3.Timeout(REQUEST_TIMEOUT_S), retries=False)
        self._lock = threading.Lock()
        self._current: Credentials | None = None

    def current(self) -> Credentials:
        with self._lock:
            held = self._current
            if held is None or (held.expires_s is not None and time.time() >= held.expires_s):
                self._current = held = self._ask()
            return held

    def _ask(self) -> Credentials:
        config = self._config
        if config.access_key:
            return Credentials(config.access_key, config.secret_key, config.session_token)
        for provider in (self._from_environment, self._from_file, self._from_role):
            try:
                found = provider()
            except (
                OSError,
                ValueError,
                KeyError,
                urllib3.exceptions.HTTPError,
                subprocess.SubprocessError,
                ET.ParseError,
            ):
                continue  # compat: a provider that fails is skipped
            if found is not None:
                return found
        return Credentials()

    def _from_environment(self) -> Credentials | None:
        env = self._environment
        access = env.get("AWS_ACCESS_KEY_ID") or env.get("AWS_ACCESS_KEY", "")
        secret = env.get("AWS_SECRET_ACCESS_KEY") or env.get("AWS_SECRET_KEY", "")
        return Credentials(access, secret, env.get("AWS_SESSION_TOKEN", "")) if access or secret else None

    def _from_file(self) -> Credentials | None:
        env = self._environment
        path = env.get("AWS_SHARED_CREDENTIALS_FILE") or str(Path.home() / ".aws" / "credentials")
        parser = configparser.RawConfigParser()
        try:
            if not parser.read(path):
                return None
            section = parser[env.get("AWS_PROFILE") or "default"]
        except configparser.Error as error:
            raise ValueError(str(error)) from error
        command = shlex.split(section.get("credential_process", ""))
        if len(command) > 1:
            return _temporary(json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout))
        access, secret = section.get("aws_access_key_id", ""), section.get("aws_secret_access_key", "")
        return Credentials(access, secret, section.get("aws_session_token", "")) if access or secret else None

    def _from_role(self) -> Credentials | None:
        env = self._environment
        if token_file := env.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
            return self._web_identity(token_file)
        if relative := env.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
            endpoint = self._config.sts_endpoint or CONTAINER_ENDPOINT + relative
            return self._container(endpoint, env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN"))
        if full := env.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
            if authorization := env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
                return self._container(self._config.sts_endpoint or full, Path(authorization).read_text())
            if (urlsplit(full).hostname or "") not in ("localhost", "127.0.0.1", "::1"):
                raise ValueError(f"uri host is not a loopback address: {full}")
            return self._container(self._config.sts_endpoint or full, env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN"))
        return self._instance_role(self._config.sts_endpoint or IMDS_ENDPOINT)

    def _web_identity(self, token_file: str) -> Credentials:
        env = self._environment
        region = env.get("AWS_REGION", "")
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        default = f"https://sts.{region}.{domain}" if region else "https://sts.amazonaws.com"
        form = {
            "Action": "AssumeRoleWithWebIdentity",
            "RoleArn": env.get("AWS_ROLE_ARN", ""),
            "RoleSessionName": env.get("AWS_ROLE_SESSION_NAME") or str(time.time_ns()),
            "WebIdentityToken": Path(token_file).read_text(),
            "Version": "2011-06-15",
        }
        body = self._request("POST", f"{self._config.sts_endpoint or default}/", body=urlencode(form).encode())
        found = ET.fromstring(body).find(".//{*}Credentials")
        if found is None:
            raise ValueError("the answer has no credentials")
        return _temporary({child.tag.rpartition("}")[2]: child.text or "" for child in found})

    def _container(self, url: str, authorization: str | None) -> Credentials:
        headers = {"Authorization": authorization} if authorization else {}
        return _temporary(json.loads(self._request("GET", url, headers)))

    def _instance_role(self, endpoint: str) -> Credentials | None:
        lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
        try:
            token = self._request("PUT", f"{endpoint}/latest/api/token", lifetime, timeout_s=TOKEN_TIMEOUT_S).decode()
            headers = {"X-aws-ec2-metadata-token": token}
        except urllib3.exceptions.TimeoutError:  # compat: the first version of the service, without tokens
            headers = {}
        listing = f"{endpoint}/latest/meta-data/iam/security-credentials/"
        roles = self._request("GET", listing, headers, timeout_s=TOKEN_TIMEOUT_S).decode().split()
        return _temporary(json.loads(self._request("GET", listing + roles[0], headers))) if roles else None

    def _request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        body: bytes | None = None,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> bytes:
        sent = dict(headers or {})
        if body is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        answer = self._http.request(method, url, headers=sent, body=body, timeout=timeout_s, redirect=False)
        if answer.status != 200:
            raise ValueError(f"{method} {url}: status {answer.status}")
        return answer.data


def _temporary(fields: Mapping[str, Any]) -> Credentials:
    token = fields.get("SessionToken") or fields.get("Token") or ""
    expires_s = None
    if fields.get("Expiration"):
        ends_s = datetime.fromisoformat(str(fields["Expiration"]).replace("Z", "+00:00")).timestamp()
        expires_s = time.time() + (ends_s - time.time()) * LIFETIME_USED_RATIO
    return Credentials(str(fields["AccessKeyId"]), str(fields["SecretAccessKey"]), str(token), expires_s)
