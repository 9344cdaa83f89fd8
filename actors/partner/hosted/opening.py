"""A new hosted session: what it begins with, and the one commit that makes it.

Laws of this file: pure but for the ids and tokens that it draws from the clock. Everything that
must not happen without the rest is in one commit: the first event, the row, the link, the key.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from actors.partner.errors import FieldInvalid
from actors.partner.hosted.bounds import check_idempotency_key, check_metadata, check_purpose
from actors.partner.hosted.decider import row_of, stored, stream_of
from actors.partner.hosted.events import event_of
from actors.partner.hosted.flows import DEFAULT, FLOWS
from actors.partner.hosted.idempotency import KEY_LIFE, digest_of_body, key_alias, record
from actors.partner.hosted.records import Hosted, HostedSession, Progress, Visit
from actors.partner.hosted.return_url import check_return_url
from actors.partner.hosted.states import State
from actors.partner.hosted.tokens import alias_of, digest_of, new_token
from actors.partner.tenants.principal import Environment
from engine.clock import Clock, timestamp
from engine.seal import Sealer
from engine.store import Claim, Commit, milliseconds

_FLOW_BITS: Final = 64


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """What a create asks for; made by `check_opening`.

    Attributes:
        key: the Idempotency-Key, if there is one; `body` is the digest of the request under it.
    """

    environment: Environment
    return_url: str
    metadata: Mapping[str, Any] = {}
    purpose: str | None = None
    flow: str = DEFAULT
    key: str | None = None
    body: bytes = b""

    def alias(self, tenant_id: str) -> str | None:
        """Return the name of the key's record."""
        return None if self.key is None else key_alias(tenant_id, self.environment, self.key)


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a create."""

    session_id: str
    session_url: str
    expires_at: str
    state: State
    environment: Environment
    flow: str
    created_at: str


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A session that is ready to be committed, and the answer for once it is."""

    commit: Commit
    created: Created


def check_opening(opening: Opening, body: Mapping[str, Any]) -> Opening:
    """Return the opening once all of it is within bounds.

    Args:
        body: the whole request, fields that nobody knows included: a retry must repeat it.

    Raises:
        FieldInvalid: names the field.
    """
    check_return_url(opening.return_url, opening.environment)
    if opening.metadata:
        check_metadata(opening.metadata)
    if opening.purpose is not None:
        check_purpose(opening.purpose)
    if opening.flow not in FLOWS:
        raise FieldInvalid("flow", f"must be one of {', '.join(sorted(FLOWS))}")
    if opening.key is None:
        return opening
    check_idempotency_key(opening.key)
    return msgspec.structs.replace(opening, body=digest_of_body(body))


def make_session(
    opening: Opening,
    *,
    tenant_id: str,
    created_at: datetime,
    ttl_s: float,
    public_url: str,
    epoch: int,
    clock: Clock,
    sealer: Sealer,
) -> Made:
    """Return a new session of a tenant's."""
    session_id, token = str(uuid.UUID(int=clock.random_bits(128), version=4)), new_token(clock)
    expires_at = created_at + timedelta(seconds=ttl_s)
    session = _new_session(opening, session_id, created_at=created_at, expires_at=expires_at)
    state = _with_visit(session, tenant_id, clock)
    created = Created(
        session_id=session_id,
        session_url=f"{public_url}/s/{token}",
        expires_at=state.session.expires_at,
        state=state.session.state,
        environment=opening.environment,
        flow=opening.flow,
        created_at=state.session.created_at,
    )
    claims = [Claim(alias=alias_of(digest_of(token)))]
    alias = opening.alias(tenant_id)
    if alias is not None:
        answer = msgspec.json.encode(created)
        until = milliseconds(created_at + KEY_LIFE)
        payload = record(alias, opening.body, answer, sealer)
        claims.append(Claim(alias=alias, payload=payload, expires_at_ms=until))
    commit = Commit(
        stream=stream_of(session_id),
        epoch=epoch,
        expected_seq=0,
        events=(stored(event_of(state)),),
        row=row_of(state),
        claims=claims,
    )
    return Made(commit=commit, created=created)


def _new_session(
    opening: Opening, session_id: str, *, created_at: datetime, expires_at: datetime
) -> HostedSession:
    at = timestamp(created_at)
    return HostedSession(
        session_id=session_id,
        environment=opening.environment,
        state=State.PENDING,
        flow=opening.flow,
        purpose=opening.purpose,
        return_url=opening.return_url,
        metadata=opening.metadata,
        progress=Progress(done=0, of=1),
        created_at=at,
        updated_at=at,
        expires_at=timestamp(expires_at),
    )


def _with_visit(session: HostedSession, tenant_id: str, clock: Clock) -> Hosted:
    """Let the session's flow draw what it will ask for."""
    flow = FLOWS[session.flow]
    plan = flow.plan(clock.random_bits(_FLOW_BITS))
    receipt_id = f"{clock.random_bits(128):032x}"
    visit = Visit(tenant_id=tenant_id, receipt_id=receipt_id, plan=plan)
    begun = msgspec.structs.replace(session, progress=flow.progress(plan, ()))
    return Hosted(session=begun, visit=visit, seq=1)
