"""Who makes a request: an API key, an access token, or a cookie, and never one for another.

Laws of this file: each route names the kinds that it takes, and refuses the others with 401. A
credential is one header, said once. Whether it is still good is for the tenant to say, at each
request; that costs a message and no look-up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from quart import has_request_context, request, websocket

from actors.partner.errors import CredentialsRefused, RateLimited
from actors.partner.tenants.access_token import AccessTokens
from actors.partner.tenants.admission import AdmitCookie, AdmitKey, Admitted, AdmitUser
from actors.partner.tenants.api_key import PREFIX, parse_key
from actors.partner.tenants.family import Tenants
from actors.partner.tenants.keyring import KeyRing
from actors.partner.tenants.opaque_token import parse_token
from actors.partner.tenants.principal import Principal
from api.app import facts_of
from api.guard import Facts, Policy, is_from_own_page
from api.partner.cookie import cookie_of
from api.partner.limits import ClientLimits, show_rate
from api.settings import Network
from engine.clock import Clock


class NotLoggedIn(CredentialsRefused):
    """There is no cookie: nobody has logged in with this browser."""

    def __init__(self) -> None:
        super().__init__("Log in first")


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """How browsers and clients reach the server.

    Attributes:
        is_https: browsers come by https, whoever ends TLS.
        trusted: proxies whose word is taken for who a client is.
    """

    policy: Policy
    is_https: bool
    trusted: Sequence[Network] = ()


class Credentials:
    """Tells who makes the request in hand; to be asked within a request or a websocket."""

    def __init__(
        self,
        tenants: Tenants,
        *,
        keyring: KeyRing,
        access_tokens: AccessTokens,
        reach: Reach,
        clock: Clock,
    ) -> None:
        self._tenants = tenants
        self._keyring = keyring
        self._access_tokens = access_tokens
        self._reach = reach
        self._clock = clock
        per_minute = tenants.settings.rate_limit_per_minute
        self._unknown = ClientLimits(per_minute, trusted=reach.trusted, clock=clock)

    async def by_key(self) -> Principal:
        """Return whose API key the request bears.

        Raises:
            CredentialsRefused, RateLimited.
        """
        return (await self._admit_key(_bearer())).principal

    async def by_jwt(self) -> Principal:
        """Return whose access token the request bears; raises as `by_key`."""
        return (await self.login()).principal

    async def by_either(self) -> Principal:
        """Return whose API key or access token the request bears; raises as `by_key`."""
        text = _bearer()
        admit = self._admit_key if text.startswith(PREFIX) else self._admit_user
        return (await admit(text)).principal

    async def by_cookie(self) -> Principal:
        """Return who is logged in on a page of ours.

        Raises:
            NotLoggedIn: there is no cookie.
            CredentialsRefused: its login has ended, or another site's page asks.
            RateLimited.
        """
        return (await self.visit()).principal

    async def by_any(self) -> Principal:
        """Return whose key, token or cookie it is: for websockets, which browsers open without a
        header; raises as `by_key`."""
        here: Any = request if has_request_context() else websocket
        if here.headers.getlist("Authorization"):
            return await self.by_either()
        return await self.by_cookie()

    async def login(self) -> Admitted:
        """As `by_jwt`, with the login that the token belongs to."""
        return await self._admit_user(_bearer())

    async def visit(self) -> Admitted:
        """As `by_cookie`, with the login that the cookie belongs to."""
        facts = self._facts()
        text = cookie_of(facts, is_https=self._reach.is_https)
        if text is None:
            raise NotLoggedIn
        reads = facts.method in {"GET", "HEAD"} and not facts.values("upgrade")
        if not reads and not is_from_own_page(facts, self._reach.policy):
            raise CredentialsRefused("A request by cookie is for pages of this server only")
        token = parse_token(text, "web")
        if token is None:
            raise CredentialsRefused("The session has ended; log in again")
        ask = AdmitCookie(locator=token.locator_digest, secret=token.secret_digest)
        return await self._admit(token.tenant_id, ask)

    def cookie(self) -> str | None:
        """Return the cookie's token, good or not."""
        return cookie_of(self._facts(), is_https=self._reach.is_https)

    async def _admit_key(self, text: str) -> Admitted:
        shown = parse_key(text)
        if shown is None:
            raise CredentialsRefused(
                "Invalid API key" if text.startswith(PREFIX) else "An API key is needed here"
            )
        tenant_id = self._keyring.known_tenant(shown.digest)
        if tenant_id is None:
            # Made-up keys cost their maker something before they cost the store.
            self._unknown.take()
            tenant_id = await self._keyring.tenant_of(shown.digest)
        if tenant_id is None:
            raise CredentialsRefused("Invalid API key")
        return await self._admit(tenant_id, AdmitKey(digest=shown.digest))

    async def _admit_user(self, text: str) -> Admitted:
        if text.startswith(PREFIX):
            raise CredentialsRefused("An access token is needed here, not an API key")
        claims = self._access_tokens.read(text, self._clock.now())
        if claims is None:
            raise CredentialsRefused("Invalid or expired token")
        ask = AdmitUser(user_id=claims.user_id, login_id=claims.login_id)
        return await self._admit(claims.tenant_id, ask)

    async def _admit(self, tenant_id: str, ask: AdmitKey | AdmitUser | AdmitCookie) -> Admitted:
        try:
            admitted: Admitted = await self._tenants.ask(tenant_id, ask)
        except RateLimited as error:
            show_rate(error.rate)
            raise
        show_rate(admitted.rate)
        return admitted

    def _facts(self) -> Facts:
        return facts_of(request if has_request_context() else websocket, self._clock)


def _bearer() -> str:
    """Return what the request bears; raises CredentialsRefused without exactly one."""
    here: Any = request if has_request_context() else websocket
    headers = here.headers.getlist("Authorization")
    if len(headers) != 1:
        raise CredentialsRefused("Send the header Authorization: Bearer <credential>")
    scheme, _, text = headers[0].strip().partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise CredentialsRefused("Send the header Authorization: Bearer <credential>")
    return str(text.strip())
