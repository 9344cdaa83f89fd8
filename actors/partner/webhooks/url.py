"""What the URL of an endpoint may look like.

Laws of this file: pure; nothing is looked up. A name is checked again by its addresses at each
attempt (`sender`), which alone decides where a connection goes; what is refused here is what could
never be delivered, so that whoever types it is told at once.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

import httpx

from actors.partner.errors import FieldInvalid
from actors.partner.webhooks.addresses import IPAddress, is_public

MAX_URL_CHARS: Final = 2_048

_ODD: Final = re.compile(r"[\x00-\x20\x7f-\x9f\\]")
_USER: Final = re.compile(r"[^/]*//[^/?#]*@")
# What resolvers take for an address in one of its old spellings: 127.1, 0x7f.1, 017700000001.
_NUMERIC_LABEL: Final = re.compile(r"0x[0-9a-f]*|[0-9]+", re.I)
_LOCAL: Final = re.compile(r"(.*\.)?(localhost|local|internal|home\.arpa)", re.I)


def check_url(text: str, *, allow_private: bool) -> None:
    """Check what a partner has given as its endpoint's URL.

    Args:
        allow_private: hosts inside, and plain http, may be given too.

    Raises:
        FieldInvalid: and why.
    """
    if len(text) > MAX_URL_CHARS:
        raise _invalid(f"must have at most {MAX_URL_CHARS} characters")
    url = parse_url(text)
    if url is None or _ODD.search(text):
        raise _invalid("must be an absolute URL, as https://example.com/hooks")
    if url.scheme != "https" and not (allow_private and url.scheme == "http"):
        raise _invalid("must be an https URL")
    if _USER.match(text):
        raise _invalid("must not hold a user or password")
    if "#" in text:
        raise _invalid("must not hold a fragment")
    if not allow_private:
        _check_host(host_of(url))


def parse_url(text: str) -> httpx.URL | None:
    """Return the URL; None for what is none with a host of its own."""
    try:
        url = httpx.URL(text)
        host = url.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError, TypeError):
        return None
    port = url.port
    if not host or not url.is_absolute_url or (port is not None and not 0 < port < 65_536):
        return None
    return url


def host_of(url: httpx.URL) -> str:
    """Return the host as it is looked up: ASCII, in lower case, without brackets or last dot."""
    return url.raw_host.decode("ascii").lower().removesuffix(".")


def literal_address(host: str) -> IPAddress | None:
    """Return the address that a host spells; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _check_host(host: str) -> None:
    address = literal_address(host)
    if address is None and ":" in host:
        raise _invalid("must not hold an address with a zone")
    if address is None and _NUMERIC_LABEL.fullmatch(host.rpartition(".")[2]):
        raise _invalid("must name its host, or spell its address in the usual way")
    if address is not None and not is_public(address):
        raise _invalid("must not lead to a private, loopback or link-local address")
    if _LOCAL.fullmatch(host):
        raise _invalid("must not lead to a private, loopback or link-local address")


def _invalid(problem: str) -> FieldInvalid:
    return FieldInvalid("url", problem)
