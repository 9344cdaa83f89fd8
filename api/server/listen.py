"""Listening sockets: opened before anything else, so that a taken port stops nothing half-way."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterable, Iterator
from typing import Final

import structlog

from api.address import Address
from api.settings import StartError

_BACKLOG: Final = 512
_log = structlog.get_logger("mooring.listen")

_REASONS: Final = {
    errno.EADDRINUSE: "the port is taken; stop what uses it or give another with --bind",
    errno.EACCES: "this user may not listen there; use a port above 1023",
    errno.EADDRNOTAVAIL: "it is no address of this machine",
    errno.EAFNOSUPPORT: "this machine does not speak IPv6",
}


class AddressUnavailable(StartError):
    """An address cannot be listened on; says which and why."""

    def __init__(self, address: Address, cause: OSError) -> None:
        reason = _REASONS.get(cause.errno or 0, cause.strerror)
        super().__init__(f"cannot listen on {address}: {reason}")
        self.address = address


def open_listener(address: Address) -> socket.socket:
    """Return a socket that listens on exactly `address`.

    Raises:
        AddressUnavailable: taken, forbidden or not of this machine.
    """
    family = socket.AF_INET6 if address.ip.version == 6 else socket.AF_INET
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise AddressUnavailable(address, error) from error
    try:
        # A port whose last connections are still closing is free; one with a listener is not.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((str(address.ip), address.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise AddressUnavailable(address, error) from error
    return listener


@contextlib.contextmanager
def open_listeners(
    addresses: Iterable[Address], *, optional: frozenset[Address] = frozenset()
) -> Iterator[tuple[socket.socket, ...]]:
    """Listen on all `addresses`; taken ones of `optional` are passed over, with a warning.

    Raises:
        AddressUnavailable: one that is not optional; none is left open then.
    """
    with contextlib.ExitStack() as stack:
        listeners = []
        for address in addresses:
            try:
                listener = stack.enter_context(open_listener(address))
            except AddressUnavailable as error:
                if address not in optional:
                    raise
                _log.warning("address_passed_over", reason=str(error))
            else:
                listeners.append(listener)
        yield tuple(listeners)


def bound_url(listener: socket.socket, *, scheme: str) -> str:
    """Return the URL of a listening socket, with the port that it really has."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
