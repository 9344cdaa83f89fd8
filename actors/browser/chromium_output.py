"""What Chromium says on its standard error, read as long as it lives so that it never blocks."""

from __future__ import annotations

import re
from typing import Final

import trio

# Loopback only: an address that others could reach is not one that we drive.
_LISTENING: Final = re.compile(
    rb"DevTools listening on (ws://(?:127\.0\.0\.1|\[::1\]|localhost):\d+/\S+)\s"
)
_TAIL_BYTES: Final = 8192


class ChromiumOutput:
    """The end of what was said, and the address that was announced in it."""

    def __init__(self) -> None:
        self._tail = b""
        self._endpoint: str | None = None
        self._announced = trio.Event()
        self._reading = trio.CancelScope(shield=True)

    @property
    def tail(self) -> str:
        """The newest 8 KiB."""
        return self._tail.decode(errors="replace")

    @property
    def endpoint(self) -> str | None:
        """The address that Chromium listens at; None as long as it has announced none."""
        return self._endpoint

    async def wait_announced(self) -> None:
        """Return once there is an endpoint, or once there can be none because all was said."""
        await self._announced.wait()

    async def drain(self, stream: trio.abc.ReceiveStream) -> None:
        """Read to the end or until `stop`; shielded, so that a process being ended can talk on."""
        with self._reading:
            async with stream:
                while chunk := await stream.receive_some():
                    self._take(chunk)
        self._announced.set()

    def stop(self) -> None:
        """Read no further."""
        self._reading.cancel()

    def _take(self, chunk: bytes | bytearray) -> None:
        said = self._tail + chunk
        self._tail = said[-_TAIL_BYTES:]
        if self._endpoint is None and (found := _LISTENING.search(said)):
            self._endpoint = found[1].decode()
            self._announced.set()
