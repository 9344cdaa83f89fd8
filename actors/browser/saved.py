"""What is written down of a browser session so that it survives its server, and how it is sealed.

Two sealed texts, so that a list need not open what may be large: the *state* has everything that
another Chromium needs to be logged in, the *summary* what is shown of a session that waits.

Laws of this file: nothing leaves it unsealed; each text opens only in its session's place; no repr
and no error holds a secret.
"""

from __future__ import annotations

import json
from typing import Any, Final, TypeVar

import msgspec
import structlog

from actors.browser.page import BrowserState
from actors.browser.portals.portal import Credentials
from engine.seal import SealBroken, Sealer

_LOG: Final = structlog.get_logger("mooring.browser")
_LOGIN: Final = "browser login"
_MOST_BYTES: Final = 3 * 1024 * 1024  # of a state; a commit takes 8 MiB

_T = TypeVar("_T")


class SavedSession(msgspec.Struct, frozen=True, kw_only=True):
    """All that a session needs to be itself again under another server."""

    credentials: Credentials
    state: BrowserState

    def __repr__(self) -> str:
        return f"SavedSession({self.credentials!r})"


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of a session that waits."""

    username: str
    url: str
    last_used_ms: int
    last_refresh_ms: int | None = None

    def __repr__(self) -> str:
        return f"Summary({self.username!r})"


class Vault:
    """Seals and opens what is saved of sessions."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def seal(self, session_id: str, saved: SavedSession) -> bytes:
        """Return the state sealed; storage that is too large is left out, then cookies."""
        text = _encoded(saved)
        for spared in ({"storage": ()}, {"storage": (), "cookies": ()}):
            if len(text) <= _MOST_BYTES:
                break
            _LOG.warning("browser_state_too_large", session_id=session_id, size_bytes=len(text))
            state = msgspec.structs.replace(saved.state, **spared)
            text = _encoded(msgspec.structs.replace(saved, state=state))
        return self._sealer.seal(text, place=_state_of(session_id))

    def open(self, session_id: str, sealed: bytes) -> SavedSession:
        """Return the state; raises SealError."""
        place = _state_of(session_id)
        return _decoded(self._sealer.open(sealed, place=place), SavedSession, place)

    def seal_summary(self, session_id: str, summary: Summary) -> bytes:
        return self._sealer.seal(_encoded(summary), place=_summary_of(session_id))

    def open_summary(self, session_id: str, sealed: bytes) -> Summary:
        """Return the summary; raises SealError."""
        place = _summary_of(session_id)
        return _decoded(self._sealer.open(sealed, place=place), Summary, place)

    def is_current(self, *sealed: bytes) -> bool:
        """Tell whether the newest key sealed all of them."""
        return all(map(self._sealer.is_current, sealed))

    def logins(self, credentials: Credentials) -> tuple[str, ...]:
        """Return the digests of user name *and* password, under the newest key first."""
        # A lone surrogate is no text, but must not end anybody either.
        texts = (credentials.username, credentials.password)
        parts = (text.encode("utf-8", "surrogatepass").hex() for text in texts)
        return self._sealer.digests(":".join(parts), purpose=_LOGIN)


def alias_of(login: str) -> str:
    """Return the unique name in the store under which one session has a login."""
    return f"browser-login/{login}"


def _state_of(session_id: str) -> str:
    return f"browser/{session_id}/state"


def _summary_of(session_id: str) -> str:
    return f"browser/{session_id}/summary"


# The standard library's JSON: a page may store lone surrogates, which msgspec's refuses.
def _encoded(value: SavedSession | Summary) -> bytes:
    return json.dumps(msgspec.to_builtins(value), separators=(",", ":")).encode()


def _decoded(text: bytes, kind: type[_T], place: str) -> _T:
    try:
        found: Any = json.loads(text)
        return msgspec.convert(found, kind)
    except (ValueError, msgspec.ValidationError):
        raise SealBroken(place) from None
