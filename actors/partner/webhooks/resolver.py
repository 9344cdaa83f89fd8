"""Which addresses a name has, asked of the system within a deadline."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, Protocol

import trio

from actors.partner.webhooks.addresses import IPAddress

RESOLVE_S: Final = 5.0
# Threads of its own: names whose servers do not answer must not keep password hashing waiting.
_AT_ONCE: Final = 16


class Resolve(Protocol):
    """Returns every address of a name, the one to be tried first in front."""

    async def __call__(self, host: str, port: int) -> Sequence[IPAddress]:
        """
        Raises:
            OSError: there is none.
            trio.TooSlowError: nobody has said so in time.
        """
        ...


class SystemResolver:
    """Asks the system, as every other program on the machine does."""

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(_AT_ONCE)

    async def __call__(self, host: str, port: int) -> Sequence[IPAddress]:
        look_up = partial(
            socket.getaddrinfo, host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
        with trio.fail_after(RESOLVE_S):
            # A look-up cannot be cut short; its thread is left to end by itself.
            found: list[Any] = await trio.to_thread.run_sync(
                look_up, abandon_on_cancel=True, limiter=self._limiter
            )
        return tuple(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found))
