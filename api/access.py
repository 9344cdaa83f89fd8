"""One log line for each request, and the id that names it in the log and in the answer.

Laws of this file: the line has method, path, status and time, never the query, a header or a body.
Of a path that holds a secret, a visitor's link, the secret is left out.
It is written once, however the request ends.
"""

from __future__ import annotations

import ipaddress
from collections.abc import MutableMapping, Sequence
from typing import Any, Final, cast

import msgspec
import structlog
import trio
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGISendCallable,
    ASGISendEvent,
    Scope,
    WWWScope,
)

from api.errors import answer_to
from api.server.request_counts import WEBSOCKET, RequestCounts
from api.settings import Network
from engine.clock import Clock

# What other servers log for a client that went before its answer.
CLIENT_LEFT: Final = 499
_LONGEST_PATH: Final = 256
_VISITOR_PATHS: Final = "/s/"
_REQUEST_ID: Final = "mooring.request_id"
_FAILURE: Final = "mooring.failure"
_SESSION_ID: Final = "mooring.session_id"
_LONGEST_ID: Final = 128
_log = structlog.get_logger("mooring.access")


class AccessLog:
    """Wraps an ASGI app: a request id for each request, a line for each end.

    Args:
        trusted_proxies: whose word in `X-Forwarded-For` is taken for who the client is.
        counts: where each request is counted.
    """

    def __init__(
        self,
        app: ASGIFramework,
        clock: Clock,
        trusted_proxies: Sequence[Network] = (),
        counts: RequestCounts | None = None,
    ) -> None:
        self._app = app
        self._counts = counts or RequestCounts()
        self._clock = clock
        self._trusted = trusted_proxies

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request = _Request(scope, send, request_id=f"{self._clock.random_bits(80):020x}")
        state(scope)[_REQUEST_ID] = request.id
        self._counts.begun()
        try:
            with structlog.contextvars.bound_contextvars(request_id=request.id):
                await request.answer_with(self._app, receive)
        finally:
            self._counts.ended(request.method, request.status, request.seconds)
            request.log(client=client_of(scope, self._trusted))


def state(scope: WWWScope) -> MutableMapping[str, Any]:
    """Return the scope as the mapping that it is, for keys of our own."""
    return cast("MutableMapping[str, Any]", scope)


def request_id(scope: WWWScope) -> str:
    """Return the id of the request; empty outside an `AccessLog`."""
    return str(state(scope).get(_REQUEST_ID, ""))


def note_session(scope: WWWScope, session_id: str) -> None:
    """Put the session that a request is about into its line, and into what it logs from now on."""
    session_id = session_id[:_LONGEST_ID]
    state(scope)[_SESSION_ID] = session_id
    structlog.contextvars.bind_contextvars(session_id=session_id)


def note_failure(scope: WWWScope, error: BaseException) -> None:
    """Put an unexpected error into the request's line."""
    state(scope)[_FAILURE] = error


def client_of(scope: WWWScope, trusted: Sequence[Network]) -> str:
    """Return who calls: the peer, or the last one before the trusted proxies."""
    client = scope.get("client")
    here = client[0] if client else ""
    chain = [
        part.strip()
        for name, value in scope["headers"]
        if name.lower() == b"x-forwarded-for"
        for part in value.decode("latin1").split(",")
    ]
    while chain and _is_trusted(here, trusted):
        before = chain.pop()
        if _parse_ip(before) is None:
            break  # made up by somebody; the proxy is the last one known
        here = before
    return here


def _is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    ip = _parse_ip(address)
    return ip is not None and any(ip in network for network in trusted)


def _parse_ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _shown(path: str) -> str:
    """Return a path as it may be written down: `/s/<token>/…` without the token."""
    if path.startswith(_VISITOR_PATHS):
        rest = path.removeprefix(_VISITOR_PATHS).partition("/")[2]
        path = f"{_VISITOR_PATHS}…" + (f"/{rest}" if rest else "")
    return path[:_LONGEST_PATH]


class _Request:
    """One request on its way to its line."""

    def __init__(self, scope: WWWScope, send: ASGISendCallable, *, request_id: str) -> None:
        self.id = request_id
        self._scope = scope
        self._send = send
        self._status: int | None = None
        self._began = trio.current_time()

    @property
    def method(self) -> str:
        return str(self._scope.get("method", WEBSOCKET))

    @property
    def status(self) -> int:
        return CLIENT_LEFT if self._status is None else self._status

    @property
    def seconds(self) -> float:
        return trio.current_time() - self._began

    async def answer_with(self, app: ASGIFramework, receive: ASGIReceiveCallable) -> None:
        try:
            await app(self._scope, receive, self._send_noting_status)
        except Exception as error:
            # Quart's own handlers did not get it; without an answer the client would hang.
            note_failure(self._scope, error)
            if self._status is None and self._scope["type"] == "http":
                await self._send_plain_failure(error)

    def log(self, *, client: str) -> None:
        failure = state(self._scope).get(_FAILURE)
        line = {
            "method": self.method,
            "path": _shown(self._scope["path"]),
            "status": self.status,
            "ms": round(self.seconds * 1000, 1),
            "client": client,
            "request_id": self.id,
        }
        if session := state(self._scope).get(_SESSION_ID):
            line["session_id"] = session
        if failure is None:
            _log.info("request", **line)
        else:
            _log.error("request", exc_info=failure, **line)

    async def _send_noting_status(self, event: ASGISendEvent) -> None:
        # The other kinds of event carry no status.
        if event["type"] in {"http.response.start", "websocket.http.response.start"}:
            start = cast("dict[str, Any]", event)
            self._status = start["status"]
            start["headers"] = [*start["headers"], (b"x-request-id", self.id.encode())]
        elif event["type"] == "websocket.accept":
            self._status = 101
        await self._send(event)

    async def _send_plain_failure(self, error: Exception) -> None:
        answer = answer_to(error, request_id=self.id, path=self._scope["path"])
        headers = [(b"content-type", b"application/json")]
        start: Any = {"type": "http.response.start", "status": answer.status, "headers": headers}
        body: Any = {"type": "http.response.body", "body": msgspec.json.encode(answer.body)}
        await self._send_noting_status(start)
        await self._send_noting_status(body)
