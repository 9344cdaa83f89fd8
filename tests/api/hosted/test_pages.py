"""The visitor's pages without a script: what each says, who sees it, and what changes nothing."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trio

from actors.partner.hosted import MAX_EXTENSIONS, MAX_HANDOVERS
from tests.actors.partner.hosted.test_receipts import verified
from tests.api.hosted.visiting import Visitor
from tests.api.partner.partnering import Counter, partnering
from tests.api.partner.test_sessions import SEED, Callers
from tests.api.wire import Refused, lined


class Desk:
    """A partner, and visitors of its sessions."""

    def __init__(self, it: Counter, who: Callers, stack: AsyncExitStack) -> None:
        self.it = it
        self.who = who
        self._stack = stack

    async def session(self, **body: Any) -> tuple[str, Visitor]:
        answer = await self.who.create(body=SEED | body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        return made["session_id"], await self.visitor(made["session_url"])

    async def visitor(self, url: str, **headers: str) -> Visitor:
        return await self._stack.enter_async_context(Visitor(self.it, url, **headers))

    async def ends_at(self, session_id: str) -> datetime:
        answer = await self.it.get(f"/sessions/{session_id}", self.who.sandbox)
        return datetime.fromisoformat(answer.json()["expires_at"])

    async def state(self, session_id: str) -> str:
        answer = await self.it.get(f"/sessions/{session_id}", self.who.sandbox)
        state: str = answer.json()["state"]
        return state

    async def done(self, visitor: Visitor) -> None:
        """Wait until what is being checked is checked."""
        with trio.fail_after(40):
            while visitor.title == "Checking":
                await visitor.open()


@asynccontextmanager
async def desk(tmp_path: Path, **settings: Any) -> Any:
    async with (
        partnering(tmp_path, max_active=1_000, **settings) as it,
        AsyncExitStack() as stack,
    ):
        yield Desk(it, await Callers(it).open(), stack)


async def test_a_visitor_agrees_and_goes_back_with_a_receipt(tmp_path: Path) -> None:
    async with desk(tmp_path) as it:
        await it.it.client.put(
            "/api/v1/profile", json={"name": "Harbour Bank"}, headers=it.who.user
        )
        session_id, visitor = await it.session(
            purpose="Share your address", return_url="https://yourapp.com/cb?order=7#top"
        )
        page = await visitor.open()
        assert page.status_code == 200
        assert visitor.title == "Harbour Bank asks you for something"
        assert "Share your address" in page.text
        assert "yourapp.com" in page.text
        await visitor.press("begin")
        assert (visitor.title, await it.state(session_id)) == ("Do you agree?", "in_progress")
        await visitor.press("answer", step="consent", choice="agree")
        await it.done(visitor)
        assert visitor.page.status_code == 200
        assert visitor.title == "Done, thank you"
        parts = urlsplit(visitor.way_back)
        query = parse_qs(parts.query)
        assert visitor.way_back.startswith("https://yourapp.com/cb?order=7&session_id=")
        assert parts.fragment == "top"
        assert (query["session_id"], query["state"]) == ([session_id], ["completed"])
        keys = (await it.it.client.get("/.well-known/jwks.json")).json()["keys"]
        assert verified(query["receipt"][0], keys)["sub"] == session_id
        assert visitor.page.headers["Referrer-Policy"] == "no-referrer"


async def test_declining_fails_the_session_and_says_so(tmp_path: Path) -> None:
    async with desk(tmp_path) as it:
        session_id, visitor = await it.session()
        await visitor.open()
        await visitor.press("begin")
        await visitor.press("answer", step="consent", choice="decline")
        await it.done(visitor)
        assert (visitor.title, await it.state(session_id)) == ("You declined", "failed")
        assert parse_qs(urlsplit(visitor.way_back).query)["state"] == ["failed"]


async def test_looking_changes_nothing_whoever_looks_and_however_often(tmp_path: Path) -> None:
    async with desk(tmp_path) as it:
        session_id, visitor = await it.session()
        before = await it.it.house.store.newest(f"hosted/{session_id}")
        for method in ("GET", "HEAD", "GET"):
            scanner = await it.visitor(visitor.path)
            answer = await scanner.open(method)
            assert answer.status_code == 200
            for what in ("begin", "answer", "extend", "handover", "cancel"):
                again = await scanner.client.request(method, f"{visitor.path}/{what}")
                assert again.status_code == 303
        assert await it.state(session_id) == "pending"
        assert await it.it.house.store.newest(f"hosted/{session_id}") == before
        await visitor.open()
        await visitor.press("begin")
        assert await it.state(session_id) == "in_progress"


@pytest.mark.parametrize("path", ["/s", "/s/", "/s/x/y", "/s/x/live", "/s/x/begin/z"])
async def test_a_link_with_too_much_or_too_little_is_a_page_for_people_too(
    tmp_path: Path, path: str
) -> None:
    async with desk(tmp_path) as it:
        answer = await it.it.client.get(path)
        assert answer.status_code == 404
        assert "This link leads nowhere" in answer.text


async def test_a_slash_behind_a_link_leads_to_its_page(tmp_path: Path) -> None:
    async with desk(tmp_path) as it:
        _, visitor = await it.session()
        answer = await visitor.client.get(f"{visitor.path}/")
        assert (answer.status_code, answer.headers["Location"]) == (303, visitor.path)


async def test_the_first_act_binds_the_session_to_that_browser(tmp_path: Path) -> None:
    async with desk(tmp_path) as it:
        session_id, first = await it.session()
        second = await it.visitor(first.path)
        await first.open()
        await second.open()
        await first.press("begin")
        answer = await second.press("begin")
        assert answer.status_code == 403
        assert second.title == "This is open in another browser"
        for what, fields in (
            ("answer", {"step": "consent", "choice": "agree"}),
            ("extend", {}),
            ("handover", {}),
            ("cancel", {}),
        ):
            await second.send(what, {"mark": second.mark} | fields)
        assert await it.state(session_id) == "in_progress"
        await first.press("answer", step="consent", choice="agree")
        await it.done(first)
        assert (await second.open()).status_code == 410
        assert second.title == "This link was already used"
        assert second.way_back == "https://yourapp.com/"
        assert "receipt" not in second.page.text
        assert (await first.open()).status_code == 200


async def test_expired_cancelled_and_unknown_pages_say_what_happened_and_where_to_go(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path, session_ttl_s=1) as it:
        session_id, late = await it.session()
        _, other = await it.session()
        cancelled = await it.it.post(f"/sessions/{_}/cancel", headers=it.who.sandbox)
        assert cancelled.status_code == 200
        assert (await other.open()).status_code == 410
        assert other.title == "This was cancelled"
        assert parse_qs(urlsplit(other.way_back).query)["state"] == ["cancelled"]
        with trio.fail_after(40):
            while (await late.open()).status_code == 200:
                await trio.sleep(0.05)
        assert (late.page.status_code, late.title) == (410, "Time is up")
        assert parse_qs(urlsplit(late.way_back).query)["state"] == ["expired"]
        assert await it.state(session_id) == "expired"
        for token in ("A" * 32, "x", session_id, "../s", "%00", "A" * 500):
            answer = await it.it.client.get(f"/s/{token}")
            assert answer.status_code == 404
            assert "text/html" in answer.headers["Content-Type"] or "/" in token
        nobody = await it.visitor("/s/" + "A" * 32)
        assert (await nobody.open()).status_code == 404
        assert nobody.title == "This link leads nowhere"
        assert nobody.page.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("token", ["%0d%0aX-Evil:%201", "%00", "%5C%5Cevil.example", "é", "x"])
async def test_a_forms_address_leads_to_its_page_and_made_up_ones_nowhere(
    tmp_path: Path, token: str
) -> None:
    async with desk(tmp_path) as it:
        _, visitor = await it.session()
        again = await it.it.client.get(f"{visitor.path}/begin")
        assert (again.status_code, again.headers["Location"]) == (303, visitor.path)
        for method in ("GET", "HEAD"):
            nowhere = await it.it.client.request(method, f"/s/{token}/begin")
            assert nowhere.status_code == 404
            assert "Location" not in nowhere.headers
            assert nowhere.headers["Content-Type"].startswith("text/html")


async def test_a_form_is_taken_only_from_our_page_in_that_browser(tmp_path: Path) -> None:
    async with desk(tmp_path) as it:
        session_id, visitor = await it.session()
        await visitor.open()
        mark, evil = visitor.mark, "https://evil.example"
        other = await it.visitor(visitor.path)
        await other.open()
        assert other.mark != mark
        refused = [
            await visitor.send("begin", {}),
            await visitor.send("begin", {"mark": ""}),
            await visitor.send("begin", {"mark": "0" * 64}),
            await visitor.send("begin", {"mark": other.mark}),
            await visitor.send("begin", {"mark": mark}, {"Origin": evil}),
            await visitor.send("begin", {"mark": mark}, {"Origin": "null"}),
            await visitor.send(
                "begin", {"mark": mark}, visitor.headers | {"Sec-Fetch-Site": "cross-site"}
            ),
            await visitor.client.post(
                f"{visitor.path}/begin",
                content=f"mark={mark}",
                headers=visitor.headers | {"Content-Type": "text/plain"},
            ),
            await visitor.client.post(
                f"{visitor.path}/begin", json={"mark": mark}, headers=visitor.headers
            ),
            await visitor.client.post(
                f"{visitor.path}/begin", files={"mark": mark}, headers=visitor.headers
            ),
        ]
        assert [answer.status_code for answer in refused] == [403] * len(refused)
        bare = await it.visitor(visitor.path)
        without_cookie = await bare.send("begin", {"mark": mark})
        assert without_cookie.status_code == 400
        assert "kept no cookie" in without_cookie.text
        assert await it.state(session_id) == "pending"
        await visitor.press("begin")
        assert await it.state(session_id) == "in_progress"


async def test_the_cookie_is_for_this_host_over_https_and_for_no_script(tmp_path: Path) -> None:
    async with desk(tmp_path, is_https=True) as it:
        session_id, visitor = await it.session()
        [cookie] = (await visitor.open()).headers.get_list("Set-Cookie")
        assert cookie.startswith(f"__Host-mooring-visit-{session_id[:8]}=")
        marks = {part.strip() for part in cookie.split(";")[1:]}
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= marks
        assert not any(mark.startswith("Domain") for mark in marks)


async def test_the_cookie_outlives_its_session_however_often_it_is_put_off(tmp_path: Path) -> None:
    week = 7 * 86_400
    async with desk(tmp_path, session_ttl_s=week) as it:
        _, visitor = await it.session()
        [cookie] = (await visitor.open()).headers.get_list("Set-Cookie")
        life = re.search(r"Max-Age=(\d+)", cookie)
        assert life is not None
        assert int(life[1]) > (1 + MAX_EXTENSIONS) * week


async def test_two_cookies_for_one_session_are_none(tmp_path: Path) -> None:
    async with desk(tmp_path) as it:
        session_id, visitor = await it.session()
        await visitor.open()
        mark = {"mark": visitor.mark}
        [held] = [f"{one.name}={one.value}" for one in visitor.client.cookies.jar]
        planted = f"{held.partition('=')[0]}={'A' * 32}"
        visitor.client.cookies.clear()
        for cookies in (f"{held}; {planted}", f"{planted}; {held}"):
            answer = await visitor.send("begin", mark, visitor.headers | {"Cookie": cookies})
            assert answer.status_code == 400
            assert await it.state(session_id) == "pending"
        assert (
            await visitor.send("begin", mark, visitor.headers | {"Cookie": held})
        ).status_code == 303
        assert await it.state(session_id) == "in_progress"


async def test_every_page_has_a_strict_policy_and_leaks_no_link(tmp_path: Path) -> None:
    async with desk(tmp_path) as it:
        _, visitor = await it.session()
        pages = [await visitor.open(), await visitor.press("begin")]
        pages.append(await visitor.press("cancel"))
        pages.append(await it.it.client.get("/s/" + "A" * 32))
        for page in pages:
            policy = page.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert "http" not in policy
            assert page.headers["Referrer-Policy"] in {"no-referrer", "same-origin"}
            assert page.headers["X-Content-Type-Options"] == "nosniff"
            assert page.headers["Cache-Control"] == "no-store"
            assert not re.search(r"<script(?![^>]* src=)|<style|style=|\son\w+=", page.text)
            # Nothing is loaded from elsewhere; only a link leads out.
            loaded = re.findall(r'(?:src|href)="(https?:[^"]+)"', page.text)
            assert all("yourapp.com" in url for url in loaded)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "\u202egnp.exe\u202c",
        "{{ 7 * 7 }}",
        "x" * 490,
    ],
)
async def test_whatever_a_partner_writes_is_shown_as_text(tmp_path: Path, text: str) -> None:
    async with desk(tmp_path) as it:
        name = text[:100]
        answer = await it.it.client.put("/api/v1/profile", json={"name": name}, headers=it.who.user)
        _, visitor = await it.session(purpose=text, metadata={"user_id": text})
        page = await visitor.open()
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
        assert "49" not in visitor.title
        shown = re.search(r'<p class="words"[^>]*><bdi>(.*?)</bdi></p>', page.text, re.DOTALL)
        assert shown is not None
        assert answer.status_code in {200, 400}


async def test_a_phone_goes_on_by_a_link_of_its_own_that_works_once(tmp_path: Path) -> None:
    async with desk(tmp_path) as it:
        session_id, computer = await it.session(flow="challenge")
        await computer.open()
        await computer.press("begin")
        page = await computer.press("handover")
        assert page.status_code == 200
        assert "<svg" in page.text
        link = computer.handover_link
        assert link.startswith(f"{computer.origin}/s/")
        assert link.rpartition("/")[2] != computer.path.rpartition("/")[2]
        phone, thief = await it.visitor(link), await it.visitor(link)
        await thief.open()
        assert (await phone.open()).status_code == 200
        assert phone.title == "Continue on this device"
        await phone.press("begin")
        assert phone.title == "Move your phone"
        assert (await thief.press("begin")).status_code == 410
        assert thief.title == "This code was already used"
        await computer.open()
        assert "goes on on your other device" in computer.page.text
        assert await it.state(session_id) == "in_progress"
        for _ in range(MAX_HANDOVERS - 1):
            assert (await computer.press("handover")).status_code == 200
            await computer.open()
        assert (await computer.press("handover")).status_code == 409
        assert "A link to another device is possible" in computer.page.text


async def test_a_visitor_has_more_time_with_one_click_and_stops_with_another(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path, session_ttl_s=60) as it:
        session_id, visitor = await it.session()
        await visitor.open()
        await visitor.press("begin")
        ends = [await it.ends_at(session_id)]
        for _ in range(2):
            until = visitor.hidden("until")
            await visitor.press("extend", until=until)
            assert visitor.page.status_code == 200
            await visitor.press("extend", until=until)  # a double click, or the way back
            ends.append(await it.ends_at(session_id))
        assert [later - sooner for sooner, later in pairwise(ends)] == [timedelta(seconds=60)] * 2
        answer = await visitor.press("cancel")
        assert answer.status_code == 410
        assert (visitor.title, await it.state(session_id)) == ("You stopped this", "cancelled")


async def test_the_line_is_for_browsers_that_act_and_tells_nothing_of_the_partners(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as it:
        _, visitor = await it.session()
        await visitor.open()
        path = f"{visitor.path}/live?after=0"
        cookies = "; ".join(f"{one.name}={one.value}" for one in visitor.client.cookies.jar)
        headers = ((b"cookie", cookies.encode()), (b"origin", visitor.origin.encode()))
        for wrong in ((), headers[:1], headers):
            with pytest.raises(Refused) as refused:
                async with lined(it.it.port, path, wrong):
                    pass
            assert refused.value.status == 403
        await visitor.press("begin")
        other = ((b"cookie", cookies.encode()), (b"origin", b"https://evil.example"))
        with pytest.raises(Refused):
            async with lined(it.it.port, path, other):
                pass
        async with lined(it.it.port, path, headers) as line:
            await line.until("session.updated")
            await visitor.press("answer", step="consent", choice="agree")
            assert (await line.closed()).code == 1000
        assert [event["data"]["state"] for event in line.events] == [
            "pending",
            "in_progress",
            "processing",
            "completed",
        ]
        assert set(line.events[0]["data"]) == {
            "state",
            "progress",
            "expires_at",
            "answers",
            "devices",
        }
        assert "user-123" not in str(line.frames)
        assert "yourapp" not in str(line.frames)


async def test_a_movement_streamed_over_the_line_is_scored_on_the_server(tmp_path: Path) -> None:
    async with desk(tmp_path) as it:
        session_id, visitor = await it.session(flow="challenge")
        await visitor.open()
        await visitor.press("begin")
        cookies = "; ".join(f"{one.name}={one.value}" for one in visitor.client.cookies.jar)
        headers = ((b"cookie", cookies.encode()), (b"origin", visitor.origin.encode()))
        state = await it.it.partner.hosted.look(session_id)
        asked = state.visit.plan["movements"][0]
        async with lined(it.it.port, f"{visitor.path}/live", headers) as line:
            await line.until("ready")
            for wrong in (
                {"type": "nothing"},
                {"type": "samples", "samples": "x"},
                {"type": "samples", "samples": [[0, 0, 0]] * 1_000},
                {"type": "finish", "step": 7},
                {"type": "finish", "step": "motion-1"},
            ):
                await line.say(**wrong, id="w")
                assert (await line.until("error"))["id"] == "w"
            for part in batches(movement(asked["direction"], asked["angle"] + 2)):
                await line.say(type="samples", samples=part, id="s")
                await line.until("ack")
            await line.say(type="finish", step="motion-1", id="f")
            assert (await line.closed()).code == 1000
        results = await it.it.get(f"/sessions/{session_id}/results", it.who.sandbox)
        found = results.json()
        assert found["state"] == "completed"
        assert found["result"]["score"] > 0.9
        assert found["result"]["asked"] == asked
        assert (await visitor.open()).status_code == 200


def movement(direction: str, angle: float) -> list[list[float]]:
    """Return what the sensors of a phone say that is moved as asked, lying flat."""
    beta, gamma = {
        "left": (0, -1),
        "right": (0, 1),
        "towards you": (1, 0),
        "away from you": (-1, 0),
    }[direction]
    samples = []
    for ms in range(0, 9_000, 25):
        part = min(1.0, max(0.0, (ms - 2_200) / 1_000)) - min(1.0, max(0.0, (ms - 5_000) / 1_000))
        samples.append([ms, beta * angle * part, gamma * angle * part])
    return samples


def batches(samples: list[list[float]], size: int = 40) -> list[list[list[float]]]:
    return [samples[at : at + size] for at in range(0, len(samples), size)]
