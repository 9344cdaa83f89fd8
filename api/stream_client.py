"""What a websocket's client says: bounded, one frame after the other, each answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec
import structlog
import trio

from api import stream_frames as frames
from api.errors import FieldInvalid, answer_to
from api.server.connection import Socket
from api.server.websocket import text_frame
from engine.errors import MooringError

# Takes a client's frame and its type, and returns the fields of its ack; raises to refuse.
Obey: TypeAlias = Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]

POLICY_VIOLATION: Final = 1008
# A client that has been quiet may send this many seconds' worth at once.
_BURST_S: Final = 2.0
_log = structlog.get_logger("mooring.streams")


class StreamClient:
    """One client's side of a websocket.

    Args:
        obey: what its frames are for; None when it has nothing to say here.
        messages_per_s: on average; who sends more is closed with 1008.
        path: whose family's shape errors have.

    Attributes:
        scope: to run the stream in; cancelled when the client brings the end upon itself.
        ending: close code and reason, from then on.
    """

    def __init__(
        self, socket: Socket, obey: Obey | None, *, messages_per_s: float, path: str
    ) -> None:
        self.ending: tuple[int, str] | None = None
        self._socket = socket
        self._obey = obey
        self._rate = messages_per_s
        self._path = path
        self._allowance = max(1.0, messages_per_s * _BURST_S)
        self._counted_at = trio.current_time()
        self.scope = trio.CancelScope()

    async def hear(self, message: str | bytes) -> None:
        """Take one message of the client's; answers it, and never raises but Cancelled."""
        if self.ending is not None:
            return
        if not self._may_speak():
            self.ending = POLICY_VIOLATION, "too many messages"
            self.scope.cancel()
            return
        frame_id = None
        try:
            frame = _decode(message)
            frame_id = _id_of(frame)
            said = frames.answer("ack", frame_id, await self._act_on(frame))
        except MooringError as error:
            said = frames.answer("error", frame_id, self._refusal(error))
        except Exception as error:
            _log.exception("frame_failed")
            said = frames.answer("error", frame_id, self._refusal(error))
        await self._socket.send_frames(text_frame(said))

    async def _act_on(self, frame: Mapping[str, Any]) -> Mapping[str, Any]:
        kind = frame.get("type")
        if not isinstance(kind, str) or self._obey is None:
            raise FieldInvalid("type", "is not one that can be sent here")
        return await self._obey(kind, frame)

    def _refusal(self, error: Exception) -> Mapping[str, Any]:
        return answer_to(error, request_id="", path=self._path).body

    def _may_speak(self) -> bool:
        now = trio.current_time()
        most = max(1.0, self._rate * _BURST_S)
        self._allowance = min(most, self._allowance + (now - self._counted_at) * self._rate)
        self._counted_at = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True


def _decode(message: str | bytes) -> Mapping[str, Any]:
    if isinstance(message, bytes):
        raise FieldInvalid("frame", "must be text")
    try:
        frame: dict[str, Any] = msgspec.json.decode(message, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise FieldInvalid("frame", "must be a JSON object") from None
    return frame


def _id_of(frame: Mapping[str, Any]) -> str | None:
    frame_id = frame.get("id")
    if frame_id is not None and not isinstance(frame_id, str):
        raise FieldInvalid("id", "must be a string")
    return frame_id
