"""API keys as their holders see them: made, found, listed."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from typing import Final

import msgspec

from actors.partner.tenants.api_key import hint_of, make_key, parse_key
from actors.partner.tenants.commands import GenerateKey
from actors.partner.tenants.decider import key_alias
from actors.partner.tenants.family import Tenants
from actors.partner.tenants.principal import Environment
from actors.partner.tenants.records import ApiKey
from engine import Clock
from engine.clock import timestamp

_REMEMBERED: Final = 20_000


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that has just been made; `text` is shown once. Its repr does not show it."""

    key: ApiKey
    text: str

    def __repr__(self) -> str:
        return f"NewKey({self.key.hint})"


class KeyRing:
    """Makes keys, and knows whose a key is.

    Which tenant a key belongs to never changes, so it is looked up once and then remembered. That a
    key is still good is for its tenant to say.
    """

    def __init__(self, tenants: Tenants, clock: Clock) -> None:
        self._tenants = tenants
        self._clock = clock
        self._owners: OrderedDict[str, str] = OrderedDict()  # tenant ids by digest

    def known_tenant(self, digest: str) -> str | None:
        """Return whose a key is, if it has been shown before."""
        return self._owners.get(digest)

    async def tenant_of(self, digest: str) -> str | None:
        """Return whose a key is, from the store; None when it is nobody's.

        Raises:
            StoreError: nobody can say now.
        """
        alias = await self._tenants.log.store.resolve(key_alias(digest))
        if alias is None:
            return None
        tenant_id = alias.stream.partition("/")[2]
        self._owners[digest] = tenant_id
        if len(self._owners) > _REMEMBERED:
            self._owners.popitem(last=False)
        return tenant_id

    async def generate(
        self, tenant_id: str, environment: Environment, *, name: str, by: str
    ) -> NewKey:
        """Return a new key of a tenant, once it is durable.

        Raises:
            PartnerError: `by` may not, or the tenant has as many as it may have.
        """
        text = make_key(environment, self._clock)
        shown = parse_key(text)
        assert shown is not None  # noqa: S101 - it has just been made
        key = ApiKey(
            key_id=str(uuid.UUID(int=self._clock.random_bits(128), version=4)),
            environment=environment,
            name=name,
            hint=hint_of(text),
            digest=shown.digest,
            created_at=timestamp(self._clock.now()),
            created_by=by,
        )
        await self._tenants.ask(tenant_id, GenerateKey(key=key))
        return NewKey(key=key, text=text)
