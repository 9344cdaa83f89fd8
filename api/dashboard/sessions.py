"""Sessions: the list, one session with what happened to it, creating and cancelling."""

from __future__ import annotations

from typing import Any, Final, cast
from urllib.parse import urlencode

import msgspec
from quart import Blueprint, Response, request

from actors.partner import FieldInvalid, IdempotencyMismatch, LimitReached
from actors.partner.hosted import (
    OPEN,
    Created,
    HostedSession,
    HostedSessions,
    IllegalTransition,
    Opening,
    State,
    check_opening,
)
from actors.partner.hosted.flows import DEFAULT, FLOWS
from actors.partner.tenants import ENVIRONMENTS
from api.dashboard.forms import Form, chosen, given, read_form
from api.dashboard.frame import Frame, lead_to
from api.dashboard.gate import Person
from api.dashboard.refusal import refusal_of
from api.dashboard.timeline import read_timeline
from api.errors import FieldInvalid as TypedInvalid
from api.pages import qr_svg
from api.pages.bidi import escaped
from engine.clock import Clock
from engine.errors import CursorInvalid
from engine.store import Store

_PAGE: Final = 25
_PATH: Final = "/dashboard/sessions"
_FIELDS: Final = ("return_url", "user_id", "environment", "flow", "purpose")
_LONGEST: Final = {"return_url": 2048, "user_id": 255, "purpose": 500}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A session as lists show it."""

    session_id: str
    state: str
    environment: str
    purpose: str | None
    user_id: str | None
    created_at: str


def row_of(session: HostedSession) -> Row:
    """Return what a list shows of a session."""
    user_id = session.metadata.get("user_id")
    return Row(
        session_id=session.session_id,
        state=session.state.value,
        environment=session.environment,
        purpose=session.purpose,
        user_id=None if user_id in (None, "") else str(user_id),
        created_at=session.created_at,
    )


def add_session_views(
    routes: Blueprint, frame: Frame, sessions: HostedSessions, store: Store, clock: Clock
) -> None:
    """Add the pages about sessions."""
    views = _SessionViews(frame, sessions, store, clock)
    routes.add_url_rule("/sessions", "sessions", views.list, methods=["GET"])
    routes.add_url_rule("/sessions/new", "session_new", views.show_new, methods=["GET"])
    routes.add_url_rule("/sessions/new", "session_create", views.create, methods=["POST"])
    routes.add_url_rule("/sessions/<session_id>", "session", views.show, methods=["GET"])
    path = "/sessions/<session_id>/cancel"
    routes.add_url_rule(path, "session_ask_cancel", views.ask_cancel, methods=["GET"])
    routes.add_url_rule(path, "session_cancel", views.cancel, methods=["POST"])


class _SessionViews:
    def __init__(self, frame: Frame, sessions: HostedSessions, store: Store, clock: Clock) -> None:
        self._frame = frame
        self._sessions = sessions
        self._store = store
        self._clock = clock

    async def list(self) -> Response:
        person = await self._frame.person()
        wanted = {name: request.args.get(name, "") for name in ("state", "environment", "cursor")}
        state, environment = wanted["state"], wanted["environment"]
        try:
            page = await self._sessions.list(
                person.principal,
                state=State(state) if state in tuple(State) else None,
                environment=environment if environment in ENVIRONMENTS else None,
                limit=_PAGE,
                cursor=wanted["cursor"] or None,
            )
        except CursorInvalid:
            return lead_to(_PATH)  # an address from before; the list itself is still there
        filters = given({"state": state, "environment": environment})
        return self._frame.page(
            "sessions",
            person,
            rows=[row_of(session) for session in page.sessions],
            wanted=wanted,
            states=[one.value for one in State],
            first_page=_address(filters),
            next_page=page.next_cursor and _address(filters | {"cursor": page.next_cursor}),
        )

    async def show(self, session_id: str) -> Response:
        person = await self._frame.person()
        # The timeline first: what happens in between, its stream brings.
        session = await self._sessions.get(person.principal, session_id)
        stream = await self._sessions.stream(person.principal, session_id)
        timeline = await read_timeline(self._store, stream)
        return self._frame.page(
            "session",
            person,
            it=session,
            events=timeline.events,
            seq=timeline.seq,
            ended=session.has_ended,
            can_cancel=session.state in OPEN,
            metadata=_readable(session.metadata),
            result=_readable(session.result),
            now=self._clock.now(),
        )

    async def show_new(self) -> Response:
        return self._form(await self._frame.person(), Form(()))

    async def create(self) -> Response:
        person = await self._frame.person()
        form = await read_form(request)
        try:
            opening = _opening(form)
            answered = await self._sessions.create(person.principal, opening)
        except (FieldInvalid, TypedInvalid, IdempotencyMismatch, LimitReached) as error:
            return self._form(person, form, error)
        made = msgspec.json.decode(answered.body, type=Created)
        label = "QR code of the session URL"
        return self._frame.page(
            "session_made",
            person,
            status=201,
            made=made,
            qr=qr_svg(made.session_url, label=label),
            now=self._clock.now(),
        )

    async def ask_cancel(self, session_id: str) -> Response:
        person = await self._frame.person()
        session = await self._sessions.get(person.principal, session_id)
        return self._cancelling(person, session)

    async def cancel(self, session_id: str) -> Response:
        person = await self._frame.person()
        try:
            await self._sessions.cancel(person.principal, session_id)
        except IllegalTransition as error:
            session = await self._sessions.get(person.principal, session_id)
            return self._cancelling(person, session, error)
        return lead_to(f"{_PATH}/{session_id}", said="cancelled")

    def _cancelling(
        self, person: Person, session: HostedSession, error: Exception | None = None
    ) -> Response:
        path = f"{_PATH}/{session.session_id}"
        return self._frame.page(
            "confirm",
            person,
            refusal=refusal_of(error),
            title="Cancel this session?",
            subject=session.session_id,
            advice="Its visitor is told, and cannot go on. This cannot be taken back.",
            action=f"{path}/cancel",
            verb="Cancel session",
            keep="Keep it",
            back=path,
            dangerous=True,
        )

    def _form(self, person: Person, form: Form, error: Exception | None = None) -> Response:
        typed = form.typed(_FIELDS)
        typed["environment"] = chosen(typed["environment"], ENVIRONMENTS)
        typed["flow"] = chosen(typed["flow"] or DEFAULT, sorted(FLOWS))
        key = form.raw("idempotency_key")[:64] or f"{self._clock.random_bits(128):032x}"
        return self._frame.page(
            "session_new",
            person,
            refusal=refusal_of(error, _FIELDS),
            typed=typed,
            flows=sorted(FLOWS),
            idempotency_key=key,
        )


def _opening(form: Form) -> Opening:
    """Return what the form asks for, within bounds; raises `FieldInvalid`."""
    texts = {name: form.text(name, longest=longest) for name, longest in _LONGEST.items()}
    environment = form.raw("environment") or "sandbox"
    if environment not in ENVIRONMENTS:
        raise FieldInvalid("environment", f"must be one of {', '.join(ENVIRONMENTS)}")
    if not texts["return_url"]:
        raise FieldInvalid("return_url", "Say where the visitor goes with the result")
    body = {
        "return_url": texts["return_url"],
        "metadata": {"user_id": texts["user_id"]} if texts["user_id"] else {},
        "environment": environment,
        "flow": form.raw("flow") or DEFAULT,
        "purpose": texts["purpose"] or None,
    }
    opening = Opening(**cast("Any", body), key=form.raw("idempotency_key") or None)
    return check_opening(opening, body)


def _readable(value: Any) -> str:
    """Return JSON for people; empty where there is nothing."""
    if not value:
        return ""
    return escaped(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _address(query: dict[str, str]) -> str:
    return f"{_PATH}?{urlencode(query)}" if query else _PATH
