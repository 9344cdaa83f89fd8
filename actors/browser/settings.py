"""What can be set about browser sessions, with the defaults of the contract."""

from __future__ import annotations

import msgspec


class BrowserSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`MOORING_BROWSER__*`. Times are seconds."""

    capacity: int = 10
    idle_timeout_s: float = 600.0
    refresh_interval_s: float = 300.0
    capacity_wait_s: float = 10.0
    login_timeout_s: float = 120.0
    operation_timeout_s: float = 300.0
    executable: str | None = None
    headless: bool = True
    portal: str = "emodal"
    portal_url: str | None = None
    captcha_url: str = "https://api.2captcha.com"
    sessions_per_process: int = 5
