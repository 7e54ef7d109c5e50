"""Addresses of endpoints: plain ``host:port``, or names that DNS turns into several.

``dns+host:port`` looks up IPv4 addresses (IPv6 where there are none), ``dnsdualstack+`` both; ``dnssrv+name`` looks
up SRV records and the addresses of their targets, ``dnssrvnoa+name`` SRV records only (thanos pkg/discovery/dns).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import dns.exception
import dns.resolver

from athanor.model.errors import OperatorError, TransientError
from athanor.model.log import Logger

LOOKUPS = ("dns", "dnsdualstack", "dnssrv", "dnssrvnoa")


def split_lookup(address: str) -> tuple[str, str]:
    """(lookup type, name); the type is empty for a plain address."""
    kind, plus, name = address.partition("+")
    return (kind, name) if plus else ("", address)


def is_dynamic(address: str) -> bool:
    """Whether an address stands for whatever DNS says."""
    return "+" in address


def check_address(address: str) -> None:
    """OperatorError where the lookup type is unknown or a port is missing."""
    kind, name = split_lookup(address)
    if kind and kind not in LOOKUPS:
        raise OperatorError(f"endpoint {address}: unknown lookup {kind!r}; one of {', '.join(LOOKUPS)}")
    if kind in ("dns", "dnsdualstack"):
        _split_port(name)


def _split_port(name: str) -> tuple[str, int]:
    host, colon, port = name.rpartition(":")
    if not colon or not port.isdigit():
        raise OperatorError(f"endpoint {name}: missing port in address given for dns lookup")
    return host.strip("[]"), int(port)


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _addresses(host: str, both: bool) -> list[str]:
    """IP addresses of a host by the system's resolver, so that /etc/hosts counts."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise TransientError(f"lookup IP addresses {host!r}: {error.strerror or error}") from None
    v4 = sorted({str(entry[4][0]) for entry in found if entry[0] == socket.AF_INET})
    v6 = sorted({str(entry[4][0]) for entry in found if entry[0] == socket.AF_INET6})
    return v4 + v6 if both else (v4 or v6)


@dataclass(frozen=True, slots=True)
class SrvRecord:
    """A target of a SRV lookup."""

    host: str
    port: int


def lookup_srv(name: str) -> list[SrvRecord]:
    """SRV records of a name, by the servers in /etc/resolv.conf as it is now."""
    try:
        answer = dns.resolver.Resolver().resolve(name, "SRV", search=True)
    except dns.exception.DNSException as error:
        raise TransientError(f"lookup SRV records {name!r}: {error}") from None
    return sorted(
        (SrvRecord(str(record.target).rstrip("."), int(record.port)) for record in answer),
        key=lambda record: (record.host, record.port),
    )


def resolve(
    address: str,
    *,
    addresses: Callable[[str, bool], Sequence[str]] = _addresses,
    srv: Callable[[str], Sequence[SrvRecord]] = lookup_srv,
) -> tuple[str, ...]:
    """``host:port`` of everything that an address stands for; TransientError when the lookup fails."""
    kind, name = split_lookup(address)
    if not kind:
        return (address,)
    if kind in ("dns", "dnsdualstack"):
        host, port = _split_port(name)
        return tuple(_join(ip, port) for ip in addresses(host, kind == "dnsdualstack"))
    records = srv(name)
    if kind == "dnssrvnoa":
        return tuple(_join(record.host, record.port) for record in records)
    return tuple(_join(ip, record.port) for record in records for ip in addresses(record.host, False))


class Resolver:
    """The current endpoints of a list of addresses; a failed lookup keeps the last good answer."""

    def __init__(
        self, addresses: Iterable[str], log: Logger, lookup: Callable[[str], tuple[str, ...]] = resolve
    ) -> None:
        self._addresses = tuple(addresses)
        self._log = log
        self._lookup = lookup
        self._known: dict[str, tuple[str, ...]] = {}
        for address in self._addresses:
            check_address(address)

    def refresh(self) -> None:
        """Look everything up again; called every ``--store.sd-dns-interval``."""
        for address in self._addresses:
            try:
                self._known[address] = self._lookup(address)
            except TransientError as error:
                self._log.warn("dns resolution failed", address=address, err=error)

    def endpoints(self) -> tuple[str, ...]:
        """Resolved addresses, each once, in the order given."""
        return tuple(dict.fromkeys(one for address in self._addresses for one in self._known.get(address, ())))
