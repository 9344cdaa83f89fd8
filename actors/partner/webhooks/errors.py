"""How webhooks say no."""

from __future__ import annotations

from actors.partner.errors import PartnerError


class TooManyWebhooks(PartnerError):
    """The tenant has as many endpoints as it may have."""

    def __init__(self, *, limit: int) -> None:
        super().__init__(f"A tenant has at most {limit} webhooks; delete one first")
        self.limit = limit


class TooManyResends(PartnerError):
    """The event has been sent again as often as people may ask for it."""

    def __init__(self, *, limit: int) -> None:
        super().__init__(f"An event is sent again at most {limit} times")
        self.limit = limit


class WebhookDisabled(PartnerError):
    """Nothing is sent to the endpoint until it is enabled again."""

    def __init__(self) -> None:
        super().__init__("The webhook is disabled; enable it first")
