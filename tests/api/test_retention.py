"""Retention and erasure of real sessions, over a server and on the command line."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import trio

from actors.assistant.decider import owner_of
from actors.browser.journal import BrowserJournal, Note
from api.retention import RULES, erase_tenant, erase_user, open_retention
from engine import open_supervisor
from engine.clock import SystemClock
from engine.durable import Log
from engine.store import ListQuery, Store, open_memory
from engine.stream import StreamHub
from tests.api.cli.test_store import run
from tests.api.conversing import conversing
from tests.api.harness import server
from tests.engine.store.parts import put


class Later(SystemClock):
    """The system's clock, some days ahead."""

    def __init__(self, days: float) -> None:
        self._ahead = timedelta(days=days)

    def now(self) -> datetime:
        return super().now() + self._ahead


async def journaled(store: Store, session_id: str, username: str, *, closed: bool = True) -> None:
    """Put a browser session on the log as the family does."""
    epoch = await store.begin_epoch()
    log = Log(store=store, epoch=epoch, publish=lambda *_: None, end=lambda *_: None)
    async with open_supervisor("test") as supervisor:
        ref = supervisor.spawn(lambda: BrowserJournal(log, SystemClock()), "journal/browser")
        ref.signal(
            Note(session_id=session_id, event="session.created", data={"username": username})
        )
        if closed:
            ref.signal(Note(session_id=session_id, event="session.closed", data={}))
        await trio.testing.wait_all_tasks_blocked()


async def kinds(store: Store) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in await store.tally():
        counts[each.kind] = counts.get(each.kind, 0) + each.count
    return counts


async def test_an_ended_browser_session_goes_and_a_live_one_stays() -> None:
    async with open_memory() as store:
        await journaled(store, "session_1", "ann")
        await journaled(store, "session_2", "ann", closed=False)
        hub = StreamHub(store, final=frozenset({"session.closed"}))
        epoch = await store.begin_epoch()
        log = Log(store=store, epoch=epoch, publish=hub.publish, end=hub.end)
        async with open_retention(30, log=log, clock=Later(31)):
            with trio.fail_after(40):
                while (await kinds(store))["browser"] == 2:
                    await trio.sleep(0.01)
        listing = await store.list_rows(ListQuery(kind="browser"))
    assert [entry.stream for entry in listing.entries] == ["browser/session_2"]


async def test_a_closed_conversation_goes_from_a_server_and_is_a_404_afterwards(
    tmp_path: Path,
) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700)
    async with conversing(data_dir) as talk:
        kept, gone = await talk.open_session(), await talk.open_session(userId="U2")
        await talk.post(gone, "private words")
        async with talk.line(gone, after=0) as line:
            await line.until("reply.completed")
        await talk.client.patch(f"/api/sessions/{gone}", json={"status": "closed"})
    _age(data_dir, days=40)
    async with server(tmp_path, env={"MOORING_RETENTION_DAYS": "30"}) as running:
        await running.wait_ready()
        async with httpx.AsyncClient(
            base_url=running.urls[0], trust_env=False, timeout=40
        ) as client:
            with trio.fail_after(40):
                while (await client.get(f"/api/sessions/{gone}")).status_code != 404:
                    await trio.sleep(0.05)
            assert (await client.get(f"/api/sessions/{kept}")).status_code == 200
            events = await client.get(f"/api/sessions/{gone}/messages")
        assert events.status_code == 404
        with trio.fail_after(40):
            while not any(line["event"] == "retention_swept" for line in running.log):
                await trio.sleep(0.05)
        assert await running.stop() == 0
    (swept,) = [line for line in running.log if line["event"] == "retention_swept"]
    assert swept["erased"] == {"conversation": 1}
    content = b"".join(path.read_bytes() for path in data_dir.iterdir() if path.is_file())
    assert b"private words" not in content
    assert run(data_dir, "check").returncode == 0


def _age(data_dir: Path, *, days: int) -> None:
    """Let everything in the catalogue have happened so many days earlier."""
    ms = days * 86_400_000
    with sqlite3.connect(data_dir / "mooring.db") as connection:
        for table in ("streams", "tags"):
            connection.execute(f"UPDATE {table} SET created_at_ms = created_at_ms - ?", (ms,))
        connection.execute("UPDATE summaries SET updated_at_ms = updated_at_ms - ?", (ms,))
    connection.close()


