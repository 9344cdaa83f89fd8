"""A desk before an `Admission`, for short stories about it."""

from __future__ import annotations

from typing import Any

import pytest

from engine.admission import Admission, AdmissionSettings
from engine.effects import Effects, Grant
from engine.errors import DomainError

WRONG_PASSWORD = DomainError("wrong password")


class Desk:
    """Where callers ask; each gets the next ticket, and each key's session the key as its id."""

    def __init__(self, *, capacity: int = 2, wait_s: float = 0.0) -> None:
        self.admission = Admission(
            AdmissionSettings(
                capacity=capacity, idle_timeout_s=600.0, capacity_wait_s=wait_s, lease_life_s=300.0
            )
        )
        self.now = 0.0
        self.ticket = 0

    def ask(self, key: str, *, use: bool = False, opening: Any = None) -> Effects:
        self.ticket += 1
        return self.admission.ask(self.ticket, key, key, use=use, now=self.now, opening=opening)

    def started(self, session_id: str) -> Effects:
        return self.admission.started(session_id, self.now)

    def admit(self, *keys: str, use: bool = False) -> list[int | None]:
        """Let each key's session start and go live; returns the leases' tokens."""
        tokens = []
        for key in keys:
            effects = [*self.ask(key, use=use), *self.started(key)]
            tokens += [effect.token for effect in effects if isinstance(effect, Grant)]
        return tokens

    def use(self, key: str) -> int:
        """Lease a live session."""
        match self.ask(key, use=True):
            case [Grant(token=int(token))]:
                return token
            case effects:
                pytest.fail(f"not granted: {effects}")

    def released(self, token: int | None) -> Effects:
        assert token is not None
        return self.admission.released(token, self.now)

    def tick_at(self, now: float) -> Effects:
        self.now = now
        return self.admission.tick(now)

    @property
    def placed(self) -> list[str]:
        return [entry.id for entry in self.admission.visible()]
