"""The live line of a visitor's page: what has changed, and what the phone's sensors say.

Laws of this file: only a browser that acts has one. It is told state, time and progress and nothing
that is between partner and server (metadata, addresses). What sensors say is kept for this line
only, bounded, until it is judged.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import msgspec
from quart import Blueprint

from actors.partner.hosted import (
    BoundElsewhere,
    GiveAnswer,
    Hosted,
    HostedSessions,
    SessionNotFound,
    stream_of,
)
from actors.partner.hosted.events import decode_event
from actors.partner.hosted.flows.motion import MAX_SAMPLES
from api.errors import FieldInvalid
from api.hosted.visit import Visit
from api.streams import Streams
from engine.store import Event

_LONGEST_STEP: Final = 32


class Visits(Protocol):
    """Tells which visit the request in hand is."""

    async def visit(self, token: str) -> Visit | None: ...


def add_live_route(
    routes: Blueprint, desk: HostedSessions, streams: Streams, visits: Visits
) -> None:
    """Add `/s/<token>/live`, a websocket."""

    async def live(token: str) -> None:
        visit = await visits.visit(token)
        if visit is None:
            raise SessionNotFound
        if not visit.is_bound:
            raise BoundElsewhere
        session_id = visit.state.session.session_id

        async def answer(step: str, samples: list[Any]) -> Hosted:
            command = GiveAnswer(
                browser=visit.browser.digest, step=step, answer={"samples": samples}
            )
            return await desk.ask(session_id, command)

        line = SensorLine(answer)
        await streams.websocket(stream_of(session_id), line.obey, show=seen_by_visitor)

    routes.add_websocket("/s/<token>/live", "live", live)


def seen_by_visitor(event: Event) -> bytes:
    """Return an event as the visitor's page gets it."""
    full = decode_event(event.body)
    session = full.data
    seen = {
        "state": session.state,
        "progress": session.progress,
        "expires_at": session.expires_at,
        "answers": len(full.visit.answers),
        "devices": len(full.visit.browsers),
    }
    return msgspec.json.encode({"type": event.type, "seq": event.seq, "at": full.at, "data": seen})


class SensorLine:
    """Gathers what the sensors of one connection say, and answers the step with it.

    Args:
        answer: gives the gathered samples as the answer to a step.
    """

    def __init__(self, answer: Callable[[str, list[Any]], Awaitable[Hosted]]) -> None:
        self._answer = answer
        self._samples: list[Any] = []

    async def obey(self, kind: str, frame: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do what a frame asks for; `StreamClient` answers it with what is returned."""
        match kind:
            case "again":
                self._samples = []
                return {}
            case "samples":
                return self._gather(frame.get("samples"))
            case "finish":
                return await self._finish(frame.get("step"))
            case _:
                raise FieldInvalid("type", "must be again, samples or finish")

    def _gather(self, samples: Any) -> Mapping[str, Any]:
        if not isinstance(samples, list):
            raise FieldInvalid("samples", "must be a list")
        if len(self._samples) + len(samples) > MAX_SAMPLES:
            self._samples = []
            raise FieldInvalid("samples", f"must not be more than {MAX_SAMPLES}")
        self._samples += samples
        return {"samples": len(self._samples)}

    async def _finish(self, step: Any) -> Mapping[str, Any]:
        if not isinstance(step, str) or len(step) > _LONGEST_STEP:
            raise FieldInvalid("step", "must be the name of a step")
        samples, self._samples = self._samples, []
        state = await self._answer(step, samples)
        return {"state": state.session.state, "answers": len(state.visit.answers)}
