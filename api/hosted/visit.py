"""One request of a visitor's: whose session, which browser, and what it may see.

Laws of this file: a link alone shows who asks and what for, and how it ended without success; what
somebody did here is shown only to the browsers that did it. Nothing is changed by looking.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Final

import msgspec

from actors.partner.hosted import HandOver, Hosted, State, with_outcome
from actors.partner.hosted.flows import FLOWS, Flow, Step
from actors.partner.hosted.return_url import host_of, origin_of
from actors.partner.tenants.records import Profile
from api.hosted.browser_cookie import Browser
from engine.clock import timestamp


class Sight(Enum):
    """What a visitor is shown."""

    START = "start"  # nobody has begun
    STEP = "step"  # it is this browser's turn
    CHECKING = "checking"
    RESULT = "result"  # this browser did it
    TAKE_OVER = "take over"  # another device's link, not used yet
    ELSEWHERE = "elsewhere"  # another browser has begun it
    LINK_OVER = "link over"  # another device's link, used or too old
    USED = "used"  # another browser has finished it
    EXPIRED = "expired"
    CANCELLED = "cancelled"


STATUS: Final = {
    Sight.ELSEWHERE: 403,
    Sight.LINK_OVER: 410,
    Sight.USED: 410,
    Sight.EXPIRED: 410,
    Sight.CANCELLED: 410,
}


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """A session, seen through one link in one browser.

    Attributes:
        handed: what the link is, when it is one to another device.
        receipt: of a session that has ended; None where this browser must not have it.
    """

    token: str
    state: Hosted
    browser: Browser
    profile: Profile
    handed: HandOver | None
    now: datetime
    receipt: str | None = None

    @property
    def is_bound(self) -> bool:
        return self.browser.digest in self.state.visit.browsers

    @property
    def sight(self) -> Sight:
        """What to show."""
        match self.state.session.state:
            case State.EXPIRED:
                return Sight.EXPIRED
            case State.CANCELLED:
                return Sight.CANCELLED
            case State.COMPLETED | State.FAILED:
                return Sight.RESULT if self.is_bound else Sight.USED
            case State.PROCESSING:
                return Sight.CHECKING if self.is_bound else Sight.ELSEWHERE
            case State.IN_PROGRESS:
                return Sight.STEP if self.is_bound else self._without_a_turn
            case State.PENDING:
                return Sight.START

    @property
    def _without_a_turn(self) -> Sight:
        if self.handed is None:
            return Sight.ELSEWHERE
        is_over = self.handed.used or timestamp(self.now) >= self.handed.expires_at
        return Sight.LINK_OVER if is_over else Sight.TAKE_OVER

    @property
    def may_have_receipt(self) -> bool:
        """Tell whether this browser may take the outcome back to the partner: who did it may, and
        whoever has a link to what ended without anybody doing it."""
        return self.state.session.has_ended and self.sight is not Sight.USED

    @property
    def path(self) -> str:
        return f"/s/{self.token}"

    @property
    def partner(self) -> str:
        """Who asks: the name that the partner has given itself, or else where it has its visitors
        sent back to."""
        return self.profile.name or self.host

    @property
    def host(self) -> str:
        return host_of(self.state.session.return_url)

    @property
    def flow(self) -> Flow:
        """What the visitor does."""
        return FLOWS[self.state.session.flow]

    @property
    def step(self) -> Step | None:
        """What is to be done now."""
        visit = self.state.visit
        return self.flow.step(visit.plan, visit.answers)

    @property
    def expires_at(self) -> datetime:
        return datetime.fromisoformat(self.state.session.expires_at)

    @property
    def is_on_two_devices(self) -> bool:
        browsers = self.state.visit.browsers
        return self.is_bound and browsers[-1] != self.browser.digest

    @property
    def way_back(self) -> str:
        """Where the visitor goes from here: with the outcome, or just to the partner's site."""
        session = self.state.session
        if self.receipt is None:
            return f"{origin_of(session.return_url)}/"
        return with_outcome(
            session.return_url,
            session_id=session.session_id,
            state=session.state.value,
            receipt=self.receipt,
        )
