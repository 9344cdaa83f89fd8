"""A reply that is given later, by the actor that deferred it or by one that it was passed to."""

from __future__ import annotations

from typing import Any

from engine.errors import DomainError
from engine.ref import ActorRef
from engine.request import Request


class Reply:
    """The other end of one waiting ask; good for one answer.

    Every method is synchronous and returns False when nobody waits any more.
    """

    __slots__ = ("_request",)

    def __init__(self, request: Request | None) -> None:
        self._request = request

    @property
    def awaited(self) -> bool:
        """True while the asker still waits."""
        return self._request is not None and self._request.task is not None

    def answer(self, value: Any) -> bool:
        """Give the asker its answer."""
        request, self._request = self._request, None
        return request is not None and request.answer(value)

    def refuse(self, error: DomainError) -> bool:
        """Raise `error` at the asker."""
        request, self._request = self._request, None
        return request is not None and request.fail(error)

    def forward(self, ref: ActorRef, message: Any, *, on_gone: Any = None) -> bool:
        """Let another actor answer: it gets `message` as if the asker had asked it.

        The asker's deadline stays. The message goes before ordinary ones, so it is never refused
        for want of room; how many are forwarded is the forwarding actor's to bound.

        Args:
            on_gone: a message that the other actor gets when the asker leaves before `message` is
                handled, which is then skipped.
        """
        request, self._request = self._request, None
        if request is None or request.task is None:
            return False
        return ref._take_over(request, message, on_gone)
