"""The actor runtime. Knows no browser, chat, tenant or HTTP."""

from engine.actor import DEFERRED, Actor, JobEnded, StopReason
from engine.cell import ActorEnded
from engine.clock import Clock, SeededClock, SystemClock
from engine.errors import (
    ActorCrashed,
    ActorStopped,
    AddressTaken,
    AskError,
    AskTimeout,
    DeliveryError,
    DomainError,
    InboxFull,
    MooringError,
    RestartLimitReached,
    SpawnError,
    SupervisionError,
    SupervisorStopping,
)
from engine.policy import DEFAULT_POLICY, ActorPolicy, Restart
from engine.ref import ActorRef, InboxStatistics
from engine.reply import Reply
from engine.supervisor import Supervisor, SupervisorStatistics, open_supervisor

__all__ = [
    "DEFAULT_POLICY",
    "DEFERRED",
    "Actor",
    "ActorCrashed",
    "ActorEnded",
    "ActorPolicy",
    "ActorRef",
    "ActorStopped",
    "AddressTaken",
    "AskError",
    "AskTimeout",
    "Clock",
    "DeliveryError",
    "DomainError",
    "InboxFull",
    "InboxStatistics",
    "JobEnded",
    "MooringError",
    "Reply",
    "Restart",
    "RestartLimitReached",
    "SeededClock",
    "SpawnError",
    "StopReason",
    "SupervisionError",
    "Supervisor",
    "SupervisorStatistics",
    "SupervisorStopping",
    "SystemClock",
    "open_supervisor",
]
