"""The routes of the partner API about people, keys, usage and profile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from actors.partner import errors as partner
from actors.partner.tenants.accounts import Account
from actors.partner.tenants.admission import EnvironmentUsage
from actors.partner.tenants.audit import AuditEntry
from actors.partner.tenants.decision import MAX_NAME_CHARS
from actors.partner.tenants.passwords import MAX_CHARS, MIN_CHARS
from actors.partner.tenants.principal import Environment
from actors.partner.tenants.records import Profile
from api.docs.errors import WITH_BODY
from api.docs.operation import (
    LIMIT,
    Answer,
    Body,
    Link,
    Operation,
    Parameter,
    Text,
    Timestamp,
    path_text,
)
from api.errors import FieldInvalid
from api.partner.errors import PREFIX
from engine.durable import NotRecorded

Email = Annotated[
    Text,
    Meta(
        min_length=3,
        max_length=254,
        description="An e-mail address.",
        extra_json_schema={"format": "email"},
    ),
]
Password = Annotated[Text, Meta(min_length=MIN_CHARS, max_length=MAX_CHARS)]
Token = Annotated[Text, Meta(min_length=1, max_length=4_096)]


class EmailAndPassword(msgspec.Struct, frozen=True, kw_only=True):
    """Who signs up, or logs in."""

    email: Email
    password: Password


class RefreshRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The newest refresh token of a login."""

    refresh_token: Token


class LogoutRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A refresh token whose login is to end as well."""

    refresh_token: Annotated[Text, Meta(max_length=4_096)] | None = None


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What a login is worth: an access token for a while, a refresh token for the next one."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"]
    expires_in: int
    user: Account


class LoggedOut(msgspec.Struct, frozen=True, kw_only=True):
    """The login has ended, its access token with it."""

    status: Literal["logged_out"]


class KeyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which key is to be made; the name is for people."""

    environment: Environment
    name: Annotated[Text, Meta(max_length=MAX_NAME_CHARS)] | None = None


class ApiKeyShown(msgspec.Struct, frozen=True, kw_only=True):
    """A key. `api_key` is the whole key when it is made, and a hint ever after."""

    key_id: str
    environment: Environment
    name: str
    api_key: str
    created_at: Timestamp
    created_by: str
    last_used_at: Timestamp | None


class ApiKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The tenant's keys, the newest first."""

    api_keys: tuple[ApiKeyShown, ...]


