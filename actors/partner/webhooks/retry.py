"""When a delivery is tried again, as a table.

Laws of this file: pure; chance comes in as `jitter`. A delivery is tried for `LIFE`: its last
attempt is at the very end of it, or at once when the server was away over it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

LIFE: Final = timedelta(hours=24)
# After the first attempt, the second, ...; the last one repeats. As Standard Webhooks has them:
# soon after a blip, rarely after an outage.
DELAYS_S: Final = (5, 30, 120, 600, 1_800, 3_600, 7_200)
_SPREAD: Final = 0.2
# So long may a receiver ask for a pause; more would only cost it attempts.
_LONGEST_PAUSE_S: Final = 7_200


def next_attempt(
    *, created: datetime, now: datetime, failed: int, jitter: float, retry_after_s: int = 0
) -> datetime | None:
    """Return when a delivery is tried again, or None when it has had its life.

    Args:
        failed: how many attempts have failed, this one included; at least 1.
        jitter: in [0, 1); moves the pause by up to a fifth of it.
        retry_after_s: what the receiver asked for at least.
    """
    end = created + LIFE
    if now >= end:
        return None
    pause_s = DELAYS_S[min(failed, len(DELAYS_S)) - 1] * (1 - _SPREAD + 2 * _SPREAD * jitter)
    pause_s = max(pause_s, min(retry_after_s, _LONGEST_PAUSE_S))
    return min(now + timedelta(seconds=pause_s), end)
