"""Addresses to listen on and origins of pages, parsed once and compared as values.

Laws of this file: no name is looked up. A host is an IP literal or `localhost`; whatever is not
certainly loopback counts as open to others.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final, TypeAlias

import msgspec

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_HOST_PORT: Final = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9_.-]{1,253})(?::([0-9]{1,5}))?", re.I)
_ORIGIN: Final = re.compile(r"(https?)://([^/?#@\s]+)", re.I)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Address(msgspec.Struct, frozen=True):
    """Where a server listens: an IP address and a port; port 0 means one that is free."""

    ip: IPAddress
    port: int

    @classmethod
    def at(cls, port: int) -> Address:
        """Return `port` on 127.0.0.1."""
        return cls(ipaddress.IPv4Address("127.0.0.1"), port)

    @property
    def is_loopback(self) -> bool:
        return self.ip.is_loopback

    @property
    def is_wildcard(self) -> bool:
        return self.ip.is_unspecified

    def __str__(self) -> str:
        host = f"[{self.ip}]" if self.ip.version == 6 else str(self.ip)
        return f"{host}:{self.port}"


class Origin(msgspec.Struct, frozen=True):
    """What a browser calls an origin: scheme, host and port, in lower case."""

    scheme: str
    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        return is_loopback_name(self.host)

    def __str__(self) -> str:
        """As a browser writes it: without the scheme's own port."""
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"


def parse_address(text: str) -> Address | None:
    """Read `127.0.0.1:5010`, `[::1]:5010` or `localhost:5010`; None for anything else."""
    host, port = split_host(text) or ("", None)
    ip = _parse_ip("127.0.0.1" if host == "localhost" else host)
    if ip is None or port is None or port > 65_535:
        return None
    return Address(ip, port)


def parse_origin(text: str) -> Origin | None:
    """Read `https://app.example.com` or `http://[::1]:8000`; None for anything else."""
    match = _ORIGIN.fullmatch(text)
    split = None if match is None else split_host(match[2])
    if match is None or split is None:
        return None
    return origin_of(match[1].lower(), *split)


def origin_of(scheme: str, host: str, port: int | None) -> Origin | None:
    """Put an origin together; the scheme's own port where none is given."""
    port = _DEFAULT_PORTS.get(scheme) if port is None else port
    if port is None or not 0 < port <= 65_535:
        return None
    return Origin(scheme, host, port)


def split_host(text: str) -> tuple[str, int | None] | None:
    """Split a `Host` header into host, in lower case, and port; None when it is malformed."""
    match = _HOST_PORT.fullmatch(text)
    if match is None:
        return None
    return match[1].lower(), None if match[2] is None else int(match[2])


def is_loopback_name(host: str) -> bool:
    """Tell whether a host (in lower case) can only mean this machine.

    `localhost` and loopback literals in their canonical form do. `localhost.`, `127.1`,
    `0.0.0.0` and names that resolve to loopback do not: whoever controls a name's DNS could turn
    a browser against this server.
    """
    if host == "localhost":
        return True
    ip = _parse_ip(host)
    return ip is not None and ip.is_loopback


def _parse_ip(host: str) -> IPAddress | None:
    """Read an IPv4 literal or an IPv6 one in brackets."""
    try:
        if not host.startswith("["):
            return ipaddress.IPv4Address(host)
        ip = ipaddress.IPv6Address(host[1:-1])
    except ValueError:
        return None
    # An IPv4 address in IPv6's clothes: which of the two it counts as differs between systems.
    return None if ip.ipv4_mapped else ip
