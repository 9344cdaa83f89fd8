"""Webhooks as a whole, in virtual time: told, tried, told again, given up, sent again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import trio
import trio.testing
from standardwebhooks import Webhook

from actors.partner.errors import FieldInvalid, NotAllowed, NotFound
from actors.partner.webhooks import (
    EVENT_TYPES,
    MAX_ENDPOINTS,
    Change,
    Outcome,
    TooManyWebhooks,
    WebhookDisabled,
)
from actors.partner.webhooks.delivery import KEPT
from engine import SeededClock
from engine.errors import ActorCrashed, CursorInvalid, StoreUnavailable
from engine.store import ListQuery, MemoryDisk, MemoryStore
from tests.actors.partner.webhooks.world import REFUSED, TAKEN, URL, Got, Receiver, world

Jumping = trio.testing.MockClock


def verifies(secret: str, got: Got) -> bool:
    """Tell whether one of the signatures is this secret's, whenever it was made."""
    at = datetime.fromtimestamp(int(got.headers["webhook-timestamp"]), UTC)
    signed = Webhook(secret).sign(got.id, at, got.text)
    return signed in got.headers["webhook-signature"].split(" ")


# -- told -------------------------------------------------------------------------------------


async def test_an_endpoint_is_told_once_signed_with_its_secret(autojump_clock: Jumping) -> None:
    async with world() as it:
        created = await it.create()
        note = await it.notify()
        await it.days(3)
        (got,) = it.receiver.got
        assert verifies(created.secret, got)
        assert got.url == URL
        assert got.body == {
            "id": note.event_id,
            "type": "session.completed",
            "seq": 3,
            "timestamp": "2026-01-01T00:00:00.000Z",
            "data": {"session_id": "s1", "state": "completed"},
        }
        assert got.id == note.event_id


async def test_one_delivery_for_each_endpoint_and_event_however_often_it_is_handed_over(
    autojump_clock: Jumping,
) -> None:
    async with world() as it:
        await it.create()
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(it.notify)
        await it.days(1)
        await it.notify(at=it.receiver.got[0].at)
        await it.days(1)
        assert len(it.receiver.got) == 1


async def test_each_endpoint_is_told_what_it_wants_and_only_its_own_tenants_news(
    autojump_clock: Jumping,
) -> None:
    async with world() as it:
        await it.create(url="https://a.example/")
        await it.create(url="https://b.example/", events=("quota.warning", "quota.exceeded"))
        await it.create("t2", url="https://c.example/")
        for type_ in EVENT_TYPES:
            await it.notify(type=type_)
        await it.days(1)
        told = sorted((got.url, got.body["type"]) for got in it.receiver.got)
        assert told == sorted(
            [("https://a.example/", type_) for type_ in EVENT_TYPES]
            + [("https://b.example/", "quota.warning"), ("https://b.example/", "quota.exceeded")]
        )
        by_type = {got.body["type"]: got.id for got in it.receiver.got}
        assert all(by_type[got.body["type"]] == got.id for got in it.receiver.got)


# -- tried again ------------------------------------------------------------------------------


async def test_a_webhook_keeps_its_id_and_text_at_every_attempt_until_it_is_taken(
    autojump_clock: Jumping,
) -> None:
    answers = [REFUSED, Outcome(error="no answer in time"), REFUSED, TAKEN]
    async with world(Receiver(lambda _: answers.pop(0))) as it:
        created = await it.create()
        note = await it.notify()
        await it.days(2)
        assert it.receiver.ids == [note.event_id] * 4
        assert len({got.text for got in it.receiver.got}) == 1
        assert all(verifies(created.secret, got) for got in it.receiver.got)
        listed = await it.attempts(created)
        assert [(one.attempt.number, one.attempt.status, one.attempt.error) for one in listed] == [
            (4, 200, None),
            (3, 500, "answered 500"),
            (2, None, "no answer in time"),
            (1, 500, "answered 500"),
        ]
        assert {one.delivery.status for one in listed} == {"delivered"}


