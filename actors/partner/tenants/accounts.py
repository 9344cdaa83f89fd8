"""Accounts: signing up, logging in and out, whoever asks for it.

Laws of this file: a refusal does not tell whether an address has an account, and takes as long
either way. Guesses are counted before they are tried. No token or password is kept, logged, or put
into a message; digests are.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Final

import msgspec

from actors.partner.errors import CredentialsRefused, EmailTaken, NotFound, SignupClosed
from actors.partner.tenants.admission import Fresh, ReadUser
from actors.partner.tenants.commands import (
    AddUser,
    CreateTenant,
    LogIn,
    LogOut,
    LogOutToken,
    Refresh,
    ResetPassword,
)
from actors.partner.tenants.decider import email_alias
from actors.partner.tenants.emails import Emails, normalise
from actors.partner.tenants.events import OPERATOR
from actors.partner.tenants.family import Tenants
from actors.partner.tenants.opaque_token import OpaqueToken, make_token, parse_token
from actors.partner.tenants.passwords import Passwords, check_password
from actors.partner.tenants.principal import Role
from actors.partner.tenants.records import Login, LoginKind, User
from actors.partner.tenants.throttle import Throttle
from engine import Clock
from engine.clock import timestamp
from engine.durable import AliasHeld

# How long a login lasts: a refresh token's family, and a cookie.
LIFE_S: Final[dict[LoginKind, int]] = {"api": 30 * 86_400, "web": 12 * 3_600}
_WRONG: Final = "Wrong e-mail address or password"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A person, as the API shows them."""

    user_id: str
    tenant_id: str
    email: str
    role: Role


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """A login that has begun or goes on. Its repr shows no token.

    Attributes:
        token: the refresh token, or the cookie's value.
    """

    account: Account
    login_id: str
    token: str

    def __repr__(self) -> str:
        return f"Entered({self.account.user_id})"