async def test_a_user_is_erased_in_one_business_or_in_all_with_its_browser_sessions() -> None:
    clock = SystemClock()
    async with open_memory() as store:
        for number, (business, user) in enumerate(
            (("B1", "ann"), ("B1", "ann"), ("B2", "ann"), ("B1", "annabel"), ("B1", "bob"))
        ):
            status = "closed" if number else "active"
            owner = owner_of(business, user)
            await put(store, f"conversation/{number}", owner=owner, status=status)
        await journaled(store, "session_1", "ann")
        await journaled(store, "session_2", "bob")
        assert await erase_user(store, clock, "B1/ann") == {"conversation": 2}
        assert await erase_user(store, clock, "ann") == {"browser": 1, "conversation": 1}
        assert await erase_user(store, clock, "ann") == {}
        assert await kinds(store) == {"audit": 2, "browser": 1, "conversation": 2}
        audits = await store.list_rows(ListQuery(kind="audit"))
        for entry in audits.entries:
            page = await store.read(entry.stream)
            frames = [json.loads(event.body) for event in page.events]
            assert [frame["type"] for frame in frames] == ["erasure.begun", "erasure.done"]
            assert frames[0]["data"]["what"] == "user"
            assert "ann" not in str(frames)


async def test_a_user_whose_id_holds_a_slash_is_erased_and_nobody_else() -> None:
    clock = SystemClock()
    async with open_memory() as store:
        pairs = (("B/1", "a/b"), ("B", "a/b"), ("a", "b"), ("a", "%2F"), ("a", "/"))
        for number, (business, user) in enumerate(pairs):
            await put(store, f"conversation/{number}", owner=owner_of(business, user))
        assert await erase_user(store, clock, "B%2F1/a%2fb") == {"conversation": 1}
        assert await erase_user(store, clock, "a/%252F") == {"conversation": 1}
        assert await erase_user(store, clock, "a%2Fb") == {"conversation": 1}
        assert await kinds(store) == {"audit": 3, "conversation": 2}
        assert await erase_user(store, clock, "a/b") == {"conversation": 1}
        assert await erase_user(store, clock, "a/%2F") == {"conversation": 1}


async def test_a_tenant_is_erased_with_everything_that_is_its_own() -> None:
    async with open_memory() as store:
        for stream, owner in (
            ("tenant/t1", "t1"),
            ("hosted/1", "t1"),
            ("hosted/2", "t1"),
            ("hosted/3", "t2"),
            ("tenant/t2", "t2"),
            ("webhook/4", "t1"),
            ("delivery/5", "t1"),
            ("conversation/6", "t1"),
            ("signing/sandbox", ""),
            ("browser/7", "browser"),
        ):
            await put(store, stream, owner=owner)
        everything = await kinds(store)
        for nobody in ("", "browser", "mooring", "t"):
            assert await erase_tenant(store, SystemClock(), nobody) == {}
        assert await kinds(store) == everything
        erased = await erase_tenant(store, SystemClock(), "t1")
        assert erased == {"delivery": 1, "hosted": 2, "tenant": 1, "webhook": 1}
        assert await kinds(store) == {
            "audit": 1,
            "browser": 1,
            "conversation": 1,
            "hosted": 1,
            "signing": 1,
            "tenant": 1,
        }


async def test_the_command_erases_says_how_much_and_refuses_beside_a_server(
    tmp_path: Path,
) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700)
    async with conversing(data_dir) as talk:
        session_id = await talk.open_session()
        made = (await talk.client.get(f"/api/sessions/{session_id}")).json()
    user = f"{made['businessId']}/{made['userId']}"
    async with server(tmp_path) as running:
        await running.wait_ready()
        refused = run(data_dir, "erase", "--user", user)
        assert await running.stop() == 0
    assert refused.returncode == 1
    assert b"in use by another server" in refused.stderr
    done = run(data_dir, "erase", "--user", user)
    assert (done.returncode, done.stderr) == (0, b"erased: 1 conversation\n")
    again = run(data_dir, "erase", "--user", user)
    assert (again.returncode, again.stderr) == (0, b"erased: nothing, there is none\n")
    exported = run(data_dir, "export", "-").stdout
    assert made["userId"].encode() not in exported
    assert b"erasure.done" in exported


async def test_the_command_wants_to_be_told_whom(tmp_path: Path) -> None:
    for arguments in ((), ("--user", "a", "--tenant", "b")):
        assert run(tmp_path / "data", "erase", *arguments).returncode == 2


def test_each_rule_is_about_a_kind_of_its_own() -> None:
    assert len({rule.kind for rule in RULES}) == len(RULES)
