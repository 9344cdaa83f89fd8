"""Logs: one event a line on stderr, JSON, or key=value on a terminal.

Laws of this file: no body, query string, `Authorization` or cookie is ever handed to a logger. That
is the first line of defence; `redact` is the second one, for what slips through. Every line says
where it comes from, as far as that is known: `request_id` in whatever a request runs, `actor` in an
actor and its jobs, `session_id` in both.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import IO, Any, Final

import structlog
from hypercorn.config import Config
from hypercorn.logging import Logger
from structlog.typing import EventDict, Processor, WrappedLogger

from engine.cell import current_actor

REDACTED: Final = "[redacted]"
_OURS: Final = ("mooring", "engine", "actors", "api")

_SECRET_NAME: Final = re.compile(
    r"pass(word|wd|phrase|code)?s?$|secret|token|authori[sz]ation|cookie|credential|storage_state"
    r"|(api|captcha|client|master|private|signing)_?key|^key$",
    re.IGNORECASE,
)
# The same in running text: `password=…`, `"token": "…"`, `Authorization: Bearer …`.
_SECRET_TEXT: Final = re.compile(
    r"(?P<name>\b[\w-]*(?:password|passwd|secret|token|cookie|credential|api_?key|clientKey)[\w-]*"
    r"[\"']?\s*[=:]\s*)(?:\"[^\"]*\"|'[^']*'|[^\s,;&}\]]+)"
    r"|(?P<scheme>\b(?:Bearer|Basic)\s+)[\w.~+/=-]+",
    re.IGNORECASE,
)
# Without one of these nothing in a text has a name, or a scheme, before it.
_MAYBE_NAMED: Final = re.compile(r"[=:\s]")
_DEEPEST: Final = 6
# The actors that are sessions: the part of their address behind the slash is the session's id.
_SESSION_KINDS: Final = frozenset({"browser", "conversation", "hosted"})


def configure(stream: IO[str] | None = None) -> None:
    """Send every log of this process, the libraries' too, through one handler.

    Args:
        stream: where to; stderr by default.
    """
    stream = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(is_terminal=stream.isatty()))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for name in _OURS:
        logging.getLogger(name).setLevel(logging.INFO)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def name_actor(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Say which actor this comes from, and of which session, if it comes from one or is about one.

    A session's stream in the store has its actor's address as its name.
    """
    address = current_actor()
    if address is not None:
        event.setdefault("actor", address)
    for name in ("stream", "actor"):
        kind, _, session_id = str(event.get(name, "")).partition("/")
        if session_id and kind in _SESSION_KINDS:
            event.setdefault("session_id", session_id)
    return event


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace what looks like a secret by its name, at any depth, or by how it stands in a text."""
    return {key: _redacted(key, value, _DEEPEST) for key, value in event.items()}


@lru_cache(maxsize=1_024)
def _is_secret(name: str) -> bool:
    """Tell whether what is called so is a secret; the same few names come with every line."""
    return _SECRET_NAME.search(name) is not None


def _redacted(name: str, value: Any, depth: int) -> Any:
    if _is_secret(name) and value is not None and not isinstance(value, bool):
        return REDACTED
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping) and depth:
        return {str(key): _redacted(str(key), item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth:
        return [_redacted("", item, depth - 1) for item in value]
    text = value if isinstance(value, str) else repr(value)
    if _MAYBE_NAMED.search(text) is None:
        return text
    return _SECRET_TEXT.sub(_without_secret, text)


def _without_secret(match: re.Match[str]) -> str:
    return f"{match['name'] or match['scheme']}{REDACTED}"


def _formatter(*, is_terminal: bool) -> logging.Formatter:
    shared: list[Processor] = [
        structlog.stdlib.ExtraAdder(allow=("actor", "job", "stream", "cause")),
        structlog.contextvars.merge_contextvars,
        name_actor,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # What `redact` leaves is text, numbers, and lists and maps of them. One encoder for all lines:
    # json.dumps would make one for each.
    encode = json.JSONEncoder(ensure_ascii=False).encode
    last: Processor = structlog.processors.JSONRenderer(serializer=lambda event, **_: encode(event))
    if is_terminal:  # repr of every value: nothing that a client sends reaches the terminal raw
        last = structlog.processors.KeyValueRenderer(
            key_order=["timestamp", "level", "event"], drop_missing=True
        )
    return structlog.stdlib.ProcessorFormatter(
        processors=[
            *shared,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            redact,
            last,
        ],
    )


class HypercornLog(Logger):
    """Hypercorn's log: its errors go our way, its own access and start-up lines go nowhere."""

    def __init__(self, config: Config) -> None:
        self.access_logger = None
        self.error_logger = logging.getLogger("mooring.hypercorn")

    async def info(self, message: str, *args: Any, **kwargs: Any) -> None:
        """Drop it: what Hypercorn tells of itself is said by `api.serve` already."""