async def test_a_webhook_is_given_up_after_a_day_and_not_before(autojump_clock: Jumping) -> None:
    async with world(Receiver(lambda _: REFUSED)) as it:
        created = await it.create()
        await it.notify()
        await it.days(4)
        last, first = it.receiver.got[-1], it.receiver.got[0]
        assert 86_400 <= (last.at - first.at).total_seconds() <= 86_460
        assert 14 <= len(it.receiver.got) <= 25
        (delivery,) = {one.delivery.id: one.delivery for one in await it.attempts(created)}.values()
        assert (delivery.status, delivery.next_at) == ("failed", None)


async def test_attempts_of_one_endpoint_are_spread(autojump_clock: Jumping) -> None:
    async with world(Receiver(lambda _: REFUSED), looks_every_s=1) as it:
        await it.create()
        for number in range(50):
            await it.notify(f"s{number}")
        await trio.sleep(60)
        third = [got.at for got in it.receiver.got if it.receiver.ids.count(got.id) >= 3]
        assert len(set(third)) > 20


# -- disabled ---------------------------------------------------------------------------------


async def test_five_days_of_failure_disable_an_endpoint_and_nothing_is_lost_silently(
    autojump_clock: Jumping,
) -> None:
    receiver = Receiver(lambda _: REFUSED)
    async with world(receiver) as it:
        created = await it.create()
        id_ = created.endpoint.id
        for hour in range(0, 24 * 5, 6):
            await it.notify(f"s{hour}")
            await trio.sleep(6 * 3600)
            assert (await it.webhooks.endpoint("t1", id_)).enabled
        await it.days(1)
        endpoint = await it.webhooks.endpoint("t1", id_)
        assert (endpoint.enabled, endpoint.disabled_reason) == (False, "failing")
        sent = len(receiver.got)
        await it.notify("late")
        await it.days(2)
        assert len(receiver.got) == sent
        late = (await it.attempts(created))[0]
        assert (late.delivery.subject, late.delivery.status) == ("late", "failed")
        assert late.attempt.error == "the webhook was disabled"
        with pytest.raises(WebhookDisabled):
            await it.webhooks.resend("t1", late.id)
        receiver.act = lambda _: TAKEN
        assert (await it.webhooks.enable("t1", id_, by="u1")).enabled
        await it.webhooks.resend("t1", late.id)
        await it.notify("after")
        await it.days(1)
        assert [got.body["data"]["session_id"] for got in receiver.got[sent:]] == ["late", "after"]


async def test_an_endpoint_that_answers_410_is_disabled_and_not_tried_again(
    autojump_clock: Jumping,
) -> None:
    gone = Outcome(status=410, error="answered 410", final=True)
    async with world(Receiver(lambda _: gone)) as it:
        created = await it.create()
        await it.notify()
        await it.days(2)
        assert len(it.receiver.got) == 1
        endpoint = await it.webhooks.endpoint("t1", created.endpoint.id)
        assert endpoint.disabled_reason == "gone"


# -- sent again -------------------------------------------------------------------------------


async def test_sent_again_it_is_one_more_attempt_with_the_same_id(autojump_clock: Jumping) -> None:
    async with world() as it:
        created = await it.create()
        await it.notify()
        await it.days(1)
        (first,) = await it.attempts(created)
        assert await it.webhooks.resend("t1", first.id) == it.receiver.ids[0]
        await it.days(1)
        assert len(it.receiver.got) == 2
        assert len(set(it.receiver.ids)) == 1
        assert len({got.text for got in it.receiver.got}) == 1
        again = (await it.attempts(created))[0]
        assert (again.attempt.number, again.attempt.resend) == (2, True)


