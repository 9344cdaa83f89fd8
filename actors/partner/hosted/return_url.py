"""Where a visitor is sent back to: which addresses may be asked for, and what is added to them.

Laws of this file: pure. An address is read strictly and by hand, since the visitor's browser and
the partner's parser must not come to another host than this file did: what could be read in two
ways is refused and never mended. So it is ASCII, with a host of plain labels or an IP address in
its one usual form; a name in another script is given as `xn--…`, which is also how it is shown.

https to anywhere, in both environments; http only to this machine (`localhost`, 127.0.0.0/8,
`[::1]`), and only in the sandbox.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from typing import Final
from urllib.parse import quote, unquote_plus

import msgspec

from actors.partner.errors import FieldInvalid
from actors.partner.tenants.principal import Environment

MAX_URL: Final = 2_048
# What we add; an address that has one of them already would end up with two.
RESERVED: Final = frozenset({"session_id", "state", "receipt"})

_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")
_PARTS: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?P<fragment>#.*)?"
)
_AUTHORITY: Final = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?"
)
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_MAX_HOST: Final = 253
_ASIDE: Final = frozenset('\\<>"`{}|^')


class _Address(msgspec.Struct, frozen=True, kw_only=True):
    scheme: str
    host: str
    port: str | None
    query: str


def check_return_url(url: str, environment: Environment) -> None:
    """Refuse an address that a visitor must not be sent to.

    Raises:
        FieldInvalid: says which rule it breaks.
    """
    address = _read(url)
    if address.scheme == "http":
        if environment != "sandbox":
            raise _invalid("must begin with https://")
        if not _is_loopback(address.host):
            raise _invalid("must begin with https://; http is for localhost only")
    taken = sorted(RESERVED & set(_names(address.query)))
    if taken:
        raise _invalid(f"must not have a {taken[0]} in its query; that is added")


def host_of(url: str) -> str:
    """Return the host, and port if there is one, of an address that was accepted."""
    address = _read(url)
    return address.host if address.port is None else f"{address.host}:{address.port}"


def origin_of(url: str) -> str:
    """Return where an address that was accepted belongs to, without its path."""
    return f"{_read(url).scheme}://{host_of(url)}"


def with_outcome(url: str, **fields: str) -> str:
    """Return the address with the fields added to its query; what it has stays as it is."""
    whole, hash_mark, fragment = url.partition("#")
    added = "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())
    joint = "?" if "?" not in whole else "" if whole.endswith(("?", "&")) else "&"
    return f"{whole}{joint}{added}{hash_mark}{fragment}"


def _read(url: str) -> _Address:
    if not url:
        raise _invalid("must not be empty")
    if len(url) > MAX_URL:
        raise _invalid(f"must not be longer than {MAX_URL} characters")
    if _VISIBLE.fullmatch(url) is None:
        raise _invalid("must be visible ASCII; percent-encode the rest, and write the host as xn--")
    if _ASIDE & set(url):
        raise _invalid("must not hold backslashes, quotes, or other characters that URLs have not")
    parts = _PARTS.fullmatch(url)
    if parts is None or parts["scheme"].lower() not in {"https", "http"}:
        raise _invalid("must begin with https://")
    if "@" in parts["authority"]:
        raise _invalid("must not hold a user name or password")
    if "//" in (parts["path"] or ""):
        raise _invalid("must not have // in its path")
    host, port = _host_and_port(parts["authority"])
    return _Address(
        scheme=parts["scheme"].lower(), host=host, port=port, query=(parts["query"] or "?")[1:]
    )


def _host_and_port(authority: str) -> tuple[str, str | None]:
    found = _AUTHORITY.fullmatch(authority)
    if found is None or not _is_host(found["host"].lower()):
        raise _invalid("must name a host: a domain as example.com, or an IP address")
    port = found["port"]
    if port is not None and not 1 <= int(port) <= 65_535:
        raise _invalid("must have a port from 1 to 65535, or none")
    return found["host"].lower(), port


def _is_host(host: str) -> bool:
    if host.startswith("["):
        return _is_canonical_ipv6(host[1:-1])
    labels = host.split(".")
    if labels[-1].isdigit() or labels[-1].startswith("0x"):
        return _is_canonical_ipv4(host)  # browsers take 127.1 and 0x7f000001 for addresses
    return len(host) <= _MAX_HOST and all(map(_is_label, labels))


def _is_label(label: str) -> bool:
    if _LABEL.fullmatch(label) is None:
        return False
    if not label.startswith("xn--"):
        return True
    try:
        name = label[4:].encode("ascii").decode("punycode")
        is_sound = not name.isascii() and name.encode("punycode").decode("ascii") == label[4:]
    except (UnicodeError, ValueError, OverflowError):
        return False
    return is_sound and all(map(_is_of_a_name, name))


def _is_of_a_name(letter: str) -> bool:
    """Tell what a name is written with, marks as in Devanagari among them: nothing that could be
    taken for a dot, a slash or a space."""
    return letter.isalnum() or letter == "-" or unicodedata.category(letter) in {"Mn", "Mc"}


def _is_canonical_ipv4(host: str) -> bool:
    try:
        return str(ipaddress.IPv4Address(host)) == host
    except ValueError:
        return False


def _is_canonical_ipv6(host: str) -> bool:
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return str(address) == host and address.ipv4_mapped is None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _names(query: str) -> list[str]:
    return [unquote_plus(part.partition("=")[0]) for part in re.split("[&;]", query)]


def _invalid(problem: str) -> FieldInvalid:
    return FieldInvalid("return_url", problem)
