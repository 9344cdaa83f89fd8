"""Hosted sessions over REST: who may, what is answered, and how it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import trio

from actors.partner.hosted import Begin, GiveAnswer, digest_of
from tests.actors.partner.hosted.test_receipts import verified
from tests.api.partner.partnering import Counter, bearer, partnering
from tests.api.wire import lined

URL = "https://yourapp.com/callback"
SEED = {"return_url": URL, "metadata": {"user_id": "user-123", "transaction_id": "txn-456"}}


class Callers:
    """One tenant's person and both its keys."""

    def __init__(self, it: Counter) -> None:
        self.it = it

    async def open(self, email: str = "ada@example.com") -> Callers:
        person = await self.it.sign_up(email)
        self.tenant_id = person.user["tenant_id"]
        self.user = person.bearer
        self.sandbox = bearer((await self.it.generate_key(person))["api_key"])
        self.production = bearer((await self.it.generate_key(person, "production"))["api_key"])
        return self

    async def create(
        self, headers: dict[str, str] | None = None, body: Any = None, **more: str
    ) -> httpx.Response:
        headers = headers or self.sandbox
        path = "/sessions" if headers is self.user else "/sessions/create"
        return await self.it.post(path, body or SEED, headers | more)

    async def open_session(self, headers: dict[str, str] | None = None, body: Any = None) -> str:
        answer = await self.create(headers, body)
        assert answer.status_code == 201, answer.text
        session_id: str = answer.json()["session_id"]
        return session_id