@pytest.mark.parametrize("attempt_id", ["", "x", "a/b", "0" * 36 + ".1", "1.1", "é.1"])
async def test_what_is_no_attempt_is_not_found(attempt_id: str, autojump_clock: Jumping) -> None:
    async with world() as it:
        with pytest.raises(NotFound):
            await it.webhooks.resend("t1", attempt_id)


# -- secrets ----------------------------------------------------------------------------------


async def test_after_a_rotation_old_and_new_secret_verify_and_a_day_later_only_the_new(
    autojump_clock: Jumping,
) -> None:
    async with world() as it:
        old = await it.create()
        new = await it.webhooks.rotate("t1", old.endpoint.id, by="u1")
        assert new.secret != old.secret
        await it.notify("during")
        await it.days(1.1)
        await it.notify("later")
        await it.days(1)
        during, later = it.receiver.got
        assert verifies(old.secret, during)
        assert verifies(new.secret, during)
        assert verifies(new.secret, later)
        assert not verifies(old.secret, later)


async def test_a_retry_signs_with_the_secrets_of_its_own_time(autojump_clock: Jumping) -> None:
    answers = [REFUSED, TAKEN]
    async with world(Receiver(lambda _: answers.pop(0))) as it:
        old = await it.create()
        await it.notify()
        await trio.sleep(1)
        new = await it.webhooks.rotate("t1", old.endpoint.id, by="u1")
        await it.days(1)
        first, second = it.receiver.got
        assert not verifies(new.secret, first)
        assert verifies(new.secret, second)


async def test_webhook_secrets_are_sealed_so_that_a_dump_holds_none(
    autojump_clock: Jumping,
) -> None:
    async with world() as it:
        created = await it.create()
        rotated = await it.webhooks.rotate("t1", created.endpoint.id, by="u1")
        await it.notify()
        await it.days(1)
        async with it.store.export() as lines:
            dump = b"".join([line async for line in lines])
        for secret in (created.secret, rotated.secret):
            assert secret.encode() not in dump
            assert secret.removeprefix("whsec_").encode() not in dump
            assert secret not in repr((created, rotated))


# -- whose ------------------------------------------------------------------------------------


async def test_another_tenants_endpoint_and_attempts_are_not_found_like_unknown_ones(
    autojump_clock: Jumping,
) -> None:
    async with world() as it:
        created = await it.create()
        await it.notify()
        await it.days(1)
        (attempt,) = await it.attempts(created)
        id_, webhooks = created.endpoint.id, it.webhooks
        for tenant_id, endpoint_id in (("t2", id_), ("t1", id_[:-1] + "x"), ("t1", "a/b")):
            for read in (webhooks.endpoint, webhooks.attempts):
                with pytest.raises(NotFound):
                    await read(tenant_id, endpoint_id)
            for change in (webhooks.rotate, webhooks.enable, webhooks.delete):
                with pytest.raises(NotFound):
                    await change(tenant_id, endpoint_id, by="u1")
        with pytest.raises(NotFound):
            await webhooks.resend("t2", attempt.id)
        assert (await webhooks.endpoint("t1", id_)).enabled


async def test_the_number_of_endpoints_is_bounded_also_under_a_race(
    autojump_clock: Jumping,
) -> None:
    async with world() as it:
        refused = []

        async def create() -> None:
            try:
                await it.create()
            except TooManyWebhooks:
                refused.append(1)

        async with trio.open_nursery() as nursery:
            for _ in range(MAX_ENDPOINTS + 9):
                nursery.start_soon(create)
        assert len(refused) == 9
        endpoints = await it.webhooks.endpoints("t1")
        assert len(endpoints) == MAX_ENDPOINTS
        await it.create("t2")
        await it.webhooks.delete("t1", endpoints[3].id, by="u1")
        await it.create()
        with pytest.raises(TooManyWebhooks):
            await it.create()


