"""Who may call: one pure decision over what a request says of itself.

Laws of this file: nothing is awaited or looked up; what is malformed or said twice is refused;
tokens are compared in constant time.

The partner family's paths carry credentials of their own, or are pages for anybody: no operator
token is asked for there. What is refused there is a page of another site that would change
something; a link from anywhere may be followed.

Without operator tokens the server is open to programs on this machine, and to nobody else. A web
page is kept out by its `Origin` and `Sec-Fetch-Site`, a name that was rebound to loopback by its
`Host`, the world behind a proxy by the headers that proxies add. With tokens a token decides, or,
for our own pages and nobody else's, the cookie that they got for one.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from typing import Final, TypeAlias

import msgspec

from api.address import Origin, origin_of, parse_origin, split_host
from api.errors import CallRefused, TokenRequired
from api.login import COOKIE, is_good_cookie

# Probes carry no token, and learn nothing there that would need one.
OPEN_PATHS: Final = frozenset({"/health", "/ready"})
# Where a person logs in: with tokens set, the page itself is for everybody.
PAGE_PATHS: Final = frozenset({"/chat", "/chat/chat.css", "/chat/chat.js"})
LOGIN_PATH: Final = "/chat/login"
# The partner family and the documents: what needs a credential asks for it itself.
PARTNER_PATHS: Final = frozenset(
    {"/.well-known/jwks.json", "/asyncapi.json", "/dashboard", "/docs", "/openapi.json"}
)
PARTNER_PREFIXES: Final = ("/api/v1/", "/dashboard/", "/docs/", "/pages/", "/s/")

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
    now: datetime | None = None  # without it no cookie is good

    def values(self, name: str) -> tuple[str, ...]:
        return tuple(value for key, value in self.headers if key == name)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Who is let in. Holds digests of the tokens, never the tokens."""

    token_digests: tuple[bytes, ...] = ()
    allowed_origins: frozenset[Origin] = frozenset()
    public_origin: Origin | None = None


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


def policy_for(
    tokens: tuple[str, ...],
    allowed_origins: frozenset[Origin],
    public_origin: Origin | None = None,
) -> Policy:
    """Return the policy that admits bearers of `tokens`, or this machine when there are none.

    Args:
        public_origin: what browsers call the server where a proxy stands in front.
    """
    digests = tuple(_digest(token) for token in tokens)
    return Policy(
        token_digests=digests, allowed_origins=allowed_origins, public_origin=public_origin
    )


def digest_of_token(token: str, policy: Policy) -> bytes | None:
    """Return the digest of a token that is known; None when it is not."""
    digest = _digest(token)
    # Every digest is compared, so that the time taken tells neither which one matched nor whether.
    matches = [hmac.compare_digest(digest, known) for known in policy.token_digests]
    return digest if any(matches) else None


def decide(facts: Facts, policy: Policy) -> Verdict:
    """Return whether the caller may go on. Every path but the open ones is guarded, also unknown
    ones, and so is every method."""
    origins = facts.values("origin")
    origin = parse_origin(origins[0]) if len(origins) == 1 else None
    cors = origin if origin in policy.allowed_origins else None
    if facts.path in OPEN_PATHS and facts.method in {"GET", "HEAD"}:
        return Admitted(cors)
    is_preflight = _is_preflight(facts)
    if is_partners(facts.path):
        problem = _why_not_partner(facts, policy, is_allowed_page=cors is not None)
        if problem is not None:
            return Refused(CallRefused(problem), cors)
    elif not policy.token_digests:
        problem = _why_not_local(facts, is_allowed_page=cors is not None)
        if problem is not None:
            return Refused(CallRefused(problem), cors)
    elif not (is_preflight and cors):
        refusal = _why_not_operator(facts, policy)
        if refusal is not None:
            return Refused(refusal, cors)
    if is_preflight and cors is not None:
        return Preflight(cors)
    return Admitted(cors)


def is_partners(path: str) -> bool:
    """Tell whether a path carries a credential of its own, so that it needs no operator token."""
    return path in PARTNER_PATHS or path.startswith(PARTNER_PREFIXES)


