"""Which responders there are, by the name that a setting gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeAlias

import msgspec

from actors.assistant.responders.echo import open_echo
from actors.assistant.responders.openai import model_server, open_openai
from actors.assistant.responders.responder import Responder, ResponderUnusable
from actors.assistant.settings import AssistantSettings
from engine.clock import Clock

Opened: TypeAlias = AbstractAsyncContextManager[Responder]


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    open: Callable[[AssistantSettings, Clock], Opened]
    check: Callable[[AssistantSettings], object] = lambda settings: None


_RESPONDERS: Final[Mapping[str, _Entry]] = {
    "echo": _Entry(open=open_echo),
    "openai": _Entry(open=open_openai, check=model_server),
}


def check_responder(settings: AssistantSettings) -> None:
    """Find out whether the responder that is set exists and can work; asks nobody.

    Raises:
        ResponderUnusable: there is none of that name, or it lacks a setting; says which.
    """
    _entry(settings).check(settings)


def open_responder(settings: AssistantSettings, clock: Clock) -> Opened:
    """Open the responder that is set, for as long as the block lasts.

    Raises:
        ResponderUnusable: there is none of that name, or it lacks a setting; says which.
    """
    check_responder(settings)
    return _entry(settings).open(settings, clock)


def _entry(settings: AssistantSettings) -> _Entry:
    entry = _RESPONDERS.get(settings.responder)
    if entry is None:
        names = " or ".join(sorted(_RESPONDERS))
        raise ResponderUnusable("responder", f"is {settings.responder!r}; there is {names}")
    return entry