@pytest.mark.parametrize("url", ["http://example.com/", "https://127.0.0.1/", "nonsense"])
async def test_a_url_that_could_not_be_sent_to_is_refused_at_once(
    url: str, autojump_clock: Jumping
) -> None:
    async with world() as it:
        with pytest.raises(FieldInvalid):
            await it.create(url=url)
        assert await it.webhooks.endpoints("t1") == []


# -- deleted and forgotten --------------------------------------------------------------------


async def test_a_deleted_endpoint_is_told_nothing_more_and_leaves_nothing_behind(
    autojump_clock: Jumping,
) -> None:
    async with world(Receiver(lambda _: REFUSED)) as it:
        created = await it.create()
        await it.notify()
        await trio.sleep(2)
        await it.webhooks.delete("t1", created.endpoint.id, by="u1")
        sent = len(it.receiver.got)
        await it.notify("later")
        await it.days(2)
        assert len(it.receiver.got) == sent
        assert (await it.store.load(f"webhook/{created.endpoint.id}")).seq == 0
        with pytest.raises(NotFound):
            await it.webhooks.attempts("t1", created.endpoint.id)


async def test_ended_deliveries_are_erased_after_a_month(autojump_clock: Jumping) -> None:
    async with world(looks_every_s=3_600) as it:
        created = await it.create()
        await it.notify()
        await it.days(1)
        assert len(await it.attempts(created)) == 1
        await it.days(KEPT.days)
        assert await it.attempts(created) == ()
        rows = await it.store.list_rows(ListQuery(kind="delivery"))
        assert rows.entries == ()


# -- pages ------------------------------------------------------------------------------------


async def test_attempts_come_in_pages_that_neither_repeat_nor_miss_while_more_are_made(
    autojump_clock: Jumping,
) -> None:
    async with world(Receiver(lambda _: REFUSED)) as it:
        created = await it.create()
        for number in range(7):
            await it.notify(f"s{number}")
            await trio.sleep(60)
        everything = [one.id for one in await it.attempts(created)]
        seen: list[str] = []
        cursor = None
        while True:
            page = await it.webhooks.attempts("t1", created.endpoint.id, limit=4, cursor=cursor)
            assert len(page.attempts) <= 4
            seen += [one.id for one in page.attempts]
            if page.next_cursor is None:
                break
            cursor = page.next_cursor
            await it.notify(f"new{len(seen)}")
            await trio.sleep(3)
        assert len(set(seen)) == len(seen)
        assert [one for one in seen if one in everything] == everything
        assert len(everything) >= 14


@pytest.mark.parametrize("cursor", ["", "x", "é", "WyJ4Iiwi", "bnVsbA"])
async def test_a_made_up_cursor_is_refused(cursor: str, autojump_clock: Jumping) -> None:
    async with world() as it:
        created = await it.create()
        with pytest.raises(CursorInvalid):
            await it.attempts(created, cursor=cursor)


# -- across restarts --------------------------------------------------------------------------


async def test_what_a_stop_left_undelivered_is_delivered_by_the_next_start_under_its_id(
    autojump_clock: Jumping,
) -> None:
    disk = MemoryDisk()
    async with world(Receiver(lambda _: REFUSED), disk=disk) as it:
        created = await it.create()
        notes = [await it.notify(f"s{number}") for number in range(5)]
        await trio.sleep(3)
    async with world(disk=disk, seed=1) as it:
        await it.days(1)
        assert sorted(it.receiver.ids) == sorted(note.event_id for note in notes)
        assert all(verifies(created.secret, got) for got in it.receiver.got)
        await it.days(1)
        assert len(it.receiver.got) == 5


async def test_an_attempt_that_a_stop_cut_off_is_made_again(autojump_clock: Jumping) -> None:
    disk = MemoryDisk()
    async with world(Receiver(takes_s=60), disk=disk) as it:
        await it.create()
        note = await it.notify()
        await trio.sleep(1)
        assert it.receiver.ids == [note.event_id]
    async with world(disk=disk, seed=1) as it:
        await it.days(1)
        assert it.receiver.ids == [note.event_id]


