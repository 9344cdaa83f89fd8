"""What was done with a page, for whoever has to find out why it went wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import trio

_STEPS_MAX: Final = 200


class Journal:
    """The newest steps, with seconds since the page was opened; never what was typed or read."""

    def __init__(self) -> None:
        self._began = trio.current_time()
        self._steps: deque[str] = deque(maxlen=_STEPS_MAX)

    @property
    def steps(self) -> tuple[str, ...]:
        """The newest 200, oldest first."""
        return tuple(self._steps)

    def note(self, text: str) -> None:
        """Write down something that happened now."""
        self._steps.append(f"+{trio.current_time() - self._began:.3f} s {text}")

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Write down, at its end, what was done, how long it took and which error ended it."""
        began = trio.current_time()
        outcome = ""
        try:
            yield
        except BaseException as error:
            outcome = f", {type(error).__name__}"
            raise
        finally:
            self.note(f"{text} ({trio.current_time() - began:.3f} s{outcome})")


def address(url: str) -> str:
    """Return the url without what may hold a secret: user, query, fragment; no inline document."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(not an address)"
    if not parts.netloc:
        return url if parts.scheme == "about" else f"{parts.scheme}:…"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
