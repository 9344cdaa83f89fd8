"""A process with webhooks, to be killed: `python -m … <folder> <url> <first> <number>`.

It makes an endpoint for the URL unless there is one, and hands over so many sessions' ends, saying
so for each once that is durable. Then it goes on delivering.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import trio

from actors.partner.settings import PartnerSettings
from actors.partner.webhooks import Change, Notification, Webhooks, open_webhooks
from engine import SystemClock
from engine.durable import Log
from engine.seal import MasterKey, Sealer
from engine.store import open_sqlite
from engine.waker import open_waker


def note(number: int) -> Notification:
    return Notification(
        tenant_id="t1",
        environment="sandbox",
        type="session.completed",
        subject=f"s{number}",
        seq=3,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        data=b'{"session_id":"s%d"}' % number,
    )


async def _anything(change: Change) -> None:
    await trio.lowlevel.checkpoint()


async def _tell(webhooks: Webhooks, url: str, first: int, number: int) -> None:
    if not await webhooks.endpoints("t1"):
        await webhooks.create("t1", url=url, by="u1")
    for one in range(first, first + number):
        await webhooks.notify(note(one))
        print(one, flush=True)
    await trio.sleep_forever()


async def _main(folder: Path, url: str, first: int, number: int) -> None:
    clock = SystemClock()
    async with open_sqlite(folder / "store.db", clock=clock) as store:
        log = Log(
            store=store,
            epoch=await store.begin_epoch(),
            publish=lambda stream, events: None,
            end=lambda stream, reason: None,
        )
        async with (
            open_waker(store, clock, every_s=0.1) as waker,
            open_webhooks(
                PartnerSettings(webhook_allow_private=True),
                log=log,
                waker=waker,
                sealer=Sealer((MasterKey(b"k" * 32),), clock),
                clock=clock,
                permit=_anything,
            ) as webhooks,
        ):
            await _tell(webhooks, url, first, number)


if __name__ == "__main__":
    trio.run(_main, Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