async def test_an_endpoint_whose_erasure_failed_is_gone_at_once_and_erased_later(
    autojump_clock: Jumping, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = MemoryDisk()
    async with world(disk=disk) as it:
        created = await it.create()

        async def fail(stream: str, *, epoch: int) -> None:
            raise StoreUnavailable("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(
                MemoryStore, "erase", lambda store, stream, *, epoch: fail(stream, epoch=epoch)
            )
            with pytest.raises(ActorCrashed):
                await it.webhooks.delete("t1", created.endpoint.id, by="u1")
        assert await it.webhooks.endpoints("t1") == []
        with pytest.raises(NotFound):
            await it.webhooks.endpoint("t1", created.endpoint.id)
    async with world(disk=disk, seed=1) as it:
        await it.days(0.1)
        assert (await it.store.load(f"webhook/{created.endpoint.id}")).seq == 0


# -- who may ----------------------------------------------------------------------------------


async def test_nothing_of_an_endpoint_changes_but_what_was_permitted_before(
    autojump_clock: Jumping,
) -> None:
    asked: list[tuple[str, str]] = []
    refused: set[str] = set()

    async def permit(change: Change) -> None:
        await trio.lowlevel.checkpoint()
        asked.append((change.deed, change.by))
        if change.deed in refused:
            raise NotAllowed("not for you")

    async with world(permit=permit) as it:
        created = await it.create()
        id_ = created.endpoint.id
        refused |= {"created", "rotated", "deleted"}
        for attempt in (
            it.create(),
            it.webhooks.rotate("t1", id_, by="u2"),
            it.webhooks.delete("t1", id_, by="u2"),
        ):
            with pytest.raises(NotAllowed):
                await attempt
        assert await it.webhooks.endpoints("t1") == [created.endpoint]
        assert await it.webhooks.enable("t1", id_, by="u2") == created.endpoint
        assert asked == [("created", "u1"), ("created", "u1"), ("rotated", "u2"), ("deleted", "u2")]
        with pytest.raises(NotFound):
            await it.webhooks.rotate("t2", id_, by="u2")
        assert len(asked) == 4


# -- under load -------------------------------------------------------------------------------


async def test_a_hanging_endpoint_holds_up_no_other(autojump_clock: Jumping) -> None:
    class Mixed(Receiver):
        async def __call__(self, outgoing):
            self.takes_s = 15 if "hangs" in outgoing.url else 0.1
            return await super().__call__(outgoing)

    async with world(Mixed()) as it:
        await it.create(url="https://hangs.example/")
        await it.create(url="https://answers.example/")
        for number in range(100):
            await it.notify(f"s{number}")
        await trio.sleep(5)
        answered = [got for got in it.receiver.got if "answers" in got.url]
        assert len(answered) == 100
        await it.days(1)
        assert len(it.receiver.got) == 200
        assert len(set(it.receiver.ids)) == 100


async def test_a_backlog_is_delivered_as_fast_as_its_endpoint_takes_it(
    autojump_clock: Jumping,
) -> None:
    receiver, number = Receiver(takes_s=0.1), 1_000
    async with world(receiver) as it:
        await it.create()
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for one in range(number):
                nursery.start_soon(it.notify, f"s{one}")
        # Four at a time, a tenth of a second each: nobody waits for a timer.
        await trio.sleep(began + number / 4 * 0.1 + 3 - trio.current_time())
        assert len(receiver.got) == len(set(receiver.ids)) == number


async def test_the_same_seed_gives_the_same_attempts(autojump_clock: Jumping) -> None:
    runs = []
    for _ in range(2):
        start = trio.current_time()
        async with world(Receiver(lambda _: REFUSED), seed=5) as it:
            await it.create()
            await it.notify(at=SeededClock(5).now())
            await it.days(1)
            runs.append([(got.at.timestamp() - start) // 1 for got in it.receiver.got])
    assert runs[0] == runs[1]
