"""A process that writes and says so, to be killed at any moment: `python -m … <where>`, a file or
a URL.

It writes to four streams at once. After each commit it prints the stream and the sequence, so that
what it has printed is what was acknowledged.
"""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from engine.store import Claim, Event, Store, is_postgres, open_postgres, open_sqlite
from tests.engine.store.parts import commit, row


async def _write(store: Store, stream: str, epoch: int) -> None:
    loaded = await store.load(stream)
    seq = loaded.seq
    while True:
        events = [
            Event(seq=seq + 1, type="note", at_ms=seq, body=f"{stream} {seq + 1}".encode()),
            Event(seq=seq + 2, type="note", at_ms=seq, body=f"{stream} {seq + 2}".encode()),
        ]
        claims = [Claim(alias=f"key/{stream}/{seq + 2}", payload=str(seq + 2).encode())]
        summary = row(summary=str(seq + 2).encode())
        done = await store.commit(
            commit(stream, seq=seq, epoch=epoch, events=events, row=summary, claims=claims)
        )
        seq = done.seq
        print(stream, seq, flush=True)


async def _main(where: str) -> None:
    opened = open_postgres(where) if is_postgres(where) else open_sqlite(Path(where))
    async with opened as store, trio.open_nursery() as nursery:
        epoch = await store.begin_epoch()
        for number in range(4):
            nursery.start_soon(_write, store, f"note/{number}", epoch)


if __name__ == "__main__":
    trio.run(_main, sys.argv[1])
