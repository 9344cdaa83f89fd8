"""What can be set about browser sessions, with the defaults of the contract."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

_MONTH_S = 31 * 86_400.0

# Bounded above too, so that no deadline overflows and "infinity" and "nan" are refused.
PositiveSeconds: TypeAlias = Annotated[float, Meta(gt=0, le=_MONTH_S)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=_MONTH_S)]


class BrowserSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`MOORING_BROWSER__*`. Times are seconds."""

    capacity: Annotated[int, Meta(ge=1, le=10_000)] = 10
    idle_timeout_s: PositiveSeconds = 600.0
    refresh_interval_s: PositiveSeconds = 300.0
    capacity_wait_s: Seconds = 10.0
    login_timeout_s: PositiveSeconds = 120.0
    operation_timeout_s: PositiveSeconds = 300.0
    executable: str | None = None
    headless: bool = True
    portal: str = "emodal"
    portal_url: str | None = None
    captcha_url: str = "https://api.2captcha.com"
    sessions_per_process: Annotated[int, Meta(ge=1, le=1_000)] = 5
    persist: bool = True
    restore: Literal["lazy", "eager", "off"] = "lazy"
