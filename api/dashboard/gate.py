"""Who is at the dashboard: coming in, being known, and leaving, by cookie."""

from __future__ import annotations

from typing import Final

import msgspec
from quart import Response

from actors.partner import CredentialsRefused, NotFound, PartnerSettings
from actors.partner.tenants import Principal
from actors.partner.tenants.accounts import Account, Accounts, Entered
from api.partner.cookie import forget_cookie, set_cookie
from api.partner.credentials import Credentials
from api.partner.limits import ClientLimits

_KIND: Final = "web"


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who is logged in."""

    principal: Principal
    account: Account

    @property
    def tenant_id(self) -> str:
        return self.principal.tenant_id

    @property
    def user_id(self) -> str:
        return self.principal.id

    @property
    def email(self) -> str:
        return self.account.email

    @property
    def role(self) -> str:
        return self.account.role

    @property
    def may_change(self) -> bool:
        """Whether keys, webhooks and the profile are theirs to change."""
        return self.principal.role == "owner"

    def check_may_change(self) -> None:
        """Raise NotAllowed for who may only look."""
        self.principal.check_owner()


class Gate:
    """Lets people in. Every guess at the door is counted, of each client and of each account."""

    def __init__(
        self,
        accounts: Accounts,
        *,
        credentials: Credentials,
        limits: ClientLimits,
        settings: PartnerSettings,
        is_https: bool,
    ) -> None:
        self._accounts = accounts
        self._credentials = credentials
        self._limits = limits
        self._is_https = is_https
        self.can_sign_up = settings.signup == "open"

    async def person(self) -> Person:
        """Return who makes the request in hand.

        Raises:
            NotLoggedIn: nobody has logged in with this browser.
            CredentialsRefused: the login has ended, or a page of another site asks.
            RateLimited.
        """
        principal = await self._credentials.by_cookie()
        account = await self._accounts.account(principal.tenant_id, principal.id)
        return Person(principal=principal, account=account)

    async def sign_up(self, email: str, password: str) -> Entered:
        """Make an account, and begin a login for `welcome`.

        Raises:
            SignupClosed, EmailTaken, FieldInvalid, RateLimited.
        """
        self._limits.take()
        client = self._limits.client
        return await self._accounts.sign_up(email, password, client=client, kind=_KIND)

    async def log_in(self, email: str, password: str) -> Entered:
        """Begin a login for `welcome`.

        Raises:
            CredentialsRefused, FieldInvalid, RateLimited.
        """
        self._limits.take()
        return await self._accounts.log_in(email, password, client=self._limits.client, kind=_KIND)

    def welcome(self, response: Response, login: Entered) -> None:
        """Give the browser a login's cookie."""
        set_cookie(response, login.token, is_https=self._is_https)

    async def log_out(self, response: Response) -> None:
        """End the login of the request in hand, and take the cookie back.

        Where another site's page asks, or where the login has ended already, nothing happens.
        """
        try:
            admitted = await self._credentials.visit()
        except CredentialsRefused:
            return  # it has ended already, or it is another site's page that asks
        if admitted.login_id is not None:
            await self._accounts.log_out(admitted.principal.tenant_id, admitted.login_id)
        forget_cookie(response, is_https=self._is_https)

    async def name_of(self, tenant_id: str, user_id: str) -> str:
        """Return a colleague's address; the id of somebody who has no account any more."""
        try:
            return (await self._accounts.account(tenant_id, user_id)).email
        except NotFound:
            return user_id
