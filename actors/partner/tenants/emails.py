"""E-mail addresses: one spelling for each, found by a digest, kept sealed.

Laws of this file: pure but for the sealer's nonce. Two spellings that most mailboxes take for the
same are one address here: case and surrounding space do not count. A digest is an HMAC, so that a
copy of the database cannot be tried with a list of addresses.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from actors.partner.errors import FieldInvalid
from engine.seal import Sealer

_PURPOSE: Final = "partner-email"
_LONGEST: Final = 254  # RFC 5321, 4.5.3.1.3
_LONGEST_LOCAL: Final = 64
_LOCAL: Final = re.compile(r"[^\s\x00-\x1f\x7f-\x9f@\"(),:;<>\[\\\]\u200b-\u200f\u202a-\u202e]+")
_LABEL: Final = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def normalise(text: str) -> str:
    """Return the one spelling of an address.

    Raises:
        FieldInvalid: it is not an address.
    """
    email = unicodedata.normalize("NFKC", text.strip()).casefold()
    local, _, domain = email.rpartition("@")
    is_address = (
        len(email) <= _LONGEST
        and len(local) <= _LONGEST_LOCAL
        and _LOCAL.fullmatch(local) is not None
        and _DOMAIN.fullmatch(domain) is not None
        and not any("\ud800" <= letter <= "\udfff" for letter in email)
    )
    if not is_address:
        raise FieldInvalid("email", "must be an e-mail address")
    return email


class Emails:
    """Digests and seals addresses that `normalise` has returned."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def digests(self, email: str) -> tuple[str, ...]:
        """Return what the address may be found by; a new account is found by the first."""
        return self._sealer.digests(email, purpose=_PURPOSE)

    def seal(self, email: str, *, tenant_id: str, user_id: str) -> bytes:
        return self._sealer.seal(email.encode(), place=_place(tenant_id, user_id))

    def open(self, sealed: bytes, *, tenant_id: str, user_id: str) -> str:
        """Return the address; raises a SealError when it was sealed for somebody else."""
        return self._sealer.open(sealed, place=_place(tenant_id, user_id)).decode()


def _place(tenant_id: str, user_id: str) -> str:
    return f"tenant/{tenant_id}/email/{user_id}"
