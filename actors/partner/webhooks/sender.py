"""Sending one message to one URL, whoever chose it.

Guarantees: a name is resolved once, every address it has is checked, and the connection goes to one
of those very addresses, with the name in the TLS handshake, the certificate and `Host`; so a name
that changes between check and connect (DNS rebinding) changes nothing. No redirect is followed, no
proxy of the environment used, no connection shared or kept. It ends within `SEND_S`, and of an
answer no more is read than is shown.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import httpx
import msgspec
import trio

from actors.partner.webhooks.addresses import IPAddress, is_public
from actors.partner.webhooks.delivery import GONE, Outcome
from actors.partner.webhooks.resolver import Resolve, SystemResolver
from actors.partner.webhooks.url import host_of, literal_address, parse_url

SEND_S: Final = 15.0
MAX_EXCERPT_CHARS: Final = 500

_CONNECT_S: Final = 5.0
# A taken message whose answer's body does not come is taken all the same.
_BODY_S: Final = 2.0
_READ_BYTES: Final = 4 * MAX_EXCERPT_CHARS
_MAX_ERROR_CHARS: Final = 200
_ADDRESSES_TRIED: Final = 3
_PORTS: Final = {"https": 443, "http": 80}
_INSIDE: Final = "the host leads to a private, loopback or link-local address"


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message, signed and ready."""

    url: str
    headers: Mapping[str, str]
    body: str


class Send(Protocol):
    """Sends a message, and tells what came of it."""

    async def __call__(self, outgoing: Outgoing) -> Outcome:
        """Return the outcome, good or bad; nothing that a receiver does is raised."""
        ...


class _NotSent(Exception):
    """It was not sent, and why."""


class Sender:
    """Sends over the network; implements `Send`. To be closed after use.

    Args:
        allow_private: addresses inside, and plain http, are as good as any.
        tls: whose certificates are believed; default: those that everybody believes.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._resolve = resolve or SystemResolver()
        self._http = httpx.AsyncClient(
            verify=tls or httpx.create_ssl_context(),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(SEND_S, connect=_CONNECT_S),
            # A kept connection is the address's, and two names may have the same one.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            headers={"user-agent": "Mooring-Webhooks/1", "accept-encoding": "identity"},
        )

    async def aclose(self) -> None:
        """Close what is open."""
        await self._http.aclose()

    async def __call__(self, outgoing: Outgoing) -> Outcome:
        begun = trio.current_time()
        outcome = Outcome(error="no answer in time")
        with trio.move_on_after(SEND_S):
            try:
                outcome = await self._send(outgoing)
            except _NotSent as error:
                outcome = Outcome(error=str(error))
            except httpx.TimeoutException:
                pass
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                outcome = Outcome(error=_words(error))
        duration_ms = round((trio.current_time() - begun) * 1000)
        return msgspec.structs.replace(outcome, duration_ms=duration_ms)

    async def _send(self, outgoing: Outgoing) -> Outcome:
        url = parse_url(outgoing.url)
        if url is None or url.scheme not in _PORTS:
            raise _NotSent("the URL cannot be sent to")
        if url.scheme == "http" and not self._allow_private:
            raise _NotSent("the URL is not https")
        last: httpx.TransportError | None = None
        for address in (await self._checked(url))[:_ADDRESSES_TRIED]:
            try:
                return await self._post(outgoing, url, address)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                last = error  # nothing was sent
        raise _NotSent("no connection" if last is None else f"no connection: {_words(last)}")

    async def _checked(self, url: httpx.URL) -> Sequence[IPAddress]:
        """Return the addresses of a URL's host; every one of them may be sent to."""
        host = host_of(url)
        literal = literal_address(host)
        addresses = (literal,) if literal is not None else await self._look_up(url, host)
        if not self._allow_private and not all(map(is_public, addresses)):
            raise _NotSent(_INSIDE)
        return addresses

    async def _look_up(self, url: httpx.URL, host: str) -> Sequence[IPAddress]:
        try:
            addresses = await self._resolve(host, url.port or _PORTS[url.scheme])
        except trio.TooSlowError:
            raise _NotSent("the host's name was not resolved in time") from None
        except (OSError, UnicodeError):
            raise _NotSent("the host's name has no address") from None
        if not addresses:
            raise _NotSent("the host's name has no address")
        return addresses

    async def _post(self, outgoing: Outgoing, url: httpx.URL, address: IPAddress) -> Outcome:
        headers = dict(outgoing.headers) | {
            "host": url.netloc.decode("ascii"),
            "content-type": "application/json",
        }
        host = host_of(url)
        extensions = {} if literal_address(host) is not None else {"sni_hostname": host}
        async with self._http.stream(
            "POST",
            url.copy_with(host=str(address)),
            headers=headers,
            content=outgoing.body.encode(),
            extensions=extensions,
        ) as response:
            return _outcome(response, await _excerpt(response))


async def _excerpt(response: httpx.Response) -> str:
    """Return the beginning of an answer's body, as text; what does not come is left out."""
    read = bytearray()
    try:
        with trio.move_on_after(_BODY_S) as scope:
            async for chunk in response.aiter_raw():
                read += chunk[: _READ_BYTES - len(read)]
                if len(read) >= _READ_BYTES:
                    # Not a `break`: httpx leaves its inner generators open then.
                    scope.cancel()
    except httpx.HTTPError:
        pass  # it has answered; how it ends is no matter
    return bytes(read).decode("utf-8", "replace")[:MAX_EXCERPT_CHARS]


def _outcome(response: httpx.Response, excerpt: str) -> Outcome:
    status = response.status_code
    error = None
    if response.is_redirect:
        error = f"answered {status}; redirects are not followed"
    elif not response.is_success:
        error = f"answered {status}"
    return Outcome(
        status=status,
        response=excerpt,
        error=error,
        retry_after_s=_retry_after_s(response),
        final=status == GONE,
    )


def _retry_after_s(response: httpx.Response) -> int:
    text = response.headers.get("retry-after", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0


def _words(error: BaseException) -> str:
    """Return what went wrong, for people; the innermost cause says it best."""
    while (cause := _cause(error)) is not None:
        error = cause
    match error:
        case ssl.SSLCertVerificationError(verify_message=str(problem)) if problem:
            text = f"the certificate is not good: {problem}"
        case ssl.SSLError():
            text = str(error)  # its number is not the system's
        case OSError(errno=int(number)):
            text = os.strerror(number)
        case _:
            text = str(error)
    return (text or type(error).__name__)[:_MAX_ERROR_CHARS]


def _cause(error: BaseException) -> BaseException | None:
    # Trio tells of a refused connection in a group, since a name may have several addresses.
    if isinstance(error, BaseExceptionGroup):
        first: BaseException = error.exceptions[0]
        return first
    return error.__cause__ or error.__context__
