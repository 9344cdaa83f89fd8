"""Creates, lists and who sees what: what the desk guarantees, over a store in memory."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from actors.partner import FieldInvalid, IdempotencyMismatch, PartnerSettings, TooManyActive
from actors.partner.hosted import (
    Cancel,
    Command,
    Hosted,
    IllegalTransition,
    SessionNotFound,
    State,
    check_opening,
)
from actors.partner.hosted.idempotency import key_alias
from actors.partner.hosted.opening import Opening
from actors.partner.tenants import Confirm, GiveBack, Principal
from engine.errors import CursorInvalid, StoreUnavailable
from engine.store import Commit, MemoryDisk
from tests.actors.partner.hosted.sessions import (
    PRODUCTION,
    SANDBOX,
    STRANGER,
    URL,
    USER,
    World,
    opening,
    world,
)


async def test_one_session_for_each_idempotency_key_of_fifty_creates_at_once_and_one_place(
    autojump_clock: MockClock,
) -> None:
    async with world(room=10) as it:
        answers: list[Any] = []

        async def create() -> None:
            answers.append(await it.desk.create(SANDBOX, opening(key="k1")))

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(create)
        assert len({answer.body for answer in answers}) == 1
        assert sum(not answer.is_replay for answer in answers) == 1
        assert (it.tenants.taken, it.tenants.confirmed) == (1, 1)
        assert len((await it.desk.list(USER)).encoded) == 1
        # The key is this tenant's, in this environment.
        for other in (PRODUCTION, STRANGER):
            environment = other.environment or "sandbox"
            again = await it.desk.create(other, opening(key="k1", environment=environment))
            assert again.body != answers[0].body


async def test_two_servers_that_race_under_one_key_answer_with_one_session(
    autojump_clock: MockClock,
) -> None:
    # The turn within a process is passed by: what holds is the alias in the store.
    async with world() as it:
        first = await it.desk.create(SANDBOX, opening(key="k1"))
        resolve, lied = it.store.resolve, []

        async def late(alias: str) -> Any:
            if not lied:
                lied.append(alias)
                return None
            return await resolve(alias)

        it.store.resolve = late  # type: ignore[method-assign]
        second = await it.desk.create(SANDBOX, opening(key="k1"))
        assert (second.body, second.is_replay) == (first.body, True)
        assert it.tenants.count(GiveBack) == 1
        assert it.tenants.taken == 1


async def test_a_key_is_for_one_body_and_for_a_day(
    autojump_clock: MockClock,
) -> None:
    async with world(every_s=600) as it:
        one = {"return_url": URL, "metadata": {"a": 1, "b": 2}, "unknown": True}
        first = await it.desk.create(SANDBOX, opening(one, key="k1"))
        same = {"unknown": True, "metadata": {"b": 2, "a": 1}, "return_url": URL}
        assert (await it.desk.create(SANDBOX, opening(same, key="k1"))).body == first.body
        with pytest.raises(IdempotencyMismatch):
            await it.desk.create(SANDBOX, opening(one | {"unknown": False}, key="k1"))
        assert it.tenants.taken == 1
        await trio.sleep(86_400)
        assert (await it.desk.create(SANDBOX, opening(one, key="k1"))).body != first.body


async def test_a_refused_create_costs_nothing_and_its_key_may_be_used_again(
    autojump_clock: MockClock,
) -> None:
    async with world(room=1) as it:
        session_id = await it.open_session()
        with pytest.raises(TooManyActive):
            await it.desk.create(SANDBOX, opening(key="k1"))
        it.tenants.room = 2
        assert not (await it.desk.create(SANDBOX, opening(key="k1"))).is_replay
        assert it.tenants.taken == 2
        assert session_id


async def test_a_create_is_one_commit_and_everything_is_there_with_it(
    autojump_clock: MockClock,
) -> None:
    disk = MemoryDisk()
    async with world(disk=disk) as it:
        commit, commits = it.store.commit, []

        async def counted(one: Commit, **more: Any) -> Any:
            commits.append(one)
            return await commit(one, **more)

        it.store.commit = counted  # type: ignore[method-assign]
        first = await it.desk.create(SANDBOX, opening(key="k1"))
        [only] = commits
        assert (only.expected_seq, len(only.events), len(only.claims)) == (0, 1, 2)
    made = msgspec.json.decode(first.body)
    async with world(disk=disk) as it:
        token = made["session_url"].rpartition("/")[2]
        assert await it.desk.find(token) == made["session_id"]
        [listed] = (await it.desk.list(SANDBOX)).sessions
        assert listed == (await it.desk.look(made["session_id"])).session
        again = await it.desk.create(SANDBOX, opening(key="k1"))
        assert (again.body, again.is_replay) == (first.body, True)


async def test_a_create_that_could_not_be_stored_gives_its_place_back(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:

        async def commit(*_: Any, **__: Any) -> Any:
            raise StoreUnavailable("full")

        it.store.commit = commit  # type: ignore[method-assign]
        with pytest.raises(StoreUnavailable):
            await it.desk.create(SANDBOX, opening())
        assert isinstance(it.tenants.asked[-1], GiveBack)


async def test_a_caller_that_leaves_in_the_middle_leaves_no_place_unsettled(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:
        for ticks in range(12):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(it.desk.create, SANDBOX, opening())
                    for _ in range(ticks):
                        await trio.lowlevel.checkpoint()
                    scope.cancel()
        settled = it.tenants.count(Confirm) + it.tenants.count(GiveBack)
        assert settled == it.tenants._tokens
        assert len((await it.desk.list(USER, limit=100)).encoded) == it.tenants.confirmed


async def test_anothers_session_is_not_there_and_neither_is_that_of_another_environment(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:
        ids = {
            "sandbox": await it.open_session(SANDBOX),
            "production": await it.open_session(PRODUCTION),
        }
        sees = {"sandbox": SANDBOX, "production": PRODUCTION}
        for environment, session_id in ids.items():
            for principal in (SANDBOX, PRODUCTION, USER, STRANGER):
                may = principal is USER or principal is sees[environment]
                await _is_there(it, principal, session_id, may)
        for nonsense in ("", "x", "../t1", "a/b", "\0", "é" * 8, "x" * 500, ids["sandbox"] + " "):
            await _is_there(it, USER, nonsense, False)


async def _is_there(it: World, principal: Principal, session_id: str, may: bool) -> None:
    for call in (it.desk.get, it.desk.results, it.desk.stream):
        if may:
            await call(principal, session_id)  # type: ignore[operator]
        else:
            with pytest.raises(SessionNotFound):
                await call(principal, session_id)  # type: ignore[operator]
    if not may:
        with pytest.raises(SessionNotFound):
            await it.desk.cancel(principal, session_id)


async def test_lists_are_the_callers_own_filtered_and_paged(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:
        ours = [await it.open_session(SANDBOX) for _ in range(5)]
        theirs = await it.open_session(PRODUCTION)
        await it.open_session(STRANGER)
        await it.desk.ask(ours[1], Cancel(by="partner"))

        async def listed(principal: Principal, **filters: Any) -> list[str]:
            page = await it.desk.list(principal, **filters)
            return [session.session_id for session in page.sessions]

        assert await listed(USER) == [theirs, *reversed(ours)]
        assert await listed(SANDBOX) == list(reversed(ours))
        # A key cannot ask for more than is its own.
        assert await listed(SANDBOX, environment="production") == list(reversed(ours))
        assert await listed(USER, environment="production") == [theirs]
        assert await listed(USER, state=State.CANCELLED) == [ours[1]]
        assert await listed(USER, state=State.CANCELLED, environment="production") == []
        first = await it.desk.list(USER, limit=4)
        rest = await it.desk.list(USER, limit=4, cursor=first.next_cursor)
        found = [session.session_id for session in (*first.sessions, *rest.sessions)]
        assert found == [theirs, *reversed(ours)]
        assert rest.next_cursor is None
        with pytest.raises(CursorInvalid):
            await it.desk.list(STRANGER, limit=4, cursor=first.next_cursor)


async def test_a_cancel_is_idempotent_and_results_come_with_a_receipt_at_the_end(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:
        session_id = await it.open_session()
        assert (await it.desk.results(SANDBOX, session_id)).receipt is None
        first = await it.desk.cancel(SANDBOX, session_id)
        assert await it.desk.cancel(USER, session_id) == first
        outcome = await it.desk.results(SANDBOX, session_id)
        assert outcome.session == first
        assert outcome.receipt is not None
        assert outcome.receipt == (await it.desk.results(SANDBOX, session_id)).receipt


async def test_a_cancel_that_time_overtakes_does_not_say_that_it_was_one(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(settings=PartnerSettings(session_ttl_s=10), every_s=3_600) as it:
        session_id = await it.open_session()
        ask = it.desk.ask

        async def later(session_id: str, command: Command) -> Hosted:
            await trio.sleep(10)
            return await ask(session_id, command)

        monkeypatch.setattr(it.desk, "ask", later)
        with pytest.raises(IllegalTransition) as refused:
            await it.desk.cancel(SANDBOX, session_id)
        assert refused.value.state is State.EXPIRED
        assert (await it.get(session_id)).state is State.EXPIRED


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"return_url": "javascript:alert(1)"}, "return_url"),
        ({"return_url": "http://localhost/", "environment": "production"}, "return_url"),
        ({"metadata": {"a": "x" * 20_000}}, "metadata"),
        ({"metadata": {"a": [[[[[[[[1]]]]]]]]}}, "metadata"),
        ({"metadata": {"a": "\0"}}, "metadata"),
        ({"metadata": {"a\0": 1}}, "metadata"),
        ({"metadata": {"a": 2**64}}, "metadata"),
        ({"metadata": {"a": float("nan")}}, "metadata"),
        ({"purpose": "x" * 501}, "purpose"),
        ({"purpose": "a\x1bb"}, "purpose"),
        ({"flow": "nothing"}, "flow"),
        ({"key": ""}, "Idempotency-Key"),
        ({"key": "x" * 256}, "Idempotency-Key"),
        ({"key": "a\nb"}, "Idempotency-Key"),
    ],
)
def test_what_is_out_of_bounds_is_refused_by_its_name(fields: dict[str, Any], field: str) -> None:
    given = {"environment": "sandbox", "return_url": URL} | fields
    with pytest.raises(FieldInvalid) as refused:
        check_opening(Opening(**given), {})
    assert refused.value.field == field


async def test_links_are_kept_as_digests_and_answers_sealed(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:
        answered = await it.desk.create(SANDBOX, opening(key="k1"))
        token = msgspec.json.decode(answered.body)["session_url"].rpartition("/")[2]
        assert len(token) >= 32
        held = await it.store.resolve(key_alias("t1", "sandbox", "k1"))
        assert held is not None
        assert token.encode() not in held.payload
        async with it.store.export() as lines:
            dump = b"".join([line async for line in lines])
        assert token.encode() not in dump
        assert msgspec.json.decode(answered.body)["session_id"].encode() in dump
