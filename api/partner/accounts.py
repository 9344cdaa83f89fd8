"""Signing up, logging in, and what comes after it: `/api/v1/auth`."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from quart import Blueprint, Response, request

from actors.partner.errors import CredentialsRefused
from actors.partner.tenants.access_token import LIFE_S, AccessTokens, Claims
from actors.partner.tenants.accounts import Accounts, Entered
from api.body import take_text
from api.partner import requests
from api.partner.credentials import Credentials
from api.partner.errors import PREFIX
from api.partner.limits import ClientLimits, partner_blueprint
from api.reply import reply
from engine.clock import Clock

_LONGEST_TOKEN: Final = 4096


def account_routes(
    accounts: Accounts,
    *,
    credentials: Credentials,
    access_tokens: AccessTokens,
    limits: ClientLimits,
    clock: Clock,
) -> Blueprint:
    """Return the routes."""
    views = _AccountViews(accounts, credentials, access_tokens, limits, clock)
    routes = partner_blueprint("partner_accounts")
    for name in ("signup", "login", "refresh", "logout"):
        routes.add_url_rule(f"{PREFIX}/auth/{name}", name, getattr(views, name), methods=["POST"])
    return routes


class _AccountViews:
    def __init__(
        self,
        accounts: Accounts,
        credentials: Credentials,
        access_tokens: AccessTokens,
        limits: ClientLimits,
        clock: Clock,
    ) -> None:
        self._accounts = accounts
        self._credentials = credentials
        self._access_tokens = access_tokens
        self._limits = limits
        self._clock = clock

    async def signup(self) -> Response:
        self._limits.take()
        who = requests.email_and_password(await requests.read_body(request))
        client = self._limits.client
        entered = await self._accounts.sign_up(who.email, who.password, kind="api", client=client)
        return self._tokens(entered, status=201)

    async def login(self) -> Response:
        self._limits.take()
        who = requests.email_and_password(await requests.read_body(request))
        client = self._limits.client
        entered = await self._accounts.log_in(who.email, who.password, client=client, kind="api")
        return self._tokens(entered)

    async def refresh(self) -> Response:
        self._limits.take()
        token = requests.refresh_token(await requests.read_body(request))
        return self._tokens(await self._accounts.refresh(token))

    async def logout(self) -> Response:
        """End the login of the access token, and that of a refresh token in the body."""
        body = await requests.read_body(request, optional=True)
        token = take_text(body, "refresh_token", longest=_LONGEST_TOKEN)
        if token is not None:
            self._limits.take()
            await self._accounts.log_out_token(token, "api")
        try:
            admitted = await self._credentials.login()
        except CredentialsRefused:
            if token is None:
                raise
        else:
            assert admitted.login_id is not None  # noqa: S101 - a user has logged in
            await self._accounts.log_out(admitted.principal.tenant_id, admitted.login_id)
        return reply({"status": "logged_out"})

    def _tokens(self, entered: Entered, *, status: int = 200) -> Response:
        account = entered.account
        claims = Claims(
            tenant_id=account.tenant_id, user_id=account.user_id, login_id=entered.login_id
        )
        now, token_id = self._clock.now(), f"{self._clock.random_bits(128):032x}"
        body: dict[str, Any] = {
            "access_token": self._access_tokens.issue(claims, token_id=token_id, now=now),
            "refresh_token": entered.token,
            "token_type": "bearer",
            "expires_in": LIFE_S,
            "user": msgspec.to_builtins(account),
        }
        return reply(body, status=status)
