"""Who may call: one pure decision over what a request says of itself.

Laws of this file: nothing is awaited or looked up; what is malformed or said twice is refused;
tokens are compared in constant time.

Without operator tokens the server is open to programs on this machine, and to nobody else. A web
page is kept out by its `Origin` and `Sec-Fetch-Site`, a name that was rebound to loopback by its
`Host`, the world behind a proxy by the headers that proxies add. With tokens a token decides.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, TypeAlias

import msgspec

from api.address import Origin, origin_of, parse_origin, split_host
from api.errors import CallRefused, TokenRequired

# Probes carry no token, and learn nothing there that would need one.
OPEN_PATHS: Final = frozenset({"/health", "/ready"})

_PROXY_HEADERS: Final = frozenset(
    {
        "forwarded",
        "via",
        "x-real-ip",
        "x-client-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "x-original-host",
    }
)
# "none" is a person who typed the address.
_OWN_SITES: Final = frozenset({"same-origin", "none"})


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says of itself. Header names are in lower case, one pair per line sent."""

    method: str
    path: str
    scheme: str
    headers: tuple[tuple[str, str], ...]

    def values(self, name: str) -> tuple[str, ...]:
        return tuple(value for key, value in self.headers if key == name)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Who is let in. Holds digests of the tokens, never the tokens."""

    token_digests: tuple[bytes, ...] = ()
    allowed_origins: frozenset[Origin] = frozenset()


class Admitted(msgspec.Struct, frozen=True):
    """Let in; `cors_origin` is the allowed page to whose script the answer may be shown."""

    cors_origin: Origin | None = None


class Preflight(msgspec.Struct, frozen=True):
    """A browser asks whether a page of this allowed origin may call; it may."""

    cors_origin: Origin


class Refused(msgspec.Struct, frozen=True):
    """Not let in; a page of `cors_origin` may read why."""

    error: CallRefused | TokenRequired
    cors_origin: Origin | None = None


Verdict: TypeAlias = Admitted | Preflight | Refused


def policy_for(tokens: tuple[str, ...], allowed_origins: frozenset[Origin]) -> Policy:
    """Return the policy that admits bearers of `tokens`, or this machine when there are none."""
    digests = tuple(_digest(token) for token in tokens)
    return Policy(token_digests=digests, allowed_origins=allowed_origins)


def decide(facts: Facts, policy: Policy) -> Verdict:
    """Return whether the caller may go on. Every path but the open ones is guarded, also unknown
    ones, and so is every method."""
    origins = facts.values("origin")
    origin = parse_origin(origins[0]) if len(origins) == 1 else None
    cors = origin if origin in policy.allowed_origins else None
    if facts.path in OPEN_PATHS and facts.method in {"GET", "HEAD"}:
        return Admitted(cors)
    is_preflight = _is_preflight(facts)
    if not policy.token_digests:
        problem = _why_not_local(facts, is_allowed_page=cors is not None)
        if problem is not None:
            return Refused(CallRefused(problem), cors)
    elif not (is_preflight and cors) and not _bears_token(facts, policy):
        return Refused(TokenRequired("Send the header Authorization: Bearer <token>"), cors)
    if is_preflight and cors is not None:
        return Preflight(cors)
    return Admitted(cors)


def _is_preflight(facts: Facts) -> bool:
    return facts.method == "OPTIONS" and bool(facts.values("access-control-request-method"))


def _why_not_local(facts: Facts, *, is_allowed_page: bool) -> str | None:
    """Return why this is not a program on this machine calling by itself; None when it is."""
    for name, _ in facts.headers:
        if name in _PROXY_HEADERS or name.startswith("x-forwarded"):
            return f"{name} says that a proxy is in front; set MOORING_OPERATOR_TOKENS"
    own = _own_origin(facts)
    if own is None or not own.is_loopback:
        return "Host is not loopback; call 127.0.0.1 or localhost, or set MOORING_OPERATOR_TOKENS"
    if is_allowed_page:
        return None
    if any(parse_origin(value) != own for value in facts.values("origin")):
        return "Origin is another one; list it in MOORING_ALLOWED_ORIGINS to let its pages call"
    if any(value.lower() not in _OWN_SITES for value in facts.values("sec-fetch-site")):
        return "A page of another site asked for this; open the address itself"
    return None


def _own_origin(facts: Facts) -> Origin | None:
    """Return the origin that the caller believes to call; None without one sound `Host`."""
    hosts = facts.values("host")
    split = split_host(hosts[0]) if len(hosts) == 1 else None
    return None if split is None else origin_of(facts.scheme, *split)


def _bears_token(facts: Facts, policy: Policy) -> bool:
    headers = facts.values("authorization")
    if len(headers) != 1:
        return False
    scheme, _, token = headers[0].strip().partition(" ")
    digest = _digest(token.strip())
    # Every digest is compared, so that the time taken tells neither which one matched nor whether.
    matches = [hmac.compare_digest(digest, known) for known in policy.token_digests]
    return scheme.lower() == "bearer" and any(matches)


def _digest(token: str) -> bytes:
    """Digests have one length, so that comparing them tells nothing of the token's."""
    return hashlib.sha256(token.encode()).digest()