async def test_the_seeds_request_makes_a_session_that_can_be_read(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await Callers(it).open()
        answer = await who.create()
        made = answer.json()
        assert answer.status_code == 201
        assert made["state"] == "pending"
        assert made["session_url"].startswith(f"http://127.0.0.1:{it.port}/s/")
        token = made["session_url"].rpartition("/")[2]
        assert len(token) >= 22
        assert token != made["session_id"]
        for headers in (who.sandbox, who.user):
            read = (await it.get(f"/sessions/{made['session_id']}", headers)).json()
            assert read["metadata"] == SEED["metadata"]
            assert read["expires_at"] == made["expires_at"]
            assert (read["environment"], read["flow"]) == ("sandbox", "consent")
            assert token not in str(read)


async def test_each_route_takes_its_own_kind_of_credential(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await Callers(it).open()
        session_id = await who.open_session()
        refused = [
            await it.post("/sessions", SEED, who.sandbox),
            await it.post("/sessions/create", SEED, who.user),
            await it.get("/sessions", who.sandbox),
            await it.post("/sessions", SEED),
            await it.post("/sessions/create", SEED),
            await it.get("/sessions"),
            await it.get(f"/sessions/{session_id}"),
            await it.get(f"/sessions/{session_id}/results"),
            await it.get(f"/sessions/{session_id}/events"),
            await it.post(f"/sessions/{session_id}/cancel"),
        ]
        assert [answer.status_code for answer in refused] == [401] * len(refused)
        assert all(set(answer.json()) == {"detail"} for answer in refused)
        for headers in (who.user, who.sandbox):
            for path in ("", "/results"):
                assert (await it.get(f"/sessions/{session_id}{path}", headers)).status_code == 200
        assert (await it.get("/sessions", who.user)).status_code == 200


async def test_a_strangers_session_is_a_404_like_one_that_is_not_there(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        ours, theirs = await Callers(it).open(), await Callers(it).open("eve@example.com")
        session_id = await ours.open_session(ours.production)
        for headers in (theirs.user, theirs.production, ours.sandbox):
            for method, path in (
                ("GET", ""),
                ("GET", "/results"),
                ("GET", "/events"),
                ("POST", "/cancel"),
            ):
                with trio.fail_after(20):  # a stream that were opened would not end
                    there, nowhere = [
                        await it.client.request(
                            method, f"/api/v1/sessions/{one}{path}", headers=headers
                        )
                        for one in (session_id, "0b5c2f3e-0000-4000-8000-000000000000")
                    ]
                assert there.status_code == nowhere.status_code == 404
                assert there.json() == nowhere.json() == {"detail": "Session not found"}
        listed = (await it.get("/sessions", theirs.user)).json()
        assert listed == {"sessions": [], "next_cursor": None}
        assert (await it.get(f"/sessions/{session_id}", ours.user)).json()["state"] == "pending"


async def test_a_dashboard_create_is_sandbox_unless_it_says_production(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await Callers(it).open()
        sandbox = await who.open_session(who.user)
        production = await who.open_session(who.user, SEED | {"environment": "production"})
        assert (await it.get(f"/sessions/{sandbox}", who.sandbox)).status_code == 200
        assert (await it.get(f"/sessions/{sandbox}", who.production)).status_code == 404
        assert (await it.get(f"/sessions/{production}", who.production)).status_code == 200
        listed = (await it.get("/sessions", who.user)).json()["sessions"]
        assert [one["session_id"] for one in listed] == [production, sandbox]
        only = (await it.get("/sessions?environment=sandbox", who.user)).json()["sessions"]
        assert [one["session_id"] for one in only] == [sandbox]
        other = await who.create(who.sandbox, SEED | {"environment": "production"})
        assert other.status_code == 400


async def test_lists_filter_by_state_and_page_by_cursor(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await Callers(it).open()
        ids = [await who.open_session() for _ in range(5)]
        await it.post(f"/sessions/{ids[2]}/cancel", headers=who.sandbox)
        found: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            query = f"?limit=2&cursor={cursor}" if cursor else "?limit=2"
            page = (await it.get(f"/sessions{query}", who.user)).json()
            found += [one["session_id"] for one in page["sessions"]]
            cursor = page["next_cursor"]
        assert found == ids[::-1]
        cancelled = (await it.get("/sessions?state=cancelled", who.user)).json()["sessions"]
        assert [one["session_id"] for one in cancelled] == [ids[2]]
        for query in ("limit=0", "limit=101", "state=done", "environment=x", "cursor=made-up"):
            answer = await it.get(f"/sessions?{query}", who.user)
            assert answer.status_code == 400
            assert query.partition("=")[0] in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "return_url"),
        ({"return_url": 5}, "return_url"),
        ({"return_url": None}, "return_url"),
        ({"return_url": "javascript:alert(1)"}, "return_url"),
        ({"return_url": "https://user@yourapp.com/"}, "return_url"),
        ({"return_url": "//yourapp.com/"}, "return_url"),
        ({"return_url": URL, "metadata": []}, "metadata"),
        ({"return_url": URL, "metadata": {"a": "x" * 20_000}}, "metadata"),
        ({"return_url": URL, "flow": "unknown"}, "flow"),
        ({"return_url": URL, "purpose": 7}, "purpose"),
        ({"return_url": URL, "purpose": "x" * 501}, "purpose"),
        ({"return_url": URL, "environment": "live"}, "environment"),
    ],
)
async def test_what_is_wrong_with_a_create_is_named_and_costs_nothing(
    tmp_path: Path, body: dict[str, Any], field: str
) -> None:
    async with partnering(tmp_path) as it:
        who = await Callers(it).open()
        for headers in (who.sandbox, who.user):
            answer = await it.post(
                "/sessions" if headers is who.user else "/sessions/create", body, headers
            )
            assert answer.status_code == 400
            assert field in answer.json()["detail"]
        assert (await it.get("/usage", who.user)).json()["used"] == 0


async def test_fifty_parallel_creates_under_one_key_are_one_session(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await Callers(it).open()
        answers: list[httpx.Response] = []

        async def create() -> None:
            answers.append(await who.create(**{"Idempotency-Key": "order-7"}))

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(create)
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.text for answer in answers}) == 1
        replayed = [answer.headers.get("Idempotent-Replayed") for answer in answers]
        assert replayed.count("true") == 49
        assert (await it.get("/usage", who.user)).json()["used"] == 1
        other = await who.create(body=SEED | {"purpose": "x"}, **{"Idempotency-Key": "order-7"})
        assert other.status_code == 422
        assert "Idempotency-Key" in other.json()["detail"]


async def test_two_idempotency_keys_at_once_are_refused(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await Callers(it).open()
        keys = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
        answer = await it.client.post(
            "/api/v1/sessions/create", json=SEED, headers=[*who.sandbox.items(), *keys]
        )
        assert answer.status_code == 400
        assert "Idempotency-Key" in answer.json()["detail"]
        assert (await it.get("/usage", who.user)).json()["used"] == 0


async def test_one_key_of_another_tenant_or_environment_is_another_key(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        ours, theirs = await Callers(it).open(), await Callers(it).open("eve@example.com")
        made = [
            await who.create(headers, **{"Idempotency-Key": "order-7"})
            for who, headers in (
                (ours, ours.sandbox),
                (ours, ours.production),
                (theirs, theirs.sandbox),
            )
        ]
        assert [answer.status_code for answer in made] == [201] * 3
        assert len({answer.json()["session_id"] for answer in made}) == 3


async def test_a_hundred_racing_creates_at_a_quota_of_fifty_make_fifty(tmp_path: Path) -> None:
    limits = {"monthly_quota": 50, "max_active": 1_000, "rate_limit_per_minute": 10_000}
    async with partnering(tmp_path, **limits) as it:
        who = await Callers(it).open()
        statuses: list[int] = []

        async def create() -> None:
            statuses.append((await who.create()).status_code)

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(create)
        assert sorted(statuses) == [201] * 50 + [429] * 50
        assert (await it.get("/usage", who.user)).json()["used"] == 50


async def test_cancelling_is_idempotent_and_the_wrong_end_is_a_conflict(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await Callers(it).open()
        session_id = await who.open_session()
        first = await it.post(f"/sessions/{session_id}/cancel", headers=who.sandbox)
        again = await it.post(f"/sessions/{session_id}/cancel", headers=who.user)
        assert first.status_code == again.status_code == 200
        assert first.json() == again.json()
        assert (first.json()["state"], first.json()["reason"]) == ("cancelled", "by_partner")
        done = await finished(it, await who.open_session())
        late = await it.post(f"/sessions/{done}/cancel", headers=who.sandbox)
        assert late.status_code == 409
        assert late.json() == {"detail": "A session that is completed cannot be cancelled"}


async def finished(it: Counter, session_id: str, choice: str = "agree") -> str:
    desk = it.partner.hosted
    await desk.ask(session_id, Begin(browser="a"))
    await desk.ask(session_id, GiveAnswer(browser="a", step="consent", answer={"choice": choice}))
    with trio.fail_after(40):
        while not (await desk.look(session_id)).session.has_ended:
            await trio.lowlevel.checkpoint()
    return session_id


async def test_results_have_a_receipt_that_verifies_with_the_published_keys(
    tmp_path: Path,
) -> None:
    async with partnering(tmp_path) as it:
        who = await Callers(it).open()
        session_id = await who.open_session()
        waiting = (await it.get(f"/sessions/{session_id}/results", who.sandbox)).json()
        assert (waiting["state"], waiting["result"], waiting["receipt"]) == ("pending", None, None)
        await finished(it, session_id)
        results = (await it.get(f"/sessions/{session_id}/results", who.sandbox)).json()
        assert (results["state"], results["result"]) == ("completed", {"agreed": True})
        keys = (await it.client.get("/.well-known/jwks.json")).json()["keys"]
        claims = verified(results["receipt"], keys)
        assert claims["aud"] == who.tenant_id
        assert (claims["sub"], claims["state"], claims["env"]) == (
            session_id,
            "completed",
            "sandbox",
        )
        assert all("d" not in key for key in keys)


async def test_the_stream_has_the_whole_life_and_ends_with_it(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await Callers(it).open()
        session_id = await who.open_session()
        path = f"/api/v1/sessions/{session_id}/events?after=0"
        header = (b"authorization", who.sandbox["Authorization"].encode())
        async with lined(it.port, path, (header,)) as line:
            await line.until("session.created")
            await finished(it, session_id)
            assert (await line.closed()).code == 1000
        seen = [(event["type"], event["data"]["state"]) for event in line.events]
        assert seen == [
            ("session.created", "pending"),
            ("session.updated", "in_progress"),
            ("session.updated", "processing"),
            ("session.completed", "completed"),
        ]
        last = line.events[-1]
        assert last["data"] == (await it.get(f"/sessions/{session_id}", who.sandbox)).json()
        headers = who.sandbox | {"Last-Event-ID": str(last["seq"])}
        assert (await it.client.get(path, headers=headers)).status_code == 204


async def test_what_a_tenant_is_sent_says_nothing_of_the_visitors_side(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await Callers(it).open()
        created = (await who.create()).json()
        session_id, token = created["session_id"], created["session_url"].rpartition("/")[2]
        path = f"/api/v1/sessions/{session_id}/events?after=0"
        header = (b"authorization", who.sandbox["Authorization"].encode())
        async with lined(it.port, path, (header,)) as line:
            await line.until("session.created")  # from the log; what comes now is published
            await finished(it, session_id)
            await line.closed()
        sse = await it.client.get(path, headers=who.sandbox)
        data = [text[6:] for text in sse.text.splitlines() if text.startswith("data: ")]
        events = [msgspec.json.decode(text) for text in data[1:]]
        assert events == line.events
        assert len(events) == 4
        for event in events:
            assert list(event) == ["type", "seq", "at", "data"]
        assert events[-1]["data"] == (await it.get(f"/sessions/{session_id}", who.user)).json()
        visit = (await it.partner.hosted.look(session_id)).visit
        for private in (visit.tenant_id, visit.receipt_id, digest_of(token), "visit"):
            assert private not in sse.text
            assert all(private not in str(frame) for frame in line.frames)
