"""Taking what a context is logged in with out of one Chromium, and putting it into another.

Cookies come from the browser itself, HttpOnly ones too. Storage can only be reached from a document
of its origin, so it is read in the frames that are open and written in blank documents that are
made up for the purpose: no server is asked for anything. Frames of other sites are left out: what
they store belongs to them *and* the page around them, and cannot be put back without both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
import trio

from actors.browser.driver.line import CALL_TIMEOUT_S, CommandRefused
from actors.browser.driver.outcome import Interrupted
from actors.browser.driver.scripts import READ_STORAGE, WRITE_STORAGE
from actors.browser.driver.tab import Tab
from actors.browser.driver.wire import Wire
from actors.browser.page import Cookie, OriginStorage, PageTimeout, ScriptFailed

_ORIGINS_MAX: Final = 20
_WEB: Final = ("http://", "https://")


async def read_cookies(wire: Wire, context_id: str) -> tuple[Cookie, ...]:
    """Return all cookies of the context."""
    answer = await wire.browser.call("Storage.getCookies", {"browserContextId": context_id})
    return tuple(msgspec.convert(_settable(each), Cookie) for each in answer["cookies"])


def _settable(cookie: Mapping[str, Any]) -> dict[str, Any]:
    # A session cookie's expiry is -1, and Chromium refuses to be given that back.
    kept = {name: cookie[name] for name in _COOKIE_FIELDS if name in cookie}
    if cookie.get("session") or cookie.get("expires", -1) < 0:
        kept.pop("expires", None)
    return kept


_COOKIE_FIELDS: Final = tuple(field.encode_name for field in msgspec.structs.fields(Cookie))


async def write_cookies(wire: Wire, context_id: str, cookies: Sequence[Cookie]) -> None:
    """Put the cookies into the context; one that this Chromium does not take is left out."""
    where = {"browserContextId": context_id}
    given = [msgspec.to_builtins(each) for each in cookies]
    try:
        await wire.browser.call("Storage.setCookies", {**where, "cookies": given})
    except CommandRefused:
        # It takes all or none, so one that has expired meanwhile would cost every other.
        for each in given:
            with suppress(CommandRefused):
                await wire.browser.call("Storage.setCookies", {**where, "cookies": [each]})


async def read_storage(tab: Tab) -> tuple[OriginStorage, ...]:
    """Return what the origins of the open page's frames store; the empty ones are left out."""
    tree = await tab.call("Page.getFrameTree")
    frames = {each["securityOrigin"]: each["id"] for each in _frames(tree["frameTree"])}
    found = []
    for origin, frame_id in tuple(frames.items())[:_ORIGINS_MAX]:
        with suppress(Interrupted):
            stored = await tab.evaluate_in_frame(frame_id, READ_STORAGE)
            if stored["local"] or stored["session"]:
                found.append(OriginStorage(origin=origin, **stored))
    return tuple(found)


def _frames(tree: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if tree["frame"]["securityOrigin"].startswith(_WEB):
        yield tree["frame"]
    for child in tree.get("childFrames", ()):
        yield from _frames(child)


async def write_storage(tab: Tab, storage: Sequence[OriginStorage]) -> tuple[str, ...]:
    """Put storage back, session storage into this very tab, and leave the tab blank.

    Returns:
        The origins that could not be restored: an http that this Chromium only opens as https, say.
    """
    if not storage:
        return ()
    async with tab.blank_documents():
        failed = [each.origin for each in storage[:_ORIGINS_MAX] if not await _write(tab, each)]
        await _open(tab, "about:blank")
    tab.post("Page.resetNavigationHistory")
    return tuple(failed)


async def _write(tab: Tab, stored: OriginStorage) -> bool:
    if not stored.origin.startswith(_WEB):
        return False
    pairs = [list(each.items()) for each in (stored.local, stored.session)]
    with suppress(CommandRefused, ScriptFailed):
        await _open(tab, f"{stored.origin}/")
        taken: bool = await tab.evaluate_in_frame(
            tab.frame_id, WRITE_STORAGE, stored.origin, *pairs
        )
        return taken
    return False


async def _open(tab: Tab, url: str) -> None:
    with trio.move_on_after(CALL_TIMEOUT_S):
        await tab.navigate(url)
        return
    tab.stop()
    raise PageTimeout("a blank page", CALL_TIMEOUT_S)
