"""Who is let in: a credential against what its tenant knows, and how many requests may come.

Laws of this file: it awaits nothing and reads no clock; time comes in as `now`. A credential that
is not good costs no request. A login that has ended, and a key from its revocation on, is not good.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Final, assert_never

from msgspec.structs import replace

from actors.partner.errors import CredentialsRefused
from actors.partner.limits import Window
from actors.partner.tenants.admission import AdmitCookie, AdmitKey, Admitted, AdmitUser
from actors.partner.tenants.decision import find_login, live_login
from actors.partner.tenants.principal import Principal
from actors.partner.tenants.records import ApiKey, Login
from actors.partner.tenants.tenant import Tenant
from engine.clock import timestamp

# People click; pages ask several times for each click.
COOKIE_REQUESTS_PER_MINUTE: Final = 600


class Gate:
    """The gate of one tenant.

    Attributes:
        requests_per_minute: by keys and access tokens together; cookies are counted apart.
        last_used: when keys were used last, by key id, as far as that is not written down yet.
    """

    def __init__(self, tenant_id: str, *, requests_per_minute: int) -> None:
        self.requests_per_minute = requests_per_minute
        self.last_used: dict[str, str] = {}
        self._tenant_id = tenant_id
        self._rate = Window(requests_per_minute)
        self._cookie_rate = Window(max(requests_per_minute, COOKIE_REQUESTS_PER_MINUTE))
        self._by_digest: dict[str, ApiKey] = {}

    def take_over(self, state: Tenant | None) -> None:
        """The tenant's keys have changed."""
        keys = {} if state is None else state.keys
        self._by_digest = {key.digest: key for key in keys.values()}
        self.last_used = {id_: at for id_, at in self.last_used.items() if id_ in keys}

    def written_down(self, last_used: Mapping[str, str]) -> None:
        """These uses of keys are durable."""
        self.last_used = {
            id_: at for id_, at in self.last_used.items() if at > last_used.get(id_, "")
        }

    def keys(self, state: Tenant) -> tuple[ApiKey, ...]:
        """Return the keys that are good, newest first, each with its last use."""
        keys = [
            replace(key, last_used_at=self.last_used.get(key.key_id, key.last_used_at))
            for key in state.keys.values()
        ]
        return tuple(sorted(keys, key=lambda it: (it.created_at, it.key_id), reverse=True))

    def admit(
        self, state: Tenant | None, ask: AdmitKey | AdmitUser | AdmitCookie, now: datetime
    ) -> Admitted:
        """Return whose credential it is, and count one request.

        Raises:
            CredentialsRefused, RateLimited.
        """
        if state is None:
            raise CredentialsRefused
        match ask:
            case AdmitKey(digest=digest):
                return self._admit_key(digest, now)
            case AdmitUser():
                return self._admit_user(state, ask, now)
            case AdmitCookie():
                return self._admit_cookie(state, ask, now)
            case _:
                assert_never(ask)

    def _admit_key(self, digest: str, now: datetime) -> Admitted:
        key = self._by_digest.get(digest)
        if key is None:
            raise CredentialsRefused("Invalid API key")
        rate = self._rate.take(now)
        self.last_used[key.key_id] = timestamp(now)
        principal = Principal(
            tenant_id=self._tenant_id, kind="key", id=key.key_id, environment=key.environment
        )
        return Admitted(principal=principal, rate=rate)

    def _admit_user(self, state: Tenant, ask: AdmitUser, now: datetime) -> Admitted:
        login = live_login(state, ask.login_id, timestamp(now))
        if login is None or login.user_id != ask.user_id or login.kind != "api":
            raise CredentialsRefused("Invalid or expired token")
        return self._admitted(state, login, self._rate, now)

    def _admit_cookie(self, state: Tenant, ask: AdmitCookie, now: datetime) -> Admitted:
        login = find_login(state, ask.locator, timestamp(now))
        is_good = login is not None and hmac.compare_digest(login.secret, ask.secret)
        if login is None or login.kind != "web" or not is_good:
            raise CredentialsRefused("The session has ended; log in again")
        return self._admitted(state, login, self._cookie_rate, now)

    def _admitted(self, state: Tenant, login: Login, window: Window, now: datetime) -> Admitted:
        user = state.users[login.user_id]
        principal = Principal(
            tenant_id=self._tenant_id, kind="user", id=user.user_id, role=user.role
        )
        return Admitted(principal=principal, rate=window.take(now), login_id=login.login_id)
