"""SIGTERM and SIGINT: the first asks the server to end, the second insists."""

from __future__ import annotations

import signal
from typing import Final

import structlog
import trio

from api.server.drain import Drain

_log: Final = structlog.get_logger("mooring.serve")


class Stop:
    """Turns signals into the end: the first begins the drain, the second cuts everything off.

    Args:
        within_s: after this long the first signal has been patient enough, and counts as two.

    Attributes:
        everything: the scope around all that the server runs.
        forced: whether anything had to be cut off.
    """

    def __init__(self, drain: Drain, *, within_s: float) -> None:
        self.everything = trio.CancelScope()
        self.forced = False
        self._drain = drain
        self._within_s = within_s

    async def heed_signals(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Wait for signals until cancelled; afterwards a signal kills, as if nobody heeded it.

        What is still starting has nothing to finish: the first signal ends it at once, cleanly.
        """
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            _log.info("stopping", signal=signal.Signals(await anext(signals)).name)
            if self._drain.phase == "starting":
                self.everything.cancel()
            self._drain.begin()
            with trio.move_on_after(self._within_s):
                await anext(signals)
        self.forced = True
        self.everything.cancel()
