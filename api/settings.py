"""What can be set about the server, and which combinations may start.

Laws of this file: pure; nothing is read and nothing is resolved. A setting stands here only when
something heeds it. `docs/settings.md` describes each, and a test holds it to that.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

from actors.assistant.responders import ResponderUnusable, check_responder
from actors.assistant.settings import AssistantSettings
from actors.browser.settings import BrowserSettings
from actors.partner.settings import PartnerSettings
from api.address import Address, Origin, parse_address, parse_origin
from engine.errors import MooringError
from engine.ownership import LEASE_S
from engine.seal import KeyInvalid, MasterKey
from engine.store import PostgresUrl

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_BIND: Final = "127.0.0.1:5010"

_URL: Final = re.compile(r"(https?://[^/?#@\s]+)(/[^?#@\s]*)?", re.I)
# What a client can write after "Bearer ": visible ASCII, no space and no comma.
_TOKEN: Final = re.compile(r"[\x21-\x2b\x2d-\x7e]+")


class StartError(MooringError):
    """The server does not start; the message is one line for the person who started it."""

    exit_code = 1


class SettingError(StartError):
    """A setting is unknown, ill-typed, out of range, or does not go with another one."""

    exit_code = 2

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name
        self.problem = problem


class StreamSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`MOORING_STREAMS__*`: how much one client may take of the live streams.

    Attributes:
        per_session: subscribers of one session.
        per_server: subscribers of all sessions together.
        max_frame_bytes: the largest message that a websocket client may send.
        messages_per_s: how many messages a websocket client may send a second, on average.
    """

    per_session: Annotated[int, Meta(ge=1, le=100_000)] = 2_000
    per_server: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    max_frame_bytes: Annotated[int, Meta(ge=1024, le=16 * 1024 * 1024)] = 512 * 1024
    messages_per_s: Annotated[float, Meta(gt=0, le=10_000)] = 20.0


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set. Its repr shows no token."""

    bind: tuple[str, ...] = (DEFAULT_BIND,)
    data_dir: Annotated[str, Meta(min_length=1)] = "./.mooring"
    key: tuple[str, ...] = ()
    store: str | None = None  # with a password in it: no message repeats it
    lease_s: Annotated[float, Meta(ge=2, le=300)] = LEASE_S
    public_url: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    operator_tokens: tuple[str, ...] = ()
    # Of the 15 s within which a stopping server has gone, what is left is for ending the browsers.
    drain_s: Annotated[float, Meta(ge=0, le=3600)] = 8.0
    retention_days: Annotated[int, Meta(ge=1, le=36_500)] | None = None
    max_body_bytes: Annotated[int, Meta(ge=1024, le=64 * 1024 * 1024)] = 1024 * 1024
    browser: BrowserSettings = BrowserSettings()
    assistant: AssistantSettings = AssistantSettings()
    partner: PartnerSettings = PartnerSettings()
    streams: StreamSettings = StreamSettings()

    def __repr__(self) -> str:
        return f"Settings(bind={self.bind!r}, operator_tokens=<{len(self.operator_tokens)}>)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("bind", self.bind), ("operator_tokens", f"<{len(self.operator_tokens)}>")]


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """The settings about who may come in and where, parsed and found to go together.

    Attributes:
        public_url: the prefix of handed-out URLs, without a closing slash; None: from the first
            bind, once its port is known.
    """

    addresses: tuple[Address, ...]
    public_url: str | None
    trusted_proxies: tuple[Network, ...]
    allowed_origins: frozenset[Origin]


def check(settings: Settings) -> Door:
    """Return the parsed door settings.

    Raises:
        SettingError: one cannot be read, or they would open the server to callers it should not
            be open to.
    """
    door = Door(
        addresses=_addresses(settings.bind),
        public_url=_url("MOORING_PUBLIC_URL", settings.public_url),
        trusted_proxies=tuple(_network(text) for text in settings.trusted_proxies),
        allowed_origins=frozenset(_origin(text) for text in settings.allowed_origins),
    )
    _url("MOORING_BROWSER__PORTAL_URL", settings.browser.portal_url)
    _url("MOORING_BROWSER__CAPTCHA_URL", settings.browser.captcha_url)
    _check_assistant(settings.assistant)
    _check_tokens(settings.operator_tokens)
    _check_keys(settings.key)
    _check_store(settings)
    _check_reach(door, has_tokens=bool(settings.operator_tokens))
    if (settings.tls_cert is None) != (settings.tls_key is None):
        missing = "MOORING_TLS_KEY" if settings.tls_key is None else "MOORING_TLS_CERT"
        raise SettingError(missing, "is missing; https needs both a certificate and its key")
    return door


def _check_reach(door: Door, *, has_tokens: bool) -> None:
    if door.addresses[0].is_wildcard and door.public_url is None:
        raise SettingError(
            "MOORING_PUBLIC_URL",
            f"must be set, since {door.addresses[0]} says nothing of how clients reach the server",
        )
    if has_tokens:
        return
    need = "needs MOORING_OPERATOR_TOKENS: without a token whoever reaches it owns every login"
    for address in door.addresses:
        if not address.is_loopback:
            raise SettingError("MOORING_BIND", f"{address} is not loopback, which {need}")
    origin = None if door.public_url is None else public_origin(door.public_url)
    if origin is not None and not origin.is_loopback:
        raise SettingError("MOORING_PUBLIC_URL", f"{origin} is not loopback, which {need}")


def _addresses(texts: tuple[str, ...]) -> tuple[Address, ...]:
    if not texts:
        raise SettingError("MOORING_BIND", "names no address")
    return tuple(dict.fromkeys(_address(text) for text in texts))


def _address(text: str) -> Address:
    address = parse_address(text)
    if address is None:
        shape = "an IP address (or localhost) and a port up to 65535, as 127.0.0.1:5010"
        raise SettingError("MOORING_BIND", f"{text!r} is not {shape} or [::1]:5010")
    return address


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        problem = f"{text!r} is not an address or network, as 10.0.0.2 or 10.0.0.0/24"
        raise SettingError("MOORING_TRUSTED_PROXIES", problem) from None


def _origin(text: str) -> Origin:
    origin = parse_origin(text)
    if origin is None:
        problem = f"{text!r} is not an origin, as https://app.example.com; there is no wildcard"
        raise SettingError("MOORING_ALLOWED_ORIGINS", problem)
    return origin


def _url(name: str, text: str | None) -> str | None:
    if text is None:
        return None
    match = _URL.fullmatch(text)
    if match is None or parse_origin(match[1]) is None:
        raise SettingError(name, "is not an http(s) URL without user, query and fragment")
    return text.rstrip("/")


def public_origin(url: str) -> Origin | None:
    """Return the origin that browsers see under a public URL."""
    match = _URL.fullmatch(url)
    return None if match is None else parse_origin(match[1])


def _check_assistant(settings: AssistantSettings) -> None:
    try:
        check_responder(settings)
    except ResponderUnusable as error:
        name = f"MOORING_ASSISTANT__{error.setting.upper()}"
        raise SettingError(name, error.problem) from error


def _check_tokens(tokens: tuple[str, ...]) -> None:
    for token in tokens:
        if _TOKEN.fullmatch(token) is None:
            problem = "a token holds a character other than visible ASCII"
            raise SettingError("MOORING_OPERATOR_TOKENS", problem)


def _check_store(settings: Settings) -> None:
    if settings.store is None:
        return
    try:
        PostgresUrl(settings.store)
    except ValueError as error:
        shape = "postgresql://user:password@host:5432/database"
        raise SettingError("MOORING_STORE", f"{error}, as {shape}") from None
    if not settings.key:
        need = (
            "must be set with MOORING_STORE, the same on all servers: each reads what others seal"
        )
        raise SettingError("MOORING_KEY", need)


def _check_keys(texts: tuple[str, ...]) -> None:
    for text in texts:
        try:
            MasterKey.parse(text)
        except KeyInvalid:
            problem = "is not base64 of 32 bytes, as `openssl rand -base64 32` prints"
            raise SettingError("MOORING_KEY", problem) from None
