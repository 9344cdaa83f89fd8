"""Retention, put together: what has ended in each family, and the task that lets it go."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Final

import trio

from actors.assistant import decider as conversations
from actors.assistant.erasing import conversations_of
from actors.browser import place as browser
from actors.browser.erasing import sessions_of
from actors.partner.hosted import decider as hosted
from actors.partner.hosted.states import ENDS
from actors.partner.tenants import decider as tenants
from actors.partner.webhooks import delivery_decider as delivery
from actors.partner.webhooks import endpoint_decider as endpoint
from engine.audit import AuditLog
from engine.clock import Clock
from engine.durable import Log
from engine.retention import Ended, Eraser, Retention, owned_by
from engine.store import Store

RULES: Final = (
    Ended(kind=conversations.KIND, statuses=conversations.ENDED),
    Ended(kind=browser.KIND, statuses=browser.ENDED),
    Ended(
        kind=hosted.KIND,
        statuses=frozenset(state.value for state in ENDS),
        counted_by_month=True,
    ),
)
# What is a tenant's, itself last: what a crash leaves is still found under its id. Rows of other
# kinds have owners that are no tenants.
TENANTS_KINDS: Final = (delivery.KIND, endpoint.KIND, hosted.KIND, tenants.KIND)


@asynccontextmanager
async def open_retention(days: int | None, *, log: Log, clock: Clock) -> AsyncIterator[None]:
    """Let go of what ended more than `days` ago, for the length of a block; of nothing for None."""
    if days is None:
        yield
        return
    audit = AuditLog(log.store, epoch=log.epoch, clock=clock)
    eraser = Eraser(log.store, epoch=log.epoch, audit=audit, ownership=log.ownership, end=log.end)
    retention = Retention(log.store, eraser, clock, keep=timedelta(days=days), rules=RULES)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(retention.run, name="retention")
        yield
        nursery.cancel_scope.cancel()


async def erase_user(store: Store, clock: Clock, text: str) -> dict[str, int]:
    """Erase what there is of a user, `BUSINESS/USER` or in any business and as a portal's user
    name, and return how many sessions of each kind that was. An id's own slash is `%2F` there."""
    first, slash, second = text.partition("/")
    if slash:
        business_id, user_id = _with_slashes(first), _with_slashes(second)
        return await _erase(store, clock, conversations_of(store, user_id, business_id), "user")
    return await _erase(store, clock, _all_of_user(store, _with_slashes(first)), "user")


async def erase_tenant(store: Store, clock: Clock, tenant_id: str) -> dict[str, int]:
    """Erase a tenant and everything that is its own, and return how much of each kind that was."""
    found = owned_by(store, tenant_id, kinds=TENANTS_KINDS)
    return await _erase(store, clock, found, "tenant")


def _with_slashes(text: str) -> str:
    return text.replace("%2F", "/").replace("%2f", "/").replace("%25", "%")


async def _all_of_user(store: Store, user_id: str) -> AsyncGenerator[str, None]:
    for streams in (conversations_of(store, user_id, None), sessions_of(store, user_id)):
        async with aclosing(streams) as found:
            async for stream in found:
                yield stream


async def _erase(
    store: Store, clock: Clock, streams: AsyncGenerator[str, None], what: str
) -> dict[str, int]:
    epoch = await store.begin_epoch()
    audit = AuditLog(store, epoch=epoch, clock=clock)
    eraser = Eraser(store, epoch=epoch, audit=audit, pause_s=0.0)
    about = {"by": f"command line, system user {os.getuid()}", "what": what}
    async with aclosing(streams) as found:
        return dict(await eraser.erase(found, about))
