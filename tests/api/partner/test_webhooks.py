"""Webhooks over HTTP: made, shown, rotated, delivered to a real receiver, sent again, deleted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import trio
from standardwebhooks import Webhook

from actors.partner.tenants.records import QuotaReached
from actors.partner.webhooks import EVENT_TYPES, MAX_ENDPOINTS, Notification
from api.partner.webhooks import quota_notification
from tests.actors.partner.webhooks.receiver import SocketReceiver, answer, receiving
from tests.api.partner.partnering import (
    PASSWORD,
    Counter,
    Person,
    bearer,
    partnering,
    person,
)

URL = "https://example.com/hooks"
UNKNOWN = "0" * 8 + "-0000-0000-0000-" + "0" * 12


async def create(it: Counter, who: Person, **fields: Any) -> dict[str, Any]:
    answer = await it.post("/webhooks", {"url": URL} | fields, who.bearer)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def note(who: Person, session_id: str = "s1") -> Notification:
    return Notification(
        tenant_id=who.user["tenant_id"],
        environment="sandbox",
        type="session.completed",
        subject=session_id,
        seq=4,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        data=msgspec.json.encode({"session_id": session_id, "state": "completed"}),
    )


async def attempts(it: Counter, who: Person, webhook_id: str) -> list[dict[str, Any]]:
    answer = await it.get(f"/webhooks/{webhook_id}/attempts", who.bearer)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["attempts"]
    return found


async def arrived(receiver: SocketReceiver, number: int) -> None:
    with trio.fail_after(40):
        while len(receiver.got) < number:
            await trio.sleep(0.02)


async def recorded(it: Counter, who: Person, webhook_id: str, number: int) -> list[dict[str, Any]]:
    with trio.fail_after(40):
        while len(found := await attempts(it, who, webhook_id)) < number:
            await trio.sleep(0.02)
    return found


def is_written(text: str, folder: Path) -> bool:
    return any(text.encode() in file.read_bytes() for file in folder.glob("mooring.db*"))


async def test_a_secret_is_shown_when_it_is_made_and_never_again(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        made = await create(it, who)
        assert made["secret"].startswith("whsec_")
        assert made["events"] == list(EVENT_TYPES)
        assert made["status"] == "enabled"
        listed = await it.get("/webhooks", who.bearer)
        (shown,) = listed.json()["webhooks"]
        assert shown == {key: value for key, value in made.items() if key != "secret"}
        rotated = (await it.post(f"/webhooks/{made['id']}/rotate", None, who.bearer)).json()
        assert rotated["secret"] not in {made["secret"], None}
        assert rotated["old_secret_signs_until"] is not None
    for secret in (made["secret"], rotated["secret"]):
        assert not is_written(secret.removeprefix("whsec_"), tmp_path)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": 5}, "url"),
        ({"url": "http://example.com/"}, "url"),
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "url"),
        ({"url": "https://user:pw@example.com/"}, "url"),
        ({"url": "https://example.com/" + "x" * 5_000}, "url"),
        ({"url": URL, "events": []}, "events"),
        ({"url": URL, "events": "session.completed"}, "events"),
        ({"url": URL, "events": ["session.created"]}, "events"),
        ({"url": URL, "events": [["session.completed"]]}, "events"),
    ],
)
async def test_what_cannot_be_is_refused_naming_the_field(
    tmp_path: Path, body: dict[str, Any], field: str
) -> None:
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        refused = await it.post("/webhooks", body, who.bearer)
        assert refused.status_code == 400
        assert field in refused.json()["detail"]
        assert (await it.get("/webhooks", who.bearer)).json() == {"webhooks": []}


async def _every_route(
    it: Counter, webhook_id: str, attempt_id: str, headers: dict[str, str]
) -> list[httpx.Response]:
    own = f"/api/v1/webhooks/{webhook_id}"
    calls = [
        ("POST", f"{own}/rotate"),
        ("POST", f"{own}/enable"),
        ("GET", f"{own}/attempts"),
        ("POST", f"/api/v1/webhooks/attempts/{attempt_id}/resend"),
        ("POST", f"{own}/attempts/{attempt_id}/resend"),
        ("DELETE", own),
    ]
    return [await it.client.request(method, path, headers=headers) for method, path in calls]


async def test_another_tenants_webhook_is_a_404_like_an_unknown_one(tmp_path: Path) -> None:
    async with receiving() as receiver, partnering(tmp_path, webhook_allow_private=True) as it:
        ada, eve = await it.sign_up(), await it.sign_up("eve@example.com")
        made = await create(it, ada, url=f"http://127.0.0.1:{receiver.port}/")
        await it.partner.webhooks.notify(note(ada))
        (attempt,) = await recorded(it, ada, made["id"], 1)
        others = await _every_route(it, made["id"], attempt["id"], eve.bearer)
        unknown = await _every_route(it, UNKNOWN, f"{UNKNOWN}.1", eve.bearer)
        assert [one.status_code for one in others + unknown] == [404] * 12
        assert [one.json() for one in others] == [one.json() for one in unknown]
        assert (await it.get("/webhooks", eve.bearer)).json() == {"webhooks": []}
        assert len((await it.get("/webhooks", ada.bearer)).json()["webhooks"]) == 1
        assert len(receiver.got) == 1


async def test_an_api_key_is_refused_on_every_route(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        made = await create(it, who)
        key = bearer((await it.generate_key(who))["api_key"])
        answers = await _every_route(it, made["id"], f"{UNKNOWN}.1", key)
        answers += [await it.get("/webhooks", key), await it.post("/webhooks", {"url": URL}, key)]
        answers += await _every_route(it, made["id"], f"{UNKNOWN}.1", {})
        assert {answer.status_code for answer in answers} == {401}


async def test_the_number_of_webhooks_is_bounded(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        for _ in range(MAX_ENDPOINTS):
            await create(it, who)
        refused = await it.post("/webhooks", {"url": URL}, who.bearer)
        assert refused.status_code == 409
        assert str(MAX_ENDPOINTS) in refused.json()["detail"]


async def test_it_is_delivered_signed_shown_and_sent_again_under_the_same_id(
    tmp_path: Path,
) -> None:
    async with receiving() as receiver, partnering(tmp_path, webhook_allow_private=True) as it:
        who = await it.sign_up()
        made = await create(it, who, url=f"http://127.0.0.1:{receiver.port}/hooks")
        await it.partner.webhooks.notify(note(who))
        await arrived(receiver, 1)
        request = receiver.got[0]
        payload = Webhook(made["secret"]).verify(request.body, request.headers)
        assert payload == {
            "id": request.headers["webhook-id"],
            "type": "session.completed",
            "seq": 4,
            "timestamp": "2026-01-01T00:00:00.000Z",
            "data": {"session_id": "s1", "state": "completed"},
        }
        (shown,) = await recorded(it, who, made["id"], 1)
        assert (shown["status"], shown["response"], shown["error"]) == (200, "thanks", None)
        assert (shown["event_id"], shown["state"], shown["subject"]) == (
            payload["id"],
            "delivered",
            "s1",
        )
        assert shown["duration_ms"] >= 0
        for path in (
            f"/webhooks/attempts/{shown['id']}/resend",
            f"/webhooks/{made['id']}/attempts/{shown['id']}/resend",
        ):
            again = await it.post(path, None, who.bearer)
            assert again.status_code == 202
            assert again.json()["event_id"] == payload["id"]
        await arrived(receiver, 3)
        assert {one.headers["webhook-id"] for one in receiver.got} == {payload["id"]}
        assert len({one.body for one in receiver.got}) == 1


async def test_a_webhook_that_refuses_is_shown_with_what_it_said(tmp_path: Path) -> None:
    async with (
        receiving(lambda stream: answer(stream, 500, b"<b>out of order</b>")) as receiver,
        partnering(tmp_path, webhook_allow_private=True) as it,
    ):
        who = await it.sign_up()
        made = await create(it, who, url=f"http://127.0.0.1:{receiver.port}/")
        await it.partner.webhooks.notify(note(who))
        shown = (await recorded(it, who, made["id"], 1))[0]
        assert (shown["status"], shown["error"]) == (500, "answered 500")
        assert shown["response"] == "<b>out of order</b>"
        assert shown["state"] == "pending"
        assert shown["next_attempt_at"] > shown["at"]


async def test_a_deleted_webhook_is_told_nothing(tmp_path: Path) -> None:
    async with receiving() as receiver, partnering(tmp_path, webhook_allow_private=True) as it:
        who = await it.sign_up()
        made = await create(it, who, url=f"http://127.0.0.1:{receiver.port}/")
        own = f"/api/v1/webhooks/{made['id']}"
        assert (await it.client.delete(own, headers=who.bearer)).status_code == 204
        assert (await it.client.delete(own, headers=who.bearer)).status_code == 404
        await it.partner.webhooks.notify(note(who))
        assert (await it.get("/webhooks", who.bearer)).json() == {"webhooks": []}
    assert receiver.connections == 0


async def test_without_leave_nothing_inside_is_connected_to(tmp_path: Path) -> None:
    async with receiving() as receiver, partnering(tmp_path) as it:
        who = await it.sign_up()
        # A name of this machine that is not told by its look, where there is one.
        made = await create(it, who, url=f"https://ip6-localhost:{receiver.port}/")
        await it.partner.webhooks.notify(note(who))
        shown = (await recorded(it, who, made["id"], 1))[0]
        assert shown["status"] is None
        assert shown["error"]
    assert receiver.connections == 0


@pytest.mark.parametrize("cursor", ["x", "WyJ4Iiwi"])
async def test_a_made_up_cursor_is_a_400(tmp_path: Path, cursor: str) -> None:
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        made = await create(it, who)
        answer = await it.get(f"/webhooks/{made['id']}/attempts?cursor={cursor}", who.bearer)
        assert answer.status_code == 400


def test_a_quota_that_is_used_up_is_news_of_its_own() -> None:
    reached = QuotaReached(
        seq=9,
        at="2026-01-31T00:00:00.000Z",
        type="quota.exceeded",
        environment="production",
        month="2026-01",
        used=100,
        limit=100,
    )
    body = msgspec.json.decode(quota_notification("t1", reached).body())
    assert (body["type"], body["seq"]) == ("quota.exceeded", 9)
    assert body["data"] == {
        "environment": "production",
        "month": "2026-01",
        "used": 100,
        "limit": 100,
    }


async def test_a_member_looks_at_webhooks_and_changes_none_of_them(tmp_path: Path) -> None:
    async with receiving() as receiver, partnering(tmp_path, webhook_allow_private=True) as it:
        who = await it.sign_up()
        made = await create(it, who, url=f"http://127.0.0.1:{receiver.port}/")
        await it.partner.webhooks.notify(note(who))
        (attempt,) = await recorded(it, who, made["id"], 1)
        tenant_id = who.user["tenant_id"]
        await it.partner.accounts.add(
            "bob@example.com", PASSWORD, tenant_id=tenant_id, role="member"
        )
        bob = person(await it.log_in("bob@example.com"))
        own = f"/webhooks/{made['id']}"
        for path in (
            "/webhooks",
            f"{own}/rotate",
            f"{own}/enable",
            f"/webhooks/attempts/{attempt['id']}/resend",
            f"{own}/attempts/{attempt['id']}/resend",
        ):
            refused = await it.post(path, {"url": URL}, bob.bearer)
            assert refused.status_code == 403, path
            assert refused.json() == {"detail": "Only an owner of the account may change this"}
        gone = await it.client.delete(f"/api/v1{own}", headers=bob.bearer)
        assert gone.status_code == 403
        assert len((await it.get("/webhooks", bob.bearer)).json()["webhooks"]) == 1
        assert len(await attempts(it, bob, made["id"])) == 1


async def test_changes_of_webhooks_are_on_the_audit_log_without_their_secrets(
    tmp_path: Path,
) -> None:
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        made = await create(it, who, url="https://hooks.example.com/in/who-knows-this-may-post")
        own = f"/webhooks/{made['id']}"
        assert (await it.post(f"{own}/enable", None, who.bearer)).status_code == 200
        rotated = (await it.post(f"{own}/rotate", None, who.bearer)).json()
        await it.client.delete(f"/api/v1{own}", headers=who.bearer)
        refused = await it.post("/webhooks", {"url": "https://127.0.0.1/"}, who.bearer)
        unknown = await it.post(f"/webhooks/{UNKNOWN}/rotate", None, who.bearer)
        assert (refused.status_code, unknown.status_code) == (400, 404)
        audit = await it.get("/audit?limit=3", who.bearer)
        entries = audit.json()["entries"]
        assert [entry["type"] for entry in entries] == [
            "webhook.deleted",
            "webhook.rotated",
            "webhook.created",
        ]
        assert {entry["actor"] for entry in entries} == {who.user["user_id"]}
        for entry in entries:
            assert entry["details"] == {"webhook_id": made["id"], "host": "hooks.example.com"}
        for secret in (made["secret"], rotated["secret"], "who-knows"):
            assert secret not in audit.text
