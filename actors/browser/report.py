"""What a session shows of itself, so that no list has to ask it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from actors.browser.agenda import Step
from actors.browser.messages import Status

STATUS: Final[Mapping[Step | None, Status]] = {
    None: "live",
    Step.LOG_IN: "starting",
    Step.RESTORE: "recovering",
    Step.OPERATE: "in_use",
    Step.REFRESH: "refreshing",
    Step.RECOVER: "recovering",
    Step.SAVE: "live",
}

WORK: Final[Mapping[Step, str]] = {
    Step.LOG_IN: "login",
    Step.OPERATE: "operation",
    Step.REFRESH: "refresh",
    Step.RECOVER: "recovery",
    Step.RESTORE: "restore",
    Step.SAVE: "save",
}
"""What a step is called where its durations are shown."""


class SessionReport(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Signalled to the registry whenever the session changes."""

    id: str
    status: Status
    current_url: str
    last_refresh: datetime | None