class Accounts:
    """What people do with their accounts.

    Args:
        passwords: who hashes.
    """

    def __init__(self, tenants: Tenants, *, passwords: Passwords, clock: Clock) -> None:
        self._tenants = tenants
        self._passwords = passwords
        self._clock = clock
        self._emails = Emails(tenants.sealer)
        self._throttle = Throttle()

    # -- beginning -----------------------------------------------------------------------------

    async def sign_up(self, email: str, password: str, *, client: str, kind: LoginKind) -> Entered:
        """Make an account with a tenant of its own, and log in.

        Args:
            client: the address that asks.

        Raises:
            SignupClosed, EmailTaken, FieldInvalid, RateLimited.
        """
        if self._tenants.settings.signup == "closed":
            raise SignupClosed
        with self._throttle.trying(client):
            tenant_id, user = await self._make(email, password, "owner", by=None)
        return await self._enter(tenant_id, user, kind)

    async def add(
        self, email: str, password: str, *, tenant_id: str | None = None, role: Role = "owner"
    ) -> Account:
        """Make an account for the operator: in a tenant that exists, or with one of its own.

        Raises:
            EmailTaken, FieldInvalid, NotFound.
        """
        found, user = await self._make(email, password, role, by=OPERATOR, tenant_id=tenant_id)
        return self._account(found, user)

    async def reset_password(self, email: str, password: str) -> Account:
        """Give an account a new password; its logins end.

        Raises:
            NotFound, FieldInvalid.
        """
        check_password(password)
        holder = await self._find(normalise(email))
        user = None if holder is None else await self._user(*holder)
        if holder is None or user is None:
            raise NotFound("Account")
        hashed = await self._passwords.hash(password)
        await self._tenants.ask(
            holder[0], ResetPassword(user_id=user.user_id, password=hashed, by=OPERATOR)
        )
        return self._account(holder[0], user)

    async def log_in(self, email: str, password: str, *, client: str, kind: LoginKind) -> Entered:
        """Begin a login.

        Args:
            client: the address that asks.

        Raises:
            CredentialsRefused: and nothing tells why.
            RateLimited: too many guesses were wrong.
        """
        email = normalise(email)
        account = self._emails.digests(email)[0]
        with self._throttle.trying(client, account=account):
            self._throttle.guess(account, client, self._clock.now())
            holder = await self._find(email)
            user = None if holder is None else await self._user(*holder)
            hashed = None if user is None else user.password
            is_right = await self._passwords.verify(hashed, password)
        if holder is None or user is None or not is_right:
            raise CredentialsRefused(_WRONG)
        entered = await self._enter(holder[0], user, kind)
        self._throttle.was_right(account, client)
        return entered

    # -- going on, and ending ------------------------------------------------------------------

    async def refresh(self, text: str) -> Entered:
        """Exchange a refresh token for the next one; an old one ends the login.

        Raises:
            CredentialsRefused.
        """
        token = parse_token(text, "api")
        if token is None:
            raise CredentialsRefused("Invalid refresh token")
        fresh = token.exchanged(self._clock)
        answer: Fresh | None = await self._tenants.ask(
            token.tenant_id,
            Refresh(
                locator=token.locator_digest,
                secret=token.secret_digest,
                new_secret=fresh.secret_digest,
            ),
        )
        if answer is None:
            raise CredentialsRefused("This refresh token was used before; log in again")
        account = self._account(token.tenant_id, answer.user)
        return Entered(account=account, login_id=answer.login_id, token=fresh.text)

    async def log_out(self, tenant_id: str, login_id: str) -> None:
        """End a login: its refresh and access tokens are refused from now on."""
        await self._tenants.ask(tenant_id, LogOut(login_id=login_id))

    async def log_out_token(self, text: str, kind: LoginKind) -> None:
        """End the login of a refresh token or a cookie; what is none is fine."""
        token = parse_token(text, kind)
        if token is not None:
            try:
                await self._tenants.ask(
                    token.tenant_id, LogOutToken(locator=token.locator_digest, kind=kind)
                )
            except NotFound:
                return

    async def account(self, tenant_id: str, user_id: str) -> Account:
        """Return a person as the API shows them.

        Raises:
            NotFound.
        """
        user = await self._user(tenant_id, user_id)
        if user is None:
            raise NotFound("Account")
        return self._account(tenant_id, user)

    # -- inside --------------------------------------------------------------------------------

    async def _make(
        self, email: str, password: str, role: Role, *, by: str | None, tenant_id: str | None = None
    ) -> tuple[str, User]:
        email = normalise(email)
        check_password(password)
        if await self._find(email) is not None:
            raise EmailTaken
        hashed = await self._passwords.hash(password)
        user_id, is_new = self._new_id(), tenant_id is None
        tenant_id = tenant_id or self._new_id()
        user = User(
            user_id=user_id,
            role=role,
            email=self._emails.seal(email, tenant_id=tenant_id, user_id=user_id),
            email_digest=self._emails.digests(email)[0],
            password=hashed,
            created_at=timestamp(self._clock.now()),
        )
        maker = by or user_id
        command = CreateTenant(tenant_id=tenant_id, user=user, by=maker)
        try:
            await self._tenants.ask(tenant_id, command if is_new else AddUser(user=user, by=maker))
        except AliasHeld:
            raise EmailTaken from None
        return tenant_id, user

    async def _find(self, email: str) -> tuple[str, str] | None:
        """Return the tenant and user whose address it is."""
        for digest in self._emails.digests(email):
            alias = await self._tenants.log.store.resolve(email_alias(digest))
            if alias is not None:
                return alias.stream.partition("/")[2], alias.payload.decode()
        return None

    async def _user(self, tenant_id: str, user_id: str) -> User | None:
        user: User | None = await self._tenants.ask(tenant_id, ReadUser(user_id=user_id))
        return user

    async def _enter(self, tenant_id: str, user: User, kind: LoginKind) -> Entered:
        now = self._clock.now()
        token = make_token(kind, tenant_id, self._clock)
        login = Login(
            login_id=self._new_id(),
            user_id=user.user_id,
            kind=kind,
            locator=token.locator_digest,
            secret=token.secret_digest,
            created_at=timestamp(now),
            expires_at=timestamp(now + timedelta(seconds=LIFE_S[kind])),
        )
        await self._tenants.ask(tenant_id, LogIn(login=login, password=user.password))
        return self._entered(tenant_id, user, login, token)

    def _entered(self, tenant_id: str, user: User, login: Login, token: OpaqueToken) -> Entered:
        account = self._account(tenant_id, user)
        return Entered(account=account, login_id=login.login_id, token=token.text)

    def _account(self, tenant_id: str, user: User) -> Account:
        email = self._emails.open(user.email, tenant_id=tenant_id, user_id=user.user_id)
        return Account(user_id=user.user_id, tenant_id=tenant_id, email=email, role=user.role)

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._clock.random_bits(128), version=4))
