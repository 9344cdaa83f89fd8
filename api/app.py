"""The app: every request passes the guard, then its route, and leaves with the contract's shape."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from quart import Request, Response, Websocket, has_request_context
from quart import request as current_request
from quart import websocket as current_websocket
from quart_trio import QuartTrio
from werkzeug.wrappers import Response as WerkzeugResponse

from api.access import note_failure, note_session, request_id
from api.any_but import AnyBut
from api.body import BODY_DEADLINE_S, BoundedRequest
from api.errors import ServerStopping, answer_to, is_unexpected
from api.guard import Admitted, Facts, Policy, Preflight, Refused, decide
from api.reply import reply_error
from api.server.connection import HTTPConnection, Socket, WebsocketConnection
from api.server.drain import Drain
from engine.clock import Clock, SystemClock

_PREFLIGHT_AGE_S: Final = 600
_ALLOWED_METHODS: Final = "GET, POST, PUT, PATCH, DELETE"
_ALLOWED_HEADERS: Final = "Authorization, Content-Type, Idempotency-Key, If-Match, Last-Event-ID"
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
SHOWN_HEADERS: Final = (
    "ETag, Idempotent-Replayed, Location, Retry-After, WWW-Authenticate, X-Request-Id, "
    "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
)


class App(QuartTrio):
    """A Quart app behind the guard.

    The guard stands before everything of Quart's own, unknown routes and websockets included, so
    that no route can be added that it does not cover. Once the drain has begun whatever is not only
    read is answered with `ServerStopping`, and so is what still runs when its deadline passes.
    """

    asgi_http_class = HTTPConnection
    asgi_websocket_class = WebsocketConnection
    request_class = BoundedRequest
    websocket_class = Socket

    def __init__(
        self, *, policy: Policy, drain: Drain, max_body_bytes: int, clock: Clock | None = None
    ) -> None:
        super().__init__("api", static_folder=None, template_folder=None)
        self._policy = policy
        self._clock = clock or SystemClock()
        self._drain = drain
        self.config["MAX_CONTENT_LENGTH"] = max_body_bytes
        self.config["BODY_TIMEOUT"] = BODY_DEADLINE_S
        # It would cut a long answer short without a word; the transport bounds each part of it.
        self.config["RESPONSE_TIMEOUT"] = None
        self.url_map.converters["any_but"] = AnyBut
        self.url_map.merge_slashes = False  # "//sessions" is unknown; a redirect helps nobody
        self.register_error_handler(Exception, _answer_error)
        self.before_request(_name_session)
        self.before_websocket(_name_session)

    async def handle_request(self, request: Request) -> Response | WerkzeugResponse:
        verdict = decide(facts_of(request, self._clock), self._policy)
        match verdict:
            case Refused(error=error):
                response: Response | WerkzeugResponse = _error_response(request, error)
            case Preflight():
                response = Response(status=204)
                _allow_calls(response)
            case Admitted() if self._drain.phase == "draining" and request.method not in _READING:
                response = _error_response(request, ServerStopping("Call again in a moment"))
            case Admitted():
                response = await self._answer(request)
        if self._drain.phase == "draining":
            response.headers["Connection"] = "close"  # so that no client counts on it any more
        _allow_reading(response, verdict)
        return response

    async def handle_websocket(self, websocket: Websocket) -> Response | WerkzeugResponse | None:
        verdict = decide(facts_of(websocket, self._clock), self._policy)
        if isinstance(verdict, Refused):
            return _error_response(websocket, verdict.error)
        return await super().handle_websocket(websocket)

    async def _answer(self, request: Request) -> Response | WerkzeugResponse:
        try:
            return await self._drain.run(partial(super().handle_request, request))
        except ServerStopping as stopping:
            return _error_response(request, stopping)


async def _name_session() -> None:
    """Let the logs name the session that the path does."""
    here = current_request if has_request_context() else current_websocket
    session_id = (here.view_args or {}).get("session_id")
    if session_id is not None:
        note_session(here.scope, session_id)


async def _answer_error(error: Exception) -> Response:
    """Answer for whatever a route raised; Cancelled is none of these and passes through."""
    return _error_response(current_request if has_request_context() else current_websocket, error)


def _error_response(request: Any, error: Exception) -> Response:
    if is_unexpected(error):
        note_failure(request.scope, error)
    answer = answer_to(error, request_id=request_id(request.scope), path=request.path)
    return reply_error(answer)


def facts_of(request: Request | Websocket, clock: Clock) -> Facts:
    """Return what a request says of itself, as the guard takes it."""
    scope: Any = request.scope
    headers = tuple(
        (name.decode("latin1").lower(), value.decode("latin1")) for name, value in scope["headers"]
    )
    # A websocket's handshake is guarded as the GET that it is.
    method = scope.get("method", "GET")
    scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
    return Facts(method=method, path=request.path, scheme=scheme, headers=headers, now=clock.now())


def _allow_reading(
    response: Response | WerkzeugResponse, verdict: Admitted | Preflight | Refused
) -> None:
    """Let the script of an allowed page read the answer."""
    if verdict.cors_origin is not None:
        response.headers["Access-Control-Allow-Origin"] = str(verdict.cors_origin)
        response.headers["Access-Control-Expose-Headers"] = SHOWN_HEADERS
    response.headers.add("Vary", "Origin")


def _allow_calls(response: Response) -> None:
    response.headers["Access-Control-Allow-Methods"] = _ALLOWED_METHODS
    response.headers["Access-Control-Allow-Headers"] = _ALLOWED_HEADERS
    response.headers["Access-Control-Max-Age"] = str(_PREFLIGHT_AGE_S)
    # A public page that calls a server on loopback asks for this as well.
    response.headers["Access-Control-Allow-Private-Network"] = "true"
