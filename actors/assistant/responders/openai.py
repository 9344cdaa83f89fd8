"""The responder for any server that speaks OpenAI's `/chat/completions`.

Laws of this file: every wait has a deadline. A request is made again only while nothing of its
reply has come; from the first text on, an error ends the reply, whose part the caller has. The key
goes to the server that was set and nowhere else: no redirect is followed, and no error shows it.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import httpx
import msgspec
import trio

from actors.assistant.bounds import MAX_LABEL_CHARS, clean
from actors.assistant.prompt import Prompt
from actors.assistant.responders.chunks import read_through
from actors.assistant.responders.completions import (
    CompletionReader,
    encode_request,
    is_unpaid,
    reason_in,
    without_keys,
)
from actors.assistant.responders.responder import (
    Emit,
    Finish,
    ProviderRefused,
    ProviderTooSlow,
    ProviderUnreachable,
    ReplyCut,
    ReplyGarbled,
    Responder,
    ResponderError,
    ResponderUnusable,
)
from actors.assistant.responders.retry import (
    RETRYABLE_STATUSES,
    retry_after_s,
    wait_before_retry_s,
)
from actors.assistant.responders.sse import EventStream
from actors.assistant.settings import AssistantSettings
from engine.clock import Clock

_MAX_ERROR_BYTES: Final = 64 * 1024
_ERROR_WITHIN_S: Final = 5.0
_KEPT_CONNECTIONS: Final = 20


class ModelServer(msgspec.Struct, frozen=True, kw_only=True):
    """Where replies come from: the base URL, without a closing slash, and the model."""

    url: str
    model: str


def model_server(settings: AssistantSettings) -> ModelServer:
    """Return the model server that is set; asks nobody.

    Raises:
        ResponderUnusable: a setting is missing or makes no sense.
    """
    if settings.openai_url is None:
        raise ResponderUnusable("openai_url", "is missing: the openai responder needs a server")
    if settings.openai_model is None:
        raise ResponderUnusable("openai_model", "is missing: the openai responder needs a model")
    try:
        url = httpx.URL(settings.openai_url)
    except httpx.InvalidURL:
        url = httpx.URL()
    is_plain = not (url.userinfo or url.query or url.fragment)
    if url.scheme not in ("http", "https") or not url.host or not is_plain:
        problem = "is not a plain http(s) URL, as https://api.openai.com/v1"
        raise ResponderUnusable("openai_url", problem)
    return ModelServer(url=settings.openai_url.rstrip("/"), model=settings.openai_model)


@asynccontextmanager
async def open_openai(settings: AssistantSettings, clock: Clock) -> AsyncIterator[Responder]:
    """Open the responder; its connections are closed at the end.

    A proxy that the environment names (`HTTPS_PROXY`, `NO_PROXY`) is used, as httpx does.

    Raises:
        ResponderUnusable: a setting is missing or makes no sense.
    """
    server = model_server(settings)
    # Reading the certificates takes tens of milliseconds.
    tls = await trio.to_thread.run_sync(httpx.create_ssl_context)
    async with httpx.AsyncClient(
        verify=tls,
        timeout=httpx.Timeout(None, connect=settings.openai_connect_timeout_s),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=_KEPT_CONNECTIONS),
    ) as http:
        yield OpenAiResponder(http, server, settings, clock)


class OpenAiResponder:
    """Streams replies from a model server.

    Args:
        http: used for this server only; its connect timeout is set, its others are not.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        server: ModelServer,
        settings: AssistantSettings,
        clock: Clock,
    ) -> None:
        self._http = http
        self._server = server
        self._settings = settings
        self._clock = clock
        self._turns = trio.CapacityLimiter(settings.openai_connections)

    async def respond(self, prompt: Prompt, emit: Emit) -> Finish:
        """Write a reply; see `Responder.respond`. Waits for its turn within its whole time."""
        body = encode_request(self._server.model, prompt)
        timeout_s = self._settings.openai_reply_timeout_s
        with trio.move_on_after(timeout_s):
            async with self._turns:
                return await self._respond(body, emit)
        raise ProviderTooSlow("finish its reply", timeout_s)

    async def _respond(self, body: bytes, emit: Emit) -> Finish:
        retry = 0
        while True:
            attempt = _Attempt(self._settings, emit)
            try:
                return await self._try(body, attempt)
            except ResponderError as error:
                wait_s = wait_before_retry_s(error, retry, self._clock.jitter())
                if wait_s is None or attempt.begun or retry >= self._settings.openai_retries:
                    raise
                if trio.current_time() + wait_s >= trio.current_effective_deadline():
                    raise
            await trio.sleep(wait_s)
            retry += 1

    async def _try(self, body: bytes, attempt: _Attempt) -> Finish:
        url = f"{self._server.url}/chat/completions"
        try:
            with attempt.pace:
                async with self._http.stream(
                    "POST", url, content=body, headers=self._headers()
                ) as response:
                    await self._check(response)
                    return await attempt.read(response)
        except httpx.ConnectTimeout as error:
            limit_s = self._settings.openai_connect_timeout_s
            raise ProviderUnreachable(f"no connection within {limit_s:g} s") from error
        except httpx.HTTPError as error:
            raise ProviderUnreachable(self._cause(error)) from error
        raise attempt.too_slow()

    def _headers(self) -> dict[str, str]:
        headers = {
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",  # so that nothing small unpacks to something large
            "Content-Type": "application/json",
            "User-Agent": "mooring",
        }
        if self._settings.openai_key is not None:
            headers["Authorization"] = f"Bearer {self._settings.openai_key}"
        return headers

    async def _check(self, response: httpx.Response) -> None:
        """Refuse a response that is not a stream of events."""
        kind = response.headers.get("Content-Type", "no type").partition(";")[0].strip().lower()
        encoding = response.headers.get("Content-Encoding", "identity")
        is_stream = kind == "text/event-stream" and encoding == "identity"
        if response.status_code == httpx.codes.OK and is_stream:
            return
        body = await _read_error(response)
        reason = reason_in(body, self._settings.openai_key)
        if response.status_code == httpx.codes.OK:
            what = kind if encoding == "identity" else f"{kind} as {encoding}"
            raise ReplyGarbled(f"it is {clean(what, MAX_LABEL_CHARS)} and not a stream of events")
        raise ProviderRefused(
            response.status_code,
            reason,
            retry_after_s=retry_after_s(response.headers.get("Retry-After"), self._clock.now()),
            retryable=response.status_code in RETRYABLE_STATUSES and not is_unpaid(body),
        )

    def _cause(self, error: httpx.HTTPError) -> str:
        text = without_keys(str(error), self._settings.openai_key)
        return clean(text, MAX_LABEL_CHARS) or type(error).__name__


