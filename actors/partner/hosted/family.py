"""Hosted sessions, put together: their actors, what wakes them, and whom they tell of their end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, TypeAlias

from actors.partner.hosted.actor import HostedSessionActor
from actors.partner.hosted.decider import KIND, encode_session
from actors.partner.hosted.desk import HostedSessions, Tenants
from actors.partner.hosted.receipts import Receipts
from actors.partner.hosted.records import Hosted
from actors.partner.hosted.signing_keys import SigningKeys
from actors.partner.hosted.states import State
from actors.partner.settings import PartnerSettings
from actors.partner.tenants.places import SessionEnded
from actors.partner.webhooks import EventType, Notification, Notify
from engine import Clock
from engine.activation import open_activations
from engine.durable import Log
from engine.seal import Sealer
from engine.waker import Waker

OnChange: TypeAlias = Callable[[str], None]
_TYPES: Final[Mapping[State, EventType]] = {
    State.COMPLETED: "session.completed",
    State.FAILED: "session.failed",
    State.EXPIRED: "session.expired",
    State.CANCELLED: "session.cancelled",
}


@asynccontextmanager
async def open_hosted(
    settings: PartnerSettings,
    *,
    log: Log,
    waker: Waker,
    sealer: Sealer,
    clock: Clock,
    tenants: Tenants,
    notify: Notify,
    public_url: str,
    on_change: OnChange = lambda tenant_id: None,
    drain_s: float = 2.0,
) -> AsyncIterator[HostedSessions]:
    """Open hosted sessions for the length of a block.

    What an earlier server left goes on: times that are up, results not yet found, ends not told.

    Args:
        notify: returns once every webhook that wants it will get it, whatever happens.
        public_url: what links and receipts begin with.
        on_change: called with a tenant's id after each change of one of its sessions.
    """

    async def tell_end(state: Hosted) -> None:
        await notify(_note_of(state))
        tenant_id, session_id = state.visit.tenant_id, state.session.session_id
        await tenants.ask(tenant_id, SessionEnded(session_id=session_id))

    def build(session_id: str) -> HostedSessionActor:
        return HostedSessionActor(
            session_id, tell_end=tell_end, on_change=on_change, log=log, clock=clock
        )

    keys = SigningKeys(log.store, epoch=log.epoch, sealer=sealer, clock=clock)
    async with open_activations(KIND, build, clock=clock, drain_s=drain_s) as actors:
        with waker.waking(KIND, actors.wake):
            yield HostedSessions(
                settings,
                actors=actors,
                log=log,
                clock=clock,
                sealer=sealer,
                tenants=tenants,
                receipts=Receipts(keys, issuer=public_url),
                public_url=public_url,
                on_change=on_change,
            )


def _note_of(state: Hosted) -> Notification:
    session = state.session
    return Notification(
        tenant_id=state.visit.tenant_id,
        environment=session.environment,
        type=_TYPES[session.state],
        subject=session.session_id,
        seq=state.seq,
        at=datetime.fromisoformat(session.updated_at),
        data=encode_session(session),
    )
