"""What the routes of hosted sessions take, decoded.

Laws of this file: pure. Types are checked here, what values mean by `check_opening`. Unknown fields
are ignored, and yet are part of what a retry must repeat. No error repeats a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from actors.partner.errors import FieldInvalid
from actors.partner.hosted import Opening, State, check_opening
from actors.partner.hosted.flows import DEFAULT
from actors.partner.hosted.return_url import MAX_URL
from actors.partner.tenants.principal import Environment, Principal
from api.body import take_text
from api.errors import FieldsMissing
from api.partner.requests import environment_of
from api.query import take_limit

# What is longer is refused by `check_opening` with its own words; this bounds what it looks at.
_LONGEST: Final = 4_096


class SessionsWanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of a tenant's sessions."""

    state: State | None
    environment: Environment | None
    limit: int
    cursor: str | None


def opening(body: Mapping[str, Any], principal: Principal, keys: Sequence[str]) -> Opening:
    """Return the session that a create asks for.

    Args:
        keys: the values of `Idempotency-Key`, none for none.

    Raises:
        FieldsMissing, FieldInvalid.
    """
    return_url = take_text(body, "return_url", longest=max(_LONGEST, MAX_URL))
    if return_url is None:
        raise FieldsMissing(("return_url",))
    if len(keys) > 1:
        raise FieldInvalid("Idempotency-Key", "is there more than once")
    wanted = Opening(
        environment=_environment(body, principal),
        return_url=return_url,
        metadata=_metadata(body),
        purpose=take_text(body, "purpose", longest=_LONGEST),
        flow=take_text(body, "flow", longest=_LONGEST) or DEFAULT,
        key=keys[0] if keys else None,
    )
    return check_opening(wanted, body)


def sessions_wanted(query: Mapping[str, str]) -> SessionsWanted:
    """Return which page is asked for; raises FieldInvalid."""
    environment = query.get("environment")
    return SessionsWanted(
        state=_state(query.get("state")),
        environment=None if environment is None else environment_of(environment),
        limit=take_limit(query),
        cursor=query.get("cursor"),
    )


def _environment(body: Mapping[str, Any], principal: Principal) -> Environment:
    """Return where the session belongs: a key's own place; what a user names, else the sandbox."""
    named = take_text(body, "environment", longest=_LONGEST)
    if named is None:
        return principal.environment or "sandbox"
    environment = environment_of(named)
    if not principal.may_see(environment):
        raise FieldInvalid("environment", "is not the one of this key")
    return environment


def _metadata(body: Mapping[str, Any]) -> Mapping[str, Any]:
    value = body.get("metadata")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise FieldInvalid("metadata", "must be an object")
    return value


def _state(text: str | None) -> State | None:
    if text is None:
        return None
    try:
        return State(text)
    except ValueError:
        raise FieldInvalid("state", f"must be one of {', '.join(State)}") from None
