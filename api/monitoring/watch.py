"""Whoever keeps an eye on the server: its instruments for metrics, its doctor for probes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import trio

from api.assistant.desk import AssistantDesk
from api.browser.routes import BrowserDesk
from api.house import House
from api.monitoring.health import Doctor
from api.monitoring.readings import Instruments
from api.monitoring.vitals import Vitals
from api.server.drain import Drain
from api.server.request_counts import RequestCounts
from engine.activation import Activations


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """What looks, and what has been seen."""

    doctor: Doctor
    instruments: Instruments
    counts: RequestCounts


@asynccontextmanager
async def open_watch(
    *,
    desk: BrowserDesk,
    assistant: AssistantDesk,
    house: House,
    drain: Drain,
    activations: Sequence[Activations] = (),
) -> AsyncIterator[Watch]:
    """Keep watch for the length of a block.

    Args:
        activations: the kinds of actors beside conversations that come to memory and leave it.
    """
    vitals, counts = Vitals(), RequestCounts()
    doctor = Doctor(desk, drain, house.store, vitals, assistant)
    instruments = Instruments(
        browsers=desk,
        conversations=assistant,
        store=house.store,
        hub=house.hub,
        requests=counts,
        vitals=vitals,
        activations=activations,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(vitals.run, name="vitals")
        nursery.start_soon(doctor.watch, name="doctor")
        yield Watch(doctor=doctor, instruments=instruments, counts=counts)
        nursery.cancel_scope.cancel()