class _Attempt:
    """One request for a reply, and how it gets on.

    Attributes:
        begun: text has been emitted.
        pace: cancels the request when its next step takes too long; the time that the caller
            spends on a piece of text does not count.
    """

    def __init__(self, settings: AssistantSettings, emit: Emit) -> None:
        self.begun = False
        first_s = settings.openai_first_token_timeout_s
        self.pace = trio.CancelScope(deadline=trio.current_time() + first_s)
        self._settings = settings
        self._emit = emit
        self._stream = EventStream()
        self._completion = CompletionReader(settings.openai_key)

    async def read(self, response: httpx.Response) -> Finish:
        """Read the response to its end, emitting its text."""
        try:
            await read_through(response.aiter_raw(), self._use)
        except httpx.HTTPError as error:
            if not self._completion.is_whole:
                raise ReplyCut("the connection broke") from error
        if not self._completion.is_whole:
            raise ReplyCut("it ended without [DONE]")
        return self._completion.finish()

    def too_slow(self) -> ProviderTooSlow:
        """Return the error for a `pace` that has cancelled."""
        if self.begun:
            return ProviderTooSlow("go on with its reply", self._settings.openai_stall_timeout_s)
        return ProviderTooSlow("begin its reply", self._settings.openai_first_token_timeout_s)

    async def _use(self, chunk: bytes) -> bool:
        for event in self._stream.feed(chunk):
            text = self._completion.feed(event)
            if text:
                self.pace.deadline = math.inf
                self.begun = True
                await self._emit(text)
            if self.begun:
                stall_s = self._settings.openai_stall_timeout_s
                self.pace.deadline = trio.current_time() + stall_s
        if self._completion.done:
            self.pace.deadline = math.inf  # there is nothing more to wait for
        return self._completion.done


async def _read_error(response: httpx.Response) -> bytes:
    body = bytearray()

    async def use(chunk: bytes) -> bool:
        body.extend(chunk[: _MAX_ERROR_BYTES - len(body)])
        return len(body) >= _MAX_ERROR_BYTES

    # Whatever has come of the error is better than nothing.
    with suppress(httpx.HTTPError), trio.move_on_after(_ERROR_WITHIN_S):
        await read_through(response.aiter_raw(), use)
    return bytes(body)
