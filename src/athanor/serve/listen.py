"""Listening addresses: ``host:port`` as Go reads it, opened as a TCP socket."""

from __future__ import annotations

import socket

from athanor.model.errors import OperatorError

BACKLOG = 1024


def split_address(text: str) -> tuple[str, int]:
    """(host, port); an empty host means every interface. Raises OperatorError with Go's texts."""
    host, colon, port = text.rpartition(":")
    if not colon or (text.startswith("[") and "]" not in host):
        raise OperatorError(f"listen tcp: address {text}: missing port in address")
    if host.startswith("["):
        host = host[1:-1]
    elif ":" in host:
        raise OperatorError(f"listen tcp: address {text}: too many colons in address")
    if not port.isdecimal():
        raise OperatorError(f"listen tcp: lookup tcp/{port}: unknown port")
    if int(port) > 65_535:
        raise OperatorError(f"listen tcp: address {port}: invalid port")
    return host, int(port)


def listen_tcp(text: str) -> socket.socket:
    """A socket that listens; an empty host or ``::`` takes both families where the machine has them."""
    host, port = split_address(text)
    try:
        if host in ("", "::"):
            if socket.has_dualstack_ipv6():
                return socket.create_server(("::", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)
            return socket.create_server(("0.0.0.0", port), backlog=BACKLOG)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server((str(address[0]), int(address[1])), family=family, backlog=BACKLOG)
    except socket.gaierror as err:
        raise OperatorError(f"listen tcp: lookup {host}: no such host") from err
    except OSError as err:
        raise OperatorError(f"listen tcp {text}: bind: {bind_reason(err)}") from None


def bind_reason(error: OSError) -> str:
    """The system's reason in Go's lower case."""
    import errno
    import os

    if error.errno is None:
        return str(error).lower()
    return "address already in use" if error.errno == errno.EADDRINUSE else os.strerror(error.errno).lower()


def shown_address(sock: socket.socket) -> str:
    """``host:port`` of a listening socket."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
