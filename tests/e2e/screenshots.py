"""`python -m tests.e2e.screenshots [FOLDER]`: take the pictures of `docs/screenshots` anew.

A dashboard with a month of sessions behind it is opened in a real Chromium, page by page, and so is
what a visitor sees. The pages are real; only the month is made up.
"""

from __future__ import annotations

import sys
import tempfile
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
import trio

from actors.partner.hosted import HostedSession, Progress, State, encode_session, place_of
from actors.partner.tenants import ChangeProfile
from engine.clock import SeededClock, SystemClock, timestamp
from engine.store import CatalogueRow, Commit, Event, milliseconds
from tests.api.dashboard.house import ADA, PARTNER, Dash, dashing
from tests.api.dashboard.receiver import receiver
from tests.e2e.browsing import Browsing, browsing

FOLDER: Final = Path(__file__).parents[2] / "docs" / "screenshots"
DESK: Final = (1120, 800)
PHONE: Final = (320, 640)
SETTINGS: Final = msgspec.structs.replace(PARTNER, monthly_quota=200, max_active=10)
PURPOSES: Final = ("Share your address", "Open an account", "Confirm your age")
ENDS: Final = (*[State.COMPLETED] * 7, State.FAILED, State.EXPIRED, State.CANCELLED)


class Camera:
    """Takes pictures of one tab."""

    def __init__(self, tab: Browsing, folder: Path) -> None:
        self.tab = tab
        self.folder = folder

    async def take(
        self, name: str, size: tuple[int, int] = DESK, *, dark: bool = False, whole: bool = False
    ) -> None:
        await self.tab.look_like(*size, dark=dark)
        # One more frame, so that what follows a change of size is drawn.
        await self.tab.page.evaluate(
            "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        await self.tab.picture(self.folder / f"{name}.png", whole=whole)
        await self.tab.look_like(*DESK)


async def make_a_month(dash: Dash) -> None:
    """Put a month of sessions into the log, as if they had happened."""
    chance = SeededClock(4)  # the same month each time
    tenant_id, now = (await dash.whose()).tenant_id, SystemClock().now()
    for back in range(30):
        busy = (now - timedelta(days=back)).weekday() < 5
        for number in range(3 + chance.random_bits(32) % 7 if busy else chance.random_bits(1)):
            at = now - timedelta(days=back, minutes=40 + 17 * number)
            await _put(dash, tenant_id, at, chance)


async def _put(dash: Dash, tenant_id: str, at: datetime, chance: SeededClock) -> None:
    session_id = str(uuid.UUID(int=chance.random_bits(128), version=4))
    state, when = ENDS[chance.random_bits(32) % len(ENDS)], timestamp(at)
    session = HostedSession(
        session_id=session_id,
        environment="sandbox",
        state=state,
        flow="consent",
        purpose=PURPOSES[chance.random_bits(32) % len(PURPOSES)],
        return_url="https://harbour.example/welcome",
        metadata={"user_id": f"user-{1000 + chance.random_bits(13)}"},
        progress=Progress(done=1, of=1),
        created_at=when,
        updated_at=when,
        expires_at=timestamp(at + timedelta(minutes=30)),
        ended_at=when,
    )
    body = {"seq": 1, "type": f"session.{state}", "at": when, "data": session}
    at_ms = milliseconds(at)
    event = Event(seq=1, type=f"session.{state}", at_ms=at_ms, body=msgspec.json.encode(body))
    row = CatalogueRow(
        owner=tenant_id,
        status=state,
        created_at_ms=at_ms,
        updated_at_ms=at_ms,
        summary=encode_session(session),
        tags={"place": place_of(tenant_id, "sandbox")},
    )
    log = dash.house.log
    commit = Commit(
        stream=f"hosted/{session_id}", epoch=log.epoch, expected_seq=0, events=(event,), row=row
    )
    await log.store.commit(commit)


async def take_all(dash: Dash, tab: Browsing, folder: Path, hook: str) -> None:
    """Take every picture."""
    camera = Camera(tab, folder)
    await tab.open("/dashboard/login")
    await camera.take("login")
    who = await dash.whose()
    profile = ChangeProfile(name="Harbour Bank", logo_url=None, by=who.id)
    await dash.partner.tenants.ask(who.tenant_id, profile)
    for name, text in ADA.items():
        await tab.fill(f"#{name}", text)
    await tab.click("main button")
    await tab.see("Newest sessions")
    url = await _make_one(tab, camera)
    await _visit(await tab.somebody_else(), folder, url)
    await _look_after_keys(dash, tab, camera, hook)
    await tab.open("/dashboard")
    await tab.until("() => document.querySelector('live-stream').dataset.state === 'live'")
    await camera.take("overview")
    await camera.take("overview-dark", dark=True)
    await camera.take("overview-320", PHONE)
    for name in ("sessions", "usage", "audit", "profile"):
        await tab.open(f"/dashboard/{name}")
        await camera.take(name)


async def _make_one(tab: Browsing, camera: Camera) -> str:
    await tab.click("modal-link a")
    await tab.until("() => document.querySelector('dialog #return_url')", what="the form")
    await tab.fill("dialog #return_url", "https://harbour.example/welcome")
    await tab.fill("dialog #user_id", "user-123")
    await tab.fill("dialog #purpose", "Share your address with Harbour Bank")
    await camera.take("create")
    await tab.click("dialog button[type=submit]")
    await tab.until("() => document.querySelector('dialog .qr')", what="the session")
    await camera.take("created")
    return await tab.text("dialog #session-url")


async def _visit(visitor: Browsing, folder: Path, url: str) -> None:
    camera = Camera(visitor, folder)
    await visitor.look_like(*PHONE)
    await visitor.open(url)
    await camera.take("visitor-start", PHONE)
    await visitor.click("main form button")
    await visitor.until("() => document.querySelector('.choices button')", what="a choice")
    await camera.take("visitor-step", PHONE)
    await camera.take("visitor-step-dark", PHONE, dark=True)
    await visitor.click(".choices button")
    await visitor.see("Done")
    await camera.take("visitor-done", PHONE)


async def _look_after_keys(dash: Dash, tab: Browsing, camera: Camera, hook: str) -> None:
    for name, path in (("Checkout server", "new"), ("Staging", "new")):
        await tab.open(f"/dashboard/keys/{path}")
        await tab.fill("#name", name)
        await tab.click("main button[type=submit]")
        await tab.see("Key generated")
        await camera.take("key")
    await tab.open("/dashboard/keys")
    await camera.take("keys")
    await tab.open("/dashboard/webhooks/new")
    await tab.fill("#url", hook)
    await tab.click("main button[type=submit]")
    await tab.see("Signing secret")
    session_id = await dash.create(user_id="user-124", purpose="Open an account")
    await tab.open(f"/dashboard/sessions/{session_id}")
    await tab.until("() => document.querySelector('live-stream').dataset.state === 'live'")
    await dash.cancel(session_id)
    await tab.see("by partner")
    await camera.take("session")
    await _until_delivered(tab)
    await tab.click("summary")
    await camera.take("webhook")


async def _until_delivered(tab: Browsing) -> None:
    with trio.fail_after(40):
        while True:
            await tab.open("/dashboard/webhooks")
            await tab.click("main li a")
            await tab.see("Attempts")
            if "session.cancelled" in await tab.text("[aria-labelledby=attempts-name]"):
                return
            await trio.sleep(0.1)


async def main(folder: Path) -> None:
    await trio.Path(folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data:
        async with dashing(Path(data), SETTINGS) as dash:
            await dash.sign_up()
            await make_a_month(dash)
        # A server that has just been started counts what exists.
        async with (
            dashing(Path(data), SETTINGS) as dash,
            receiver(200, '{"received": true}') as hook,
            browsing(dash.url) as tab,
        ):
            await take_all(dash, tab, folder, hook)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
