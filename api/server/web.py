"""The web server: accepts connections, hands them to Hypercorn, and comes to an end.

Hypercorn's protocol code is used, its accept loop is not: this one bounds the connections, gives
each a transport that can be ended, and so keeps the promise that a stop takes no longer than its
deadline whatever the clients do. HTTP/1.1 only; neither HTTP/2 nor its upgrade is answered.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Final, TypeAlias

import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Event, Updated
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import EventWrapper, WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState
from hypercorn.utils import parse_socket_addr

from api.log import HypercornLog
from api.server.connection import KEEP_ALIVE_S
from api.server.drain import Drain
from api.server.protocol import Protocol
from api.server.transport import SEND_TIMEOUT_S, Transport
from api.server.websocket import WebsocketStream

_HANDSHAKE_S: Final = 10
_MAX_CONNECTIONS: Final = 1000
_MAX_FRAME_BYTES: Final = 512 * 1024
_BEAT_S: Final = 1.0
# A client whose machine has confirmed nothing of what it was sent for this long has gone without a
# word. With the 15 s between two comments of SSE, and two beats, it is noticed within 30 s.
_CLIENT_GONE_S: Final = 12.0
# After the last request has been cut off: the time its error has to reach a client that reads.
_FLUSH_S: Final = 1.0

_Stream: TypeAlias = "trio.SSLStream[Transport] | Transport"
_log = structlog.get_logger("mooring.web")


class _Connection(TCPServer):
    """One connection: `TCPServer` without HTTP/2, and over as soon as its client has gone.

    Hypercorn would wait out the keep-alive of a connection that is closed already. It also starts
    and ends a task with every request to notice when a connection idles; here the beat does.
    """

    _is_over = False
    _idle_since: float | None = None

    def beat(self, transport: Transport, now: float) -> None:
        """Ask the client for a sign of life when it is time, and give it up when none comes."""
        if transport.silent_s(now) > _CLIENT_GONE_S:
            transport.abort()
            return
        if self._idle_since is not None and now - self._idle_since > KEEP_ALIVE_S:
            self._close_soon()
            return
        protocol: Any = getattr(self, "protocol", None)  # none before the first byte
        websocket: WebsocketStream | None = None if protocol is None else protocol.websocket
        if websocket is None:
            return
        if websocket.is_lost(now):
            transport.abort()
        elif websocket.wants_ping(now):
            self._task_group.spawn(websocket.ping)

    def _send_nowait(self, data: bytes) -> int:
        """Send past the lock when it is free; what is encrypted cannot be sent by halves."""
        stream: Any = self.stream
        if self.send_lock.locked() or not isinstance(stream, Transport):
            return 0
        return stream.send_nowait(data)

    async def protocol_send(self, event: Event) -> None:
        if not isinstance(event, Updated):
            await super().protocol_send(event)
        elif not self._is_over:
            self._note_idle(is_idle=event.idle)

    def _note_idle(self, *, is_idle: bool) -> None:
        self._idle_since = trio.current_time() if is_idle else None

    def _close_soon(self) -> None:
        if not self._is_over:
            self._task_group.spawn(self._close_idle)

    async def _close_idle(self) -> None:
        if self._idle_since is not None and not self._is_over:  # a request may have come just now
            self._idle_since = None  # it is closed once
            with trio.CancelScope(shield=True):
                await self._initiate_server_close()

    async def _end_with_the_server(self) -> None:
        with self._watch:
            await self.context.terminated.wait()
            await self._close_idle()

    async def run(self) -> None:
        try:
            stream: Any = self.stream  # annotated narrower than what it may be
            transport: Transport = getattr(stream, "transport_stream", stream)
            address = parse_socket_addr(transport.socket.family, transport.socket.getpeername())
            here = parse_socket_addr(transport.socket.family, transport.socket.getsockname())
            async with TaskGroup() as task_group:
                self._task_group = task_group
                self.protocol = Protocol(  # type: ignore[assignment]
                    self.app,
                    self.config,
                    self.context,
                    task_group,
                    ConnectionState({}),
                    isinstance(self.stream, trio.SSLStream),
                    address,
                    here,
                    self.protocol_send,
                )
                self.protocol.send_nowait = self._send_nowait  # type: ignore[attr-defined]
                self._watch = trio.CancelScope()
                task_group.spawn(self._end_with_the_server)
                self._note_idle(is_idle=True)
                await self._read_data()
                self._is_over = True
                self._watch.cancel()
        except OSError:
            pass  # the client has gone
        finally:
            await self._close()


class _OnlyThis(EventWrapper):
    """What a connection that comes during the drain takes for the server's end: it is answered
    once and then closed, where one from before that idles is closed at once."""

    def is_set(self) -> bool:
        return True


class Web:
    """Serves one ASGI app on given sockets until the drain begins, and then until it is over.

    Args:
        drain_s: how long running requests may go on once the drain has begun.
        send_timeout_s: after a client has taken nothing for this long, it is cut.
        until_idle: returns when nothing is left running that has no connection (any more).
    """

    def __init__(
        self,
        app: ASGIFramework,
        drain: Drain,
        *,
        drain_s: float,
        tls: ssl.SSLContext | None = None,
        send_timeout_s: float = SEND_TIMEOUT_S,
        max_connections: int = _MAX_CONNECTIONS,
        max_frame_bytes: int = _MAX_FRAME_BYTES,
        until_idle: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint,
    ) -> None:
        self._app = ASGIWrapper(app)
        self._drain = drain
        self._drain_s = drain_s
        self._until_idle = until_idle
        self._tls = tls
        self._send_timeout_s = send_timeout_s
        self._max_connections = max_connections
        self._config = _hypercorn_config(max_frame_bytes)
        self._context = WorkerContext(None)
        self._late_context = WorkerContext(None)
        self._late_context.terminated = _OnlyThis()
        self._open: dict[Transport, _Connection | None] = {}
        self._greeting: set[Transport] = set()  # those of _open that have not shaken hands yet
        self._closed_one = trio.Event()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    async def run(
        self,
        sockets: Sequence[socket.socket],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve on `sockets` until the drain is over.

        While it lasts whoever connects is answered, that there is no new work to be had. Returns
        once every connection that was there when it began has ended: by itself, with an error when
        the deadline has passed, or by force a second after that.
        """
        listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(one)) for one in sockets]
        async with trio.open_nursery() as connections:
            connections.start_soon(self._keep_beating)
            try:
                async with trio.open_nursery() as accepting:
                    for listener in listeners:
                        accepting.start_soon(self._accept_from, listener, connections)
                    task_status.started()
                    await self._drain.wait_begun()
                    await self._context.terminated.set()
                    for transport in self._greeting:
                        transport.abort()  # it has asked for nothing yet
                    await self._see_work_out()
                    accepting.cancel_scope.cancel()
                with trio.move_on_after(_FLUSH_S):
                    await self._wait_gone(self._open)
            finally:
                # Hypercorn shields its sends: cancelling alone would not end them.
                for transport in tuple(self._open):
                    transport.abort()
            connections.cancel_scope.cancel()

    async def _accept_from(self, listener: trio.SocketListener, connections: trio.Nursery) -> None:
        await trio.serve_listeners(self._serve_one, [listener], handler_nursery=connections)

    async def _see_work_out(self) -> None:
        """Let those who are there finish; whoever comes now cannot make it last longer."""
        with trio.move_on_at(self._drain.deadline(self._drain_s)):
            await self._wait_gone(tuple(self._open))
            await self._until_idle()
        self._drain.cut()

    async def _wait_gone(self, transports: Collection[Transport]) -> None:
        while not self._open.keys().isdisjoint(tuple(transports)):
            self._closed_one = trio.Event()
            await self._closed_one.wait()

    async def _serve_one(self, stream: trio.SocketStream) -> None:
        transport = Transport(stream, send_timeout_s=self._send_timeout_s)
        if len(self._open) >= self._max_connections:
            _log.warning("connection_refused", open=len(self._open))
            transport.abort()
            return
        self._open[transport] = None
        try:
            await self._speak_http(transport)
        except Exception:
            # A fault in one connection must not end the others.
            _log.exception("connection_failed")
        finally:
            transport.abort()
            del self._open[transport]
            self._closed_one.set()

    async def _speak_http(self, transport: Transport) -> None:
        stream: _Stream = transport
        if self._tls is not None:
            stream = trio.SSLStream(transport, self._tls, server_side=True, https_compatible=True)
            if not await self._shake_hands(stream):
                return
        connection = _Connection(
            self._app,
            self._config,
            self._late_context if self._drain.phase == "draining" else self._context,
            ConnectionState({}),
            stream,  # type: ignore[arg-type]  # annotated narrower than what it does with it
        )
        self._open[transport] = connection
        await connection.run()

    async def _keep_beating(self) -> None:
        while True:
            await trio.sleep(_BEAT_S)
            now = trio.current_time()
            for transport, connection in tuple(self._open.items()):
                if connection is not None:
                    connection.beat(transport, now)

    async def _shake_hands(self, stream: trio.SSLStream[Transport]) -> bool:
        transport = stream.transport_stream
        self._greeting.add(transport)
        try:
            with trio.fail_after(_HANDSHAKE_S):
                await stream.do_handshake()
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            return False
        finally:
            self._greeting.discard(transport)
        return True


def load_tls(cert: str, key: str) -> ssl.SSLContext:
    """Return a server's TLS context.

    Raises:
        OSError: a file cannot be read (`ssl.SSLError` is one, for what is no certificate or key).
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    # An encrypted key would otherwise ask for its password on the terminal.
    context.load_cert_chain(cert, key, password=lambda: b"")
    return context


def _hypercorn_config(max_frame_bytes: int) -> Config:
    config = Config()
    config.websocket_max_message_size = max_frame_bytes
    config.logger_class = HypercornLog
    config.include_server_header = False
    return config