class UsageOfDay(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions created on a day, of each environment that the caller sees."""

    day: str
    sandbox: int | msgspec.UnsetType = msgspec.UNSET
    production: int | msgspec.UnsetType = msgspec.UNSET


class TenantUsage(msgspec.Struct, frozen=True, kw_only=True):
    """This month's usage: of one environment, and of each that the caller sees."""

    month: str
    resets_at: Timestamp
    environment: Environment
    used: int
    limit: int
    remaining: int
    environments: Mapping[str, EnvironmentUsage]
    active: int
    max_active: int
    rate_limit_per_minute: int
    days: tuple[UsageOfDay, ...]


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the audit log, the newest first."""

    entries: tuple[AuditEntry, ...]
    next_cursor: str | None


class ProfileRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What visitors are shown; a logo that is not mentioned stays, null removes it."""

    name: Annotated[Text, Meta(min_length=1, max_length=MAX_NAME_CHARS)]
    logo_url: (
        Annotated[str, Meta(max_length=2_048, pattern="^https://[^@\\\\\\s]+$")]
        | msgspec.UnsetType
        | None
    ) = msgspec.UNSET


TAG: Final = "partner accounts"
BY_PERSON: Final = (partner.CredentialsRefused, partner.RateLimited)
_OPEN_ERRORS: Final = (*WITH_BODY, partner.RateLimited, partner.FieldInvalid, NotRecorded)
_ACCOUNT: Final = {
    "user_id": "8b2b6a3e-2b1f-4ad0-9a58-6d2f7c1f0e11",
    "tenant_id": "c4a4d0a2-5f39-4b7e-8a1f-0f6b1d3f2a77",
    "email": "ada@example.com",
    "role": "owner",
}
_TOKENS: Final = {
    "access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2lnbmF0dXJl",
    "refresh_token": "mr_c4a4d0a2.…",
    "token_type": "bearer",
    "expires_in": 900,
    "user": _ACCOUNT,
}
_KEY: Final = {
    "key_id": "4f6d1f0c-31c4-4b7a-9f3e-2d1a0c9b8e7f",
    "environment": "sandbox",
    "name": "backend",
    "api_key": "vp_sandbox_…",
    "created_at": "2026-01-07T12:34:56.789Z",
    "created_by": "8b2b6a3e-2b1f-4ad0-9a58-6d2f7c1f0e11",
    "last_used_at": None,
}
_LOGIN: Final = {"email": "ada@example.com", "password": "a long enough password"}


def _account_route(
    name: str, summary: str, *, body: Body, answer: Answer, errors: tuple[type[Exception], ...]
) -> Operation:
    return Operation(
        id=name,
        method="POST",
        path=f"{PREFIX}/auth/{name}",
        tag=TAG,
        summary=summary,
        body=body,
        answers=(answer,),
        errors=(*_OPEN_ERRORS, *errors),
        security=(None,),
    )


OPERATIONS: Final = (
    _account_route(
        "signup",
        "Make an account, and a tenant with it",
        body=Body(type=EmailAndPassword, example=_LOGIN),
        answer=Answer(status=201, description="Logged in.", type=Tokens, example=_TOKENS),
        errors=(partner.EmailTaken, partner.SignupClosed),
    ),
    _account_route(
        "login",
        "Log in",
        body=Body(type=EmailAndPassword, example=_LOGIN),
        answer=Answer(status=200, description="Logged in.", type=Tokens, example=_TOKENS),
        errors=(partner.CredentialsRefused,),
    ),
    _account_route(
        "refresh",
        "Exchange a refresh token; using an old one again ends the login",
        body=Body(type=RefreshRequest, example={"refresh_token": "mr_c4a4d0a2.…"}),
        answer=Answer(status=200, description="The next pair.", type=Tokens, example=_TOKENS),
        errors=(partner.CredentialsRefused,),
    ),
    Operation(
        id="logout",
        method="POST",
        path=f"{PREFIX}/auth/logout",
        tag=TAG,
        summary="End the login of the access token, and that of a refresh token in the body",
        body=Body(type=LogoutRequest, example={}, required=False),
        answers=(
            Answer(
                status=200,
                description="Logged out.",
                type=LoggedOut,
                example={"status": "logged_out"},
            ),
        ),
        errors=(*WITH_BODY, *BY_PERSON, NotRecorded),
        security=("accessToken", None),
    ),
    Operation(
        id="generate_key",
        method="POST",
        path=f"{PREFIX}/api-keys/generate",
        tag=TAG,
        summary="Make an API key",
        body=Body(type=KeyRequest, example={"environment": "sandbox", "name": "backend"}),
        answers=(
            Answer(
                status=201,
                description="The key, shown this once.",
                type=ApiKeyShown,
                example=_KEY,
                links={
                    "revoke": Link(
                        operation="revoke_key",
                        parameters={"key_id": "$response.body#/key_id"},
                        description="Revoke it.",
                    )
                },
            ),
        ),
        errors=(*WITH_BODY, *BY_PERSON, partner.FieldInvalid, partner.NotAllowed, NotRecorded),
        security=("accessToken",),
    ),
    Operation(
        id="list_keys",
        method="GET",
        path=f"{PREFIX}/api-keys/list",
        tag=TAG,
        summary="List API keys",
        answers=(
            Answer(
                status=200,
                description="All of them, masked.",
                type=ApiKeys,
                example={"api_keys": [_KEY]},
            ),
        ),
        errors=BY_PERSON,
        security=("accessToken",),
    ),
    Operation(
        id="revoke_key",
        method="DELETE",
        path=f"{PREFIX}/api-keys/{{key_id}}",
        tag=TAG,
        summary="Revoke an API key, from the next request on",
        parameters=(path_text("key_id", "A key's id.", str(_KEY["key_id"])),),
        answers=(Answer(status=204, description="Revoked.", medium=None),),
        errors=(*BY_PERSON, partner.NotFound, partner.NotAllowed, NotRecorded),
        security=("accessToken",),
    ),
    Operation(
        id="usage",
        method="GET",
        path=f"{PREFIX}/usage",
        tag=TAG,
        summary="Tell how much of the month's quota is used",
        parameters=(
            Parameter(
                name="environment",
                where="query",
                type=Environment,
                description="A key's own by default, and the only one that it sees; else sandbox.",
            ),
        ),
        answers=(
            Answer(
                status=200,
                description="This month's.",
                type=TenantUsage,
                example={
                    "month": "2026-01",
                    "resets_at": "2026-02-01T00:00:00.000Z",
                    "environment": "sandbox",
                    "used": 3,
                    "limit": 100,
                    "remaining": 97,
                    "environments": {"sandbox": {"used": 3, "limit": 100, "remaining": 97}},
                    "active": 1,
                    "max_active": 10,
                    "rate_limit_per_minute": 100,
                    "days": [{"day": "2026-01-07", "sandbox": 3}],
                },
            ),
        ),
        errors=(*BY_PERSON, partner.FieldInvalid),
        security=("accessToken", "apiKey"),
    ),
    Operation(
        id="audit",
        method="GET",
        path=f"{PREFIX}/audit",
        tag=TAG,
        summary="List what people did with accounts, keys and webhooks, the newest first",
        parameters=(
            LIMIT,
            Parameter(
                name="cursor",
                where="query",
                type=Annotated[str, Meta(pattern="^[0-9]{1,16}$")],
                description="The `next_cursor` of the page before.",
            ),
        ),
        answers=(
            Answer(
                status=200,
                description="A page.",
                type=Audit,
                example={"entries": [], "next_cursor": None},
            ),
        ),
        errors=(*BY_PERSON, FieldInvalid, partner.FieldInvalid),
        security=("accessToken",),
    ),
    Operation(
        id="read_profile",
        method="GET",
        path=f"{PREFIX}/profile",
        tag=TAG,
        summary="Read what visitors are shown",
        answers=(
            Answer(
                status=200,
                description="The profile.",
                type=Profile,
                example={"name": "Acme", "logo_url": None},
            ),
        ),
        errors=BY_PERSON,
        security=("accessToken",),
    ),
    Operation(
        id="change_profile",
        method="PUT",
        path=f"{PREFIX}/profile",
        tag=TAG,
        summary="Set what visitors are shown",
        body=Body(type=ProfileRequest, example={"name": "Acme"}),
        answers=(
            Answer(
                status=200,
                description="The profile as it is now.",
                type=Profile,
                example={"name": "Acme", "logo_url": None},
            ),
        ),
        errors=(*WITH_BODY, *BY_PERSON, partner.FieldInvalid, partner.NotAllowed, NotRecorded),
        security=("accessToken",),
    ),
)
