"""What captchas have cost since the server started."""

from __future__ import annotations

import msgspec


class CaptchaStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Captchas that were asked for, and what the service said it charged for the solved ones."""

    solved: int
    failed: int
    cost: float


class CaptchaAccount:
    """Counts the captchas of all sessions, and adds up their cost."""

    def __init__(self) -> None:
        self._solved = self._failed = 0
        self._cost = 0.0

    def charge(self, cost: float) -> None:
        """A captcha was solved."""
        self._solved += 1
        self._cost += cost

    def give_up(self) -> None:
        """A captcha was not solved."""
        self._failed += 1

    def statistics(self) -> CaptchaStatistics:
        """Return what was counted until now."""
        return CaptchaStatistics(solved=self._solved, failed=self._failed, cost=self._cost)
