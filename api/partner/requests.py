"""What the routes of accounts, keys and profile take, decoded.

Laws of this file: pure but for reading the body. Types are checked here, what values mean where
they are used. Unknown fields are ignored. No error repeats a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, UnsetType
from quart import Request

from actors.partner.errors import FieldInvalid
from actors.partner.tenants.principal import ENVIRONMENTS, Environment
from api.body import read_object, take_text
from api.errors import BodyNotJson, FieldsMissing

_LONGEST: Final = 4096
_LONGEST_URL: Final = 2048
_URL_TEXT: Final = re.compile(r"[\x21-\x7e]+")
_ONE_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]+)?")
_CURSOR: Final = re.compile(r"[0-9]{1,16}")


class EmailAndPassword(msgspec.Struct, frozen=True, kw_only=True):
    """What a person signs up or logs in with. Its repr shows neither."""

    email: str
    password: str

    def __repr__(self) -> str:
        return "EmailAndPassword()"


class KeyWanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which key is to be made."""

    environment: Environment
    name: str


class ProfileWanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the profile is to be."""

    name: str
    logo_url: str | UnsetType | None


async def read_body(request: Request, *, optional: bool = False) -> Mapping[str, Any]:
    """Return the body, one JSON object that says so; raises as `read_object`.

    A page of another site can send JSON under the name of something simpler without asking first.
    """
    if request.mimetype not in {"", "application/json"}:
        raise BodyNotJson("Send it as Content-Type: application/json")
    return await read_object(request, optional=optional)


def email_and_password(body: Mapping[str, Any]) -> EmailAndPassword:
    """Return an e-mail address and a password.

    Raises:
        FieldsMissing, FieldInvalid.
    """
    email, password = required(body, "email", "password")
    return EmailAndPassword(email=email, password=password)


def refresh_token(body: Mapping[str, Any]) -> str:
    """Return a refresh token; raises as `email_and_password`."""
    (token,) = required(body, "refresh_token")
    return token


def key_wanted(body: Mapping[str, Any]) -> KeyWanted:
    """Return which key is to be made; raises as `email_and_password`."""
    (name,) = required(body, "environment")
    label = take_text(body, "name", longest=_LONGEST) or ""
    return KeyWanted(environment=environment_of(name), name=label)


def profile_wanted(body: Mapping[str, Any]) -> ProfileWanted:
    """Return what the profile is to be; a logo that is not mentioned stays, null removes it."""
    (name,) = required(body, "name")
    logo_url: str | UnsetType | None = UNSET
    if "logo_url" in body:
        logo_url = take_text(body, "logo_url", longest=_LONGEST_URL)
        if logo_url is not None:
            check_logo_url(logo_url)
    return ProfileWanted(name=name, logo_url=logo_url)


def check_logo_url(url: str) -> None:
    """Refuse what a page of ours should not load a picture from.

    Its origin becomes a part of the page's policy as it stands, so it is one plain host.
    """
    problem = "must be an https URL without user, as https://example.com/logo.png"
    try:
        parts = urlsplit(url)
        is_good = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise FieldInvalid("logo_url", problem) from None
    is_plain = _ONE_HOST.fullmatch(parts.netloc) is not None
    if not is_good or not is_plain or "\\" in url or _URL_TEXT.fullmatch(url) is None:
        raise FieldInvalid("logo_url", problem)


def environment_of(name: str, *, field: str = "environment") -> Environment:
    """Return the environment of a name; raises FieldInvalid for any other."""
    for environment in ENVIRONMENTS:
        if environment == name:
            return environment
    raise FieldInvalid(field, f"must be {' or '.join(ENVIRONMENTS)}")


def audit_cursor(query: Mapping[str, str]) -> int | None:
    """Return the sequence that a cursor of the audit stands for; None without one."""
    text = query.get("cursor")
    if text is None:
        return None
    if _CURSOR.fullmatch(text) is None:
        raise FieldInvalid("cursor", "does not belong to this list")
    return int(text)


def required(body: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    """Return the texts under `names`.

    Raises:
        FieldsMissing: some are absent or empty.
        FieldInvalid: one is no text.
    """
    texts = [take_text(body, name, longest=_LONGEST) for name in names]
    missing = tuple(name for name, text in zip(names, texts, strict=True) if text is None)
    if missing:
        raise FieldsMissing(missing)
    return tuple(text for text in texts if text is not None)
