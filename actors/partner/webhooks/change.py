"""What people do to endpoints, and who has to let them."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

import msgspec

Deed: TypeAlias = Literal["created", "rotated", "enabled", "deleted"]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person is about to do to an endpoint; `by` is the person's id."""

    tenant_id: str
    endpoint_id: str
    url: str
    deed: Deed
    by: str


class Permit(Protocol):
    """Asked before each change, so that none happens without being on record.

    Where the server is killed right behind it, or the store fails, what is on record has not
    happened; whoever asked for it got no answer, and asks again.
    """

    async def __call__(self, change: Change) -> None:
        """Return once the change is on record.

        Raises:
            NotAllowed: it is not for this person; nothing changes.
            MooringError: it could not be put on record; nothing changes.
        """
