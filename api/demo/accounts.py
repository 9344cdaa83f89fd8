"""Who may log in at the demo portal: `driver-<n>` with password `harbor-<n>`, for any whole n."""

from __future__ import annotations

import hmac
import re
from typing import Final

import msgspec

_MAX_CHARS: Final = 256
_USERNAME: Final = re.compile(r"driver-([0-9]{1,64})")


class Account(msgspec.Struct, frozen=True):
    """Somebody who has proved the password.

    Attributes:
        username: what was typed, `driver-7`.
        name: what the portal's pages show, `Driver 7`.
    """

    username: str
    name: str


def log_in(username: str, password: str) -> Account | None:
    """Return the account when the pair is right; None, without saying which half was wrong."""
    if max(len(username), len(password)) > _MAX_CHARS:
        return None
    account = account_of(username)
    number = username.rpartition("-")[2]
    right = hmac.compare_digest(password.encode(), f"harbor-{number}".encode())
    return account if right else None


def account_of(username: str) -> Account | None:
    """Return the account of that name, without a word about its password."""
    match = _USERNAME.fullmatch(username)
    return None if match is None else Account(username, f"Driver {match[1]}")
