"""Conversations over REST: what clients of the seed and of the contract see."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import trio

from actors.assistant.settings import AssistantSettings
from tests.api.conversing import CREATE, Talk, conversing

SESSION_FIELDS = {
    "sessionId",
    "businessId",
    "locationId",
    "userId",
    "sessionType",
    "status",
    "title",
    "metadata",
    "messageCount",
    "createdAt",
    "updatedAt",
    "lastActivityAt",
    "version",
}
SLOW = AssistantSettings(echo_pause_s=30)


async def wait_for_reply(talk: Talk, session_id: str, count: int = 1) -> dict[str, Any]:
    async with talk.line(session_id, after=0) as line:
        for _ in range(count):
            frame = await line.until("reply.completed")
    data: dict[str, Any] = frame["data"]
    return data


async def test_the_flow_that_the_seed_desires(tmp_path: Path) -> None:
    async with conversing(tmp_path) as talk:
        active = "/api/sessions/business/B0100001/user/user_123/active"
        missing = await talk.client.get(active)
        assert missing.status_code == 404
        assert missing.json()["error"] == "Not Found"
        made = await talk.client.post("/api/sessions", json=CREATE)
        assert made.status_code == 201
        session = made.json()
        assert session.pop("isNew") is True
        assert set(session) == SESSION_FIELDS
        assert (session["locationId"], session["sessionType"]) == ("L0100001", "general")
        assert (await talk.client.get(active)).json() == session
        history = "/api/sessions/business/B0100001/user/user_123/history?limit=20"
        assert (await talk.client.get(history)).json() == {
            "sessions": [session],
            "nextCursor": None,
        }
        by_id = await talk.client.get(made.headers["location"])
        assert by_id.json() == session
        assert by_id.headers["etag"] == '"1"'


async def test_fifty_racing_creates_for_one_user_make_one_session(tmp_path: Path) -> None:
    async with conversing(tmp_path) as talk:
        answers: list[httpx.Response] = []

        async def create() -> None:
            answers.append(await talk.client.post("/api/sessions", json=CREATE))

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(create)
        assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 49}
        assert len({answer.json()["sessionId"] for answer in answers}) == 1
        assert sum(answer.json()["isNew"] for answer in answers) == 1


async def test_racing_forced_creates_leave_one_active_session_and_close_the_others(
    tmp_path: Path,
) -> None:
    async with conversing(tmp_path) as talk:
        answers: list[dict[str, Any]] = []

        async def create() -> None:
            answers.append(await talk.create(forceNew=True))

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(create)
        assert len({answer["sessionId"] for answer in answers}) == 10
        history = await talk.client.get("/api/sessions/business/B0100001/user/user_123/history")
        states = Counter(one["status"] for one in history.json()["sessions"])
        assert states == {"active": 1, "closed": 9}
        closed = [one for one in history.json()["sessions"] if one["status"] == "closed"]
        assert {one["closedReason"] for one in closed} == {"replaced"}


async def test_a_message_gets_one_reply_and_a_page_goes_on_where_the_last_ended(
    tmp_path: Path,
) -> None:
    async with conversing(tmp_path) as talk:
        session_id = await talk.open_session()
        for number in range(3):
            posted = await talk.post(session_id, f"message {number}", metadata={"n": number})
            assert posted["role"] == "user"
            assert posted["metadata"] == {"n": number}
        await wait_for_reply(talk, session_id, count=3)
        url = f"/api/sessions/{session_id}/messages"
        found: list[dict[str, Any]] = []
        query: dict[str, Any] = {"limit": 4}
        for _ in range(2):
            page = (await talk.client.get(url, params=query)).json()
            found += page["messages"]
            query["cursor"] = page["nextCursor"]
        assert page["nextCursor"] is None
        assert [one["seq"] for one in found] == sorted(one["seq"] for one in found)
        assert Counter(one["role"] for one in found) == {"user": 3, "assistant": 3}
        assert all(one["status"] == "complete" for one in found)
        after = found[2]["seq"]
        assert await talk.messages(session_id, after=after) == found[3:]
        nothing = await talk.client.get(url, params={"updatedAfter": page["seq"]})
        assert nothing.json()["messages"] == []


async def test_a_poller_that_asks_for_changes_gets_the_reply_that_was_finished_since(
    tmp_path: Path,
) -> None:
    async with conversing(tmp_path) as talk:
        session_id = await talk.open_session()
        posted = await talk.post(session_id, "hello there")
        reply = await wait_for_reply(talk, session_id)
        changed = await talk.messages(session_id, updatedAfter=reply["updatedSeq"] - 1)
        assert changed == [reply]
        assert changed[0]["replyTo"] == posted["messageId"]


async def test_a_hundred_parallel_posts_with_one_key_are_one_message_and_one_reply(
    tmp_path: Path,
) -> None:
    async with conversing(tmp_path) as talk:
        session_id = await talk.open_session()
        answers: list[httpx.Response] = []

        async def post() -> None:
            answers.append(
                await talk.client.post(
                    f"/api/sessions/{session_id}/messages",
                    json={"content": "once"},
                    headers={"Idempotency-Key": "the-key"},
                )
            )

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(post)
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.text for answer in answers}) == 1
        await wait_for_reply(talk, session_id)
        assert [one["role"] for one in await talk.messages(session_id)] == ["user", "assistant"]


async def test_a_key_that_is_used_for_another_body_is_refused(tmp_path: Path) -> None:
    async with conversing(tmp_path) as talk:
        url = f"/api/sessions/{await talk.open_session()}/messages"
        key = {"Idempotency-Key": "k"}
        assert (await talk.client.post(url, json={"content": "a"}, headers=key)).status_code == 201
        other = await talk.client.post(url, json={"content": "b"}, headers=key)
        assert other.status_code == 422
        assert other.json()["statusCode"] == 422


async def test_a_retry_of_a_message_that_left_memory_gets_it_from_the_log(tmp_path: Path) -> None:
    async with conversing(tmp_path) as talk:
        session_id = await talk.open_session()
        url = f"/api/sessions/{session_id}/messages"
        key = {"Idempotency-Key": "first"}
        body = {"content": "the first"}
        first = await talk.client.post(url, json=body, headers=key)
        for _ in range(6):  # more than what is kept for prompts
            await talk.post(session_id, "x" * 60_000)
        await wait_for_reply(talk, session_id, count=7)
        assert (await talk.client.post(url, json=body, headers=key)).text == first.text


async def test_the_busy_policies(tmp_path: Path) -> None:
    async with conversing(tmp_path, assistant=SLOW) as talk:
        session_id = await talk.open_session()
        await talk.post(session_id, "one")
        url = f"/api/sessions/{session_id}/messages"
        async with talk.line(session_id, after=0) as line:
            await line.until("reply.started")
            refused = await talk.client.post(url, json={"content": "two", "onBusy": "reject"})
            assert refused.status_code == 409
            assert refused.json()["error"] == "Conflict"
            assert refused.headers["retry-after"]
            await talk.post(session_id, "three")
            await talk.post(session_id, "four", onBusy="interrupt")
            cancelled = await line.until("reply.cancelled")
        assert cancelled["data"]["status"] == "cancelled"


async def test_cancelling_is_idempotent(tmp_path: Path) -> None:
    async with conversing(tmp_path, assistant=SLOW) as talk:
        session_id = await talk.open_session()
        await talk.post(session_id, "one")
        async with talk.line(session_id, after=0) as line:
            await line.until("reply.started")
            for _ in range(3):
                answer = await talk.client.post(f"/api/sessions/{session_id}/cancel")
                assert answer.status_code == 200
            await line.until("reply.cancelled")
        assert [one["status"] for one in await talk.messages(session_id)] == [
            "complete",
            "cancelled",
        ]


async def test_a_patch_is_fenced_by_the_version_it_expects(tmp_path: Path) -> None:
    async with conversing(tmp_path) as talk:
        url = f"/api/sessions/{await talk.open_session()}"

        async def patch(version: str | None, **fields: Any) -> httpx.Response:
            headers = {} if version is None else {"If-Match": version}
            return await talk.client.patch(url, json=fields, headers=headers)

        changed = await patch('"1"', title="Hello", metadata={"a": 1}, locationId="L2")
        assert changed.status_code == 200
        assert (changed.json()["title"], changed.json()["version"]) == ("Hello", 2)
        assert changed.headers["etag"] == '"2"'
        for stale in ('"1"', "1", 'W/"2"', '"x"'):
            answer = await patch(stale, title="Late")
            assert answer.status_code == 412
            assert "has version 2" in answer.json()["message"]
            assert "not -1" not in answer.json()["message"]
        assert (await patch("*", title=None)).json()["title"] is None
        assert (await patch(None, status="closed")).json()["status"] == "closed"
        assert (await patch(None, title="Too late")).status_code == 409
        assert (await patch(None, status="active")).status_code == 409


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"titel": "x"}, "titel"),
        ({"status": "gone"}, "status"),
        ({"title": 3}, "title"),
        ({"metadata": []}, "metadata"),
        ({"locationId": None}, "locationId"),
        ({"sessionType": ""}, "sessionType"),
    ],
)
async def test_a_patch_names_the_field_that_it_refuses(
    tmp_path: Path, body: dict[str, Any], named: str
) -> None:
    async with conversing(tmp_path) as talk:
        answer = await talk.client.patch(f"/api/sessions/{await talk.open_session()}", json=body)
        assert answer.status_code == 400
        assert named in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "businessId, userId"),
        ({"businessId": "", "userId": "u"}, "businessId"),
        ({"businessId": 1, "userId": "u"}, "businessId"),
        ({"businessId": "b", "userId": "u\u0001"}, "userId"),
        ({"businessId": "b", "userId": "u" * 129}, "userId"),
        ({"businessId": "b", "userId": "u", "forceNew": "yes"}, "forceNew"),
        ({"businessId": "b", "userId": "u", "metadata": {"n": 10**30}}, "metadata"),
    ],
)
async def test_a_create_names_the_field_that_it_refuses(
    tmp_path: Path, body: dict[str, Any], named: str
) -> None:
    async with conversing(tmp_path) as talk:
        answer = await talk.client.post("/api/sessions", json=body)
        assert answer.status_code == 400
        assert answer.json()["error"] == "Bad Request"
        assert named in answer.json()["message"]


async def test_a_create_is_checked_whether_or_not_there_is_a_session_already(
    tmp_path: Path,
) -> None:
    async with conversing(tmp_path) as talk:
        await talk.create()
        for fields in ({"title": "\0"}, {"metadata": {"a": "\0"}}, {"sessionType": "x" * 200}):
            answer = await talk.client.post("/api/sessions", json=CREATE | fields)
            assert answer.status_code == 400, fields


async def test_a_deleted_session_is_gone_for_everybody(tmp_path: Path) -> None:
    async with conversing(tmp_path) as talk:
        session_id = await talk.open_session()
        await talk.post(session_id, "hello")
        url = f"/api/sessions/{session_id}"
        answers: list[int] = []

        async def delete() -> None:
            answers.append((await talk.client.delete(url)).status_code)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(delete)
        assert 204 in answers
        assert set(answers) <= {204, 404}
        gone = {
            "statusCode": 404,
            "message": f"Session {session_id} not found",
            "error": "Not Found",
        }
        for method, path in (
            ("GET", url),
            ("PATCH", url),
            ("DELETE", url),
            ("GET", f"{url}/messages"),
            ("POST", f"{url}/messages"),
            ("POST", f"{url}/cancel"),
            ("GET", f"{url}/stream"),
        ):
            answer = await talk.client.request(method, path, json={"content": "x"} | {})
            expected = 400 if method == "PATCH" else 404  # its body is looked at first
            assert answer.status_code == expected, (method, path)
            if expected == 404:
                assert answer.json() == gone
        await talk.create()


async def test_lists_have_limits_and_cursors_that_cannot_be_made_up(tmp_path: Path) -> None:
    async with conversing(tmp_path) as talk:
        ids = [await talk.open_session(userId=f"u{number}") for number in range(5)]
        url = "/api/sessions/business/B0100001/active"
        found: list[str] = []
        query: dict[str, Any] = {"limit": 2}
        while True:
            page = (await talk.client.get(url, params=query)).json()
            found += [one["sessionId"] for one in page["sessions"]]
            if page["nextCursor"] is None:
                break
            query["cursor"] = page["nextCursor"]
        assert sorted(found) == sorted(ids)
        created = {}
        for one in found:
            created[one] = (await talk.client.get(f"/api/sessions/{one}")).json()["createdAt"]
        assert [created[one] for one in found] == sorted(created.values(), reverse=True)
        other = "/api/sessions/business/B0100001/user/u1/history"
        made_up = ["abc", query["cursor"] + "A", "%00", query["cursor"]]
        for path, cursor in [*((url, cursor) for cursor in made_up[:3]), (other, made_up[3])]:
            answer = await talk.client.get(path, params={"cursor": cursor})
            assert answer.status_code == 400, cursor
            assert "cursor" in answer.json()["message"]
            assert "Retry-After" not in answer.headers  # it is no better in a while


@pytest.mark.parametrize("user_id", ["a/b", "ü😀 ?#%", "%2F", "a%252Fb", "x/user/y/active"])
async def test_ids_with_slashes_and_anything_else_that_a_path_can_encode_are_found(
    tmp_path: Path, user_id: str
) -> None:
    async with conversing(tmp_path) as talk:
        opened = await talk.create(businessId="B/1", userId=user_id)
        at_business = f"/api/sessions/business/{quote('B/1', safe='')}"
        of_user = f"{at_business}/user/{quote(user_id, safe='')}"
        assert (await talk.client.get(f"{of_user}/active")).json()["userId"] == user_id
        for url in (f"{of_user}/history", f"{at_business}/active"):
            listed = (await talk.client.get(url)).json()["sessions"]
            assert [one["sessionId"] for one in listed] == [opened["sessionId"]]
        plain = "/api/sessions/business/B/1/active"  # two segments, of which no id is made
        assert (await talk.client.get(plain)).status_code == 404


@pytest.mark.parametrize("path", ["", "/{}", "/{}/messages", "/business/B0100001/active"])
async def test_a_slash_at_the_end_changes_nothing(tmp_path: Path, path: str) -> None:
    # The seed's framework is as lenient, and some clients put one behind their base URL.
    async with conversing(tmp_path) as talk:
        url = "/api/sessions" + path.format(await talk.open_session())
        without, slashed = await talk.client.get(url), await talk.client.get(f"{url}/")
        assert (slashed.status_code, slashed.json()) == (without.status_code, without.json())
        again = await talk.client.post(
            "/api/sessions/", json={"businessId": "B0100001", "userId": "user_123"}
        )
        assert again.status_code == 200


async def test_a_poller_that_is_ahead_is_told_where_the_newest_is(tmp_path: Path) -> None:
    async with conversing(tmp_path) as talk:
        session_id = await talk.open_session()
        url = f"/api/sessions/{session_id}/messages"
        for query in ("after=99", "updatedAfter=99", "cursor=99"):
            page = (await talk.client.get(f"{url}?{query}")).json()
            assert page == {"messages": [], "nextCursor": None, "seq": 1}


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=x",
        "limit=",
        "after=-1",
        "after=1e3",
        "after=99999999999999999",
        "updatedAfter=x",
        "cursor=x",
        "after=1&updatedAfter=1",
    ],
)
async def test_numbers_out_of_range_are_refused_by_name(tmp_path: Path, query: str) -> None:
    async with conversing(tmp_path) as talk:
        session_id = await talk.open_session()
        answer = await talk.client.get(f"/api/sessions/{session_id}/messages?{query}")
        assert answer.status_code == 400
        assert any(name in answer.json()["message"] for name in ("limit", "fter", "cursor"))


async def test_whatever_is_refused_has_the_shape_of_the_family(tmp_path: Path) -> None:
    async with conversing(tmp_path, tokens=("secret",)) as talk:
        answer = await talk.client.get("/api/sessions/x")
        assert answer.status_code == 401
        assert set(answer.json()) == {"statusCode", "message", "error"}
    async with conversing(tmp_path) as talk:
        session_id = await talk.open_session()
        url = f"/api/sessions/{session_id}/messages"
        for content, status in ((b"{", 400), (b"[]", 400), (b"x" * (2 * 1024 * 1024), 413)):
            answer = await talk.client.post(url, content=content)
            assert answer.status_code == status
            assert answer.json()["statusCode"] == status
        assert (await talk.client.put(url)).json()["error"] == "Method Not Allowed"
        assert (await talk.client.get("/api/sessions")).status_code == 405


async def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    async with conversing(tmp_path) as talk:
        session_id = await talk.open_session()
        await talk.post(session_id, "kept")
        await wait_for_reply(talk, session_id)
        before = await talk.messages(session_id)
    async with conversing(tmp_path) as talk:
        assert await talk.messages(session_id) == before
        assert (await talk.create())["isNew"] is False
