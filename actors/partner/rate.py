"""What is left of a limit, as its holder is told."""

from __future__ import annotations

import msgspec


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of a window, as `X-RateLimit-*` says it; `resets_at_s` is in Unix seconds."""

    limit: int
    remaining: int
    resets_at_s: int
