"""Whether another Chromium may be launched now, after some that were of no use.

Laws of this file: it awaits nothing and reads no clock. Chromiums that were launched together and
fail together are one try.
"""

from __future__ import annotations

from typing import Final

_RETRY_S: Final = 1.0
_RETRY_MAX_S: Final = 60.0
_TRIES: Final = 2


class Launching:
    """Counts the tries in a row that gave no context.

    Attributes:
        held_back: a try has failed, and the time for the next one has not come.
        cause: why the latest one failed.
    """

    def __init__(self) -> None:
        self.held_back = False
        self.cause = ""
        self._failures = 0

    @property
    def hopeless(self) -> bool:
        """True while whoever needs another Chromium is better told than kept waiting."""
        return self.held_back and self._failures >= _TRIES

    @property
    def failing(self) -> bool:
        """True from a failure until a Chromium has given a context."""
        return self._failures > 0

    def failed(self, cause: str) -> float | None:
        """Note a failure; returns in how many seconds to call `retry`, None when that is set."""
        if self.held_back:
            return None
        self.held_back = True
        self.cause = cause
        self._failures += 1
        return min(_RETRY_S * 2.0 ** (self._failures - 1), _RETRY_MAX_S)

    def retry(self) -> None:
        """The time for another try has come."""
        self.held_back = False

    def worked(self) -> None:
        """A Chromium has given a context: the tries before it count no more."""
        self._failures = 0
