"""Alerts, confirms, prompts and questions before leaving: nobody is there to answer them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import Any

from actors.browser.driver.journal import Journal
from actors.browser.driver.line import Line
from actors.browser.page import BrowserGone


class Dialogs:
    """Dismisses each dialog of a tab as it opens, and counts them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._destination = "about:blank"  # of the newest navigation
        self.dismissed = 0

    def watch(self, line: Line, target_id: str) -> None:
        """Begin with a tab; call it before its Page domain is enabled."""
        line.on("Page.frameStartedNavigating", partial(self._leaving, target_id))
        line.on("Page.javascriptDialogOpening", partial(self._dismiss, line))

    def _leaving(self, target_id: str, params: dict[str, Any]) -> None:
        if params["frameId"] == target_id:
            self._destination = params["url"]

    def _dismiss(self, line: Line, params: dict[str, Any]) -> None:
        self.dismissed += 1
        self._journal.note(f"{params['type']} dialog dismissed")
        # Refusing a beforeunload would keep the page from being left.
        accept = params["type"] == "beforeunload"
        handled = line.post("Page.handleJavaScriptDialog", {"accept": accept})
        handled.add_done_callback(partial(self._unblock, line))

    def _unblock(self, line: Line, handled: asyncio.Future[Any]) -> None:
        """Navigate again if the dialog could not be reached.

        When it opens in a document whose successor is just being put in its place, Chromium holds
        that it belongs to neither, while the successor waits for the renderer that shows it. Only
        another navigation ends that; detaching ends the whole browser.
        """
        if "Not attached" in str(handled.exception()):
            self._journal.note("navigated again, as the dialog was in the way")
            with suppress(BrowserGone):
                line.post("Page.navigate", {"url": self._destination})
