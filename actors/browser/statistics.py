"""What can be known of the family of browser sessions at one moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec

from actors.browser.captcha_account import CaptchaStatistics
from actors.browser.messages import SessionList
from actors.browser.pool_messages import PoolStatistics
from engine import SupervisorStatistics
from engine.admission import AdmissionStatistics
from engine.meter import WorkStatistics


class BrowserStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions by what they do, and what they live on.

    Attributes:
        sessions: how many are listed, by status; those that wait to be restored too.
        work: `login`, `refresh`, `recovery`, and each operation as `operation/<name>`.
    """

    sessions: Mapping[str, int]
    admission: AdmissionStatistics
    pool: PoolStatistics
    captchas: CaptchaStatistics
    work: tuple[WorkStatistics, ...]
    supervisors: tuple[SupervisorStatistics, ...]

    @property
    def active(self) -> int:
        """How many sessions have a place."""
        return sum(count for status, count in self.sessions.items() if status != "waiting")


def by_status(found: SessionList) -> Mapping[str, int]:
    """Return how many sessions of a list there are of each status."""
    return dict(Counter(session.status for session in found.sessions))
