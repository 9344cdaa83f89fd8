"""Writing one reply: a responder's pieces gathered into at most twenty additions a second."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from actors.assistant.prompt import Prompt
from actors.assistant.responders.responder import Finish, Responder, ResponderError

# Nineteen a second in rhythm, and the last piece as soon as it is there: never more than twenty.
_PAUSE_S: Final = 1 / 19
_MOST_CHARS: Final = 16 * 1024  # what is gathered before the responder has to wait


class _Pieces:
    """What has been emitted and not yet added."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._chars = 0
        self._some = trio.Event()
        self._room = trio.Event()
        self._over = trio.Event()

    async def put(self, text: str) -> None:
        while self._chars >= _MOST_CHARS:
            self._room = trio.Event()
            await self._room.wait()
        self._pieces.append(text)
        self._chars += len(text)
        self._some.set()
        await trio.lowlevel.checkpoint()

    def end(self) -> None:
        self._over.set()
        self._some.set()

    async def gather(self) -> None:
        """Let some come together; what is all there already is not waited for."""
        with trio.move_on_after(_PAUSE_S):
            await self._over.wait()

    async def take(self) -> str | None:
        """Return all there is, waiting for some; None once it is over."""
        await self._some.wait()
        text = "".join(self._pieces)
        self._pieces.clear()
        self._chars = 0
        self._room.set()
        if self._over.is_set():
            return text or None
        self._some = trio.Event()
        return text


async def write_reply(
    responder: Responder, prompt: Prompt, add: Callable[[str], Awaitable[None]]
) -> Finish:
    """Let `responder` write, and `add` its text in order, each piece once.

    Everything that was emitted has been added when this returns or raises `ResponderError`; when it
    is cancelled, or `add` fails, the rest is dropped.
    """
    pieces = _Pieces()
    ended: list[Finish | ResponderError] = []

    async def respond() -> None:
        try:
            ended.append(await responder.respond(prompt, pieces.put))
        except ResponderError as error:
            ended.append(error)
        pieces.end()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(respond)
        while (text := await pieces.take()) is not None:
            if text:
                await add(text)
                await pieces.gather()
    (result,) = ended
    if isinstance(result, ResponderError):
        raise result
    return result