def is_from_own_page(facts: Facts, policy: Policy) -> bool:
    """Tell whether a browser says that one of our own pages asks for this."""
    origins = facts.values("origin")
    if origins:
        own = {_own_origin(facts), policy.public_origin} - {None}
        return all(parse_origin(origin) in own for origin in origins)
    # Browsers leave it out of what only reads, and out of nothing else: websockets have it.
    sites = facts.values("sec-fetch-site")
    return _only_reads(facts) and bool(sites) and all(site.lower() in _OWN_SITES for site in sites)


def _only_reads(facts: Facts) -> bool:
    return facts.method in {"GET", "HEAD"} and not facts.values("upgrade")


def _is_preflight(facts: Facts) -> bool:
    return facts.method == "OPTIONS" and bool(facts.values("access-control-request-method"))


def _why_not_local(facts: Facts, *, is_allowed_page: bool) -> str | None:
    """Return why this is not a program on this machine calling by itself; None when it is."""
    problem = _why_not_here(facts)
    if problem is not None or is_allowed_page:
        return problem
    own = _own_origin(facts)
    if any(parse_origin(value) != own for value in facts.values("origin")):
        return "Origin is another one; list it in MOORING_ALLOWED_ORIGINS to let its pages call"
    if any(value.lower() not in _OWN_SITES for value in facts.values("sec-fetch-site")):
        return "A page of another site asked for this; open the address itself"
    return None


def _why_not_partner(facts: Facts, policy: Policy, *, is_allowed_page: bool) -> str | None:
    """Return why a partner's path is not for this caller; None when it is, credential or not."""
    problem = None if policy.token_digests else _why_not_here(facts)
    # A visitor comes by a link from anywhere; reading changes nothing, and shows scripts nothing.
    if problem is not None or is_allowed_page or _only_reads(facts):
        return problem
    own = {_own_origin(facts), policy.public_origin} - {None}
    if any(parse_origin(value) not in own for value in facts.values("origin")):
        return "Origin is another one; list it in MOORING_ALLOWED_ORIGINS to let its pages call"
    if any(value.lower() not in _OWN_SITES for value in facts.values("sec-fetch-site")):
        return "A page of another site asked for this"
    return None


def _why_not_here(facts: Facts) -> str | None:
    """Return why this has not come from this machine; None when it has."""
    for name, _ in facts.headers:
        if name in _PROXY_HEADERS or name.startswith("x-forwarded"):
            return f"{name} says that a proxy is in front; set MOORING_OPERATOR_TOKENS"
    own = _own_origin(facts)
    if own is None or not own.is_loopback:
        return "Host is not loopback; call 127.0.0.1 or localhost, or set MOORING_OPERATOR_TOKENS"
    return None


def _own_origin(facts: Facts) -> Origin | None:
    """Return the origin that the caller believes to call; None without one sound `Host`."""
    hosts = facts.values("host")
    split = split_host(hosts[0]) if len(hosts) == 1 else None
    return None if split is None else origin_of(facts.scheme, *split)


def _why_not_operator(facts: Facts, policy: Policy) -> CallRefused | TokenRequired | None:
    """Return why this is neither the bearer of a token nor a page of ours; None when it is."""
    if _bears_token(facts, policy):
        return None
    if facts.path in PAGE_PATHS and facts.method in {"GET", "HEAD"}:
        return None
    is_login = facts.path == LOGIN_PATH and facts.method == "POST"
    if is_login or _has_cookie(facts, policy):
        if is_from_own_page(facts, policy):
            return None
        return CallRefused("A request by cookie is for pages of this server only")
    return TokenRequired("Send the header Authorization: Bearer <token>")


def _has_cookie(facts: Facts, policy: Policy) -> bool:
    if facts.now is None:
        return False
    found = [
        value.strip()
        for header in facts.values("cookie")
        for name, _, value in (part.partition("=") for part in header.split(";"))
        if name.strip() == COOKIE
    ]
    return len(found) == 1 and is_good_cookie(found[0], policy.token_digests, facts.now)


def _bears_token(facts: Facts, policy: Policy) -> bool:
    headers = facts.values("authorization")
    if len(headers) != 1:
        return False
    scheme, _, token = headers[0].strip().partition(" ")
    is_known = digest_of_token(token.strip(), policy) is not None
    return scheme.lower() == "bearer" and is_known


def _digest(token: str) -> bytes:
    """Digests have one length, so that comparing them tells nothing of the token's."""
    return hashlib.sha256(token.encode()).digest()
