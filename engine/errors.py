"""Every error of Mooring has one root, and branches by phase and by whose fault it is.

Laws of this file: an error carries fields and composes its message from them; a message that could
not be delivered comes back with its error; nothing here knows a status code.
"""

from __future__ import annotations

from typing import Any


class MooringError(Exception):
    """The root of everything that Mooring raises on purpose."""


class DomainError(MooringError):
    """An answer that says no.

    The only exceptions that a handler may raise to its asker. Any other exception that leaves a
    handler is a crash of its actor.
    """


class SpawnError(MooringError):
    """An actor could not be started."""


class AddressTaken(SpawnError):
    """The address already belongs to a running actor."""

    def __init__(self, address: str) -> None:
        super().__init__(f"an actor already runs at {address}")
        self.address = address


class SupervisorStopping(SpawnError):
    """The supervisor is shutting down and starts nothing any more."""

    def __init__(self, supervisor: str) -> None:
        super().__init__(f"supervisor {supervisor} is stopping")
        self.supervisor = supervisor


class DeliveryError(MooringError):
    """A message did not reach its actor; `message` is given back unhandled."""

    def __init__(self, text: str, *, address: str, message: Any) -> None:
        super().__init__(text)
        self.address = address
        self.message = message


class InboxFull(DeliveryError):
    """The inbox had no room at once (`tell_nowait`) or within the deadline (`tell`)."""

    def __init__(self, address: str, message: Any) -> None:
        super().__init__(f"the inbox of {address} is full", address=address, message=message)


class ActorStopped(DeliveryError):
    """The actor has stopped, or stopped before it answered."""

    def __init__(self, address: str, message: Any) -> None:
        super().__init__(f"{address} has stopped", address=address, message=message)


class AskError(MooringError):
    """An ask that reached its actor ended without an answer."""


class AskTimeout(AskError):
    """No answer within the deadline; a message not yet begun is never begun."""

    def __init__(self, address: str, message: Any) -> None:
        super().__init__(f"{address} did not answer in time")
        self.address = address
        self.message = message


class ActorCrashed(AskError):
    """The actor crashed while it handled this message; `__cause__` is the crash."""

    def __init__(self, address: str) -> None:
        super().__init__(f"{address} crashed")
        self.address = address


class SupervisionError(MooringError):
    """A supervisor gave up."""


class RestartLimitReached(SupervisionError):
    """An actor crashed more often than its policy allows; `__cause__` is the last crash."""

    def __init__(self, address: str, restarts: int, within_s: float) -> None:
        super().__init__(f"{address} crashed more than {restarts} times within {within_s:g} s")
        self.address = address
        self.restarts = restarts
        self.within_s = within_s
