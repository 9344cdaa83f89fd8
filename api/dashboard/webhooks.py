"""Webhooks: the list, one with its attempts, adding and changing them, sending again."""

from __future__ import annotations

from typing import Final, cast
from urllib.parse import urlencode

from quart import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from actors.partner import FieldInvalid, PartnerError
from actors.partner.webhooks import EVENT_TYPES, Created, Endpoint, EventType, Webhooks
from api.dashboard.forms import Form, read_form
from api.dashboard.frame import Frame, lead_to
from api.dashboard.gate import Person
from api.dashboard.refusal import refusal_of
from api.errors import FieldInvalid as TypedInvalid
from engine.errors import CursorInvalid

_PATH: Final = "/dashboard/webhooks"
_FIELDS: Final = ("url", "events")
_PAGE: Final = 20
_LONGEST_URL: Final = 2048


def add_webhook_views(routes: Blueprint, frame: Frame, webhooks: Webhooks) -> None:
    """Add the pages about webhooks."""
    views = _WebhookViews(frame, webhooks)
    routes.add_url_rule("/webhooks", "webhooks", views.list, methods=["GET"])
    routes.add_url_rule("/webhooks/new", "webhook_new", views.show_new, methods=["GET"])
    routes.add_url_rule("/webhooks/new", "webhook_create", views.create, methods=["POST"])
    routes.add_url_rule("/webhooks/<id_>", "webhook", views.show, methods=["GET"])
    path = "/webhooks/<id_>/<act>"
    routes.add_url_rule(path, "webhook_ask", views.ask, methods=["GET"])
    routes.add_url_rule(path, "webhook_act", views.act, methods=["POST"])
    path = "/attempts/<attempt_id>/resend"
    routes.add_url_rule(path, "attempt_resend", views.resend, methods=["POST"])


class _WebhookViews:
    def __init__(self, frame: Frame, webhooks: Webhooks) -> None:
        self._frame = frame
        self._webhooks = webhooks

    async def list(self) -> Response:
        person = await self._frame.person()
        found = await self._webhooks.endpoints(person.tenant_id)
        return self._frame.page("webhooks", person, webhooks=found, event_types=EVENT_TYPES)

    async def show(self, id_: str) -> Response:
        person = await self._frame.person()
        return await self._one(person, id_)

    async def show_new(self) -> Response:
        person = await self._frame.person()
        person.check_may_change()
        return self._form(person, Form(()), events=EVENT_TYPES)

    async def create(self) -> Response:
        person = await self._frame.person()
        person.check_may_change()
        form = await read_form(request)
        events = form.several("events")
        try:
            url = form.text("url", longest=_LONGEST_URL)
            made = await self._webhooks.create(
                person.tenant_id, url=url, events=_known(events), by=person.user_id
            )
        except (PartnerError, TypedInvalid) as error:
            return self._form(person, form, events=events, error=error)
        return self._shown_once(person, made, title="Webhook added")

    async def ask(self, id_: str, act: str) -> Response:
        person = await self._frame.person()
        person.check_may_change()
        endpoint = await self._webhooks.endpoint(person.tenant_id, id_)
        return self._confirm(person, endpoint, act)

    async def act(self, id_: str, act: str) -> Response:
        person = await self._frame.person()
        person.check_may_change()
        _known_act(act)
        match act:
            case "rotate":
                made = await self._webhooks.rotate(person.tenant_id, id_, by=person.user_id)
                return self._shown_once(person, made, title="Secret rotated")
            case "enable":
                await self._webhooks.enable(person.tenant_id, id_, by=person.user_id)
                return lead_to(f"{_PATH}/{id_}", said="enabled")
        await self._webhooks.delete(person.tenant_id, id_, by=person.user_id)
        return lead_to(_PATH, said="deleted")

    async def resend(self, attempt_id: str) -> Response:
        person = await self._frame.person()
        person.check_may_change()
        id_ = (await read_form(request)).raw("webhook")
        await self._webhooks.endpoint(person.tenant_id, id_)  # the form leads back to it
        try:
            await self._webhooks.resend(person.tenant_id, attempt_id)
        except PartnerError as error:
            return await self._one(person, id_, error)
        return lead_to(f"{_PATH}/{id_}", said="resent")

    async def _one(self, person: Person, id_: str, error: Exception | None = None) -> Response:
        endpoint = await self._webhooks.endpoint(person.tenant_id, id_)
        cursor = request.args.get("cursor")
        try:
            page = await self._webhooks.attempts(person.tenant_id, id_, limit=_PAGE, cursor=cursor)
        except CursorInvalid:
            return lead_to(f"{_PATH}/{id_}")
        following = page.next_cursor
        return self._frame.page(
            "webhook",
            person,
            refusal=refusal_of(error, _FIELDS),
            it=endpoint,
            attempts=page.attempts,
            next_page=following and f"{_PATH}/{id_}?{urlencode({'cursor': following})}",
        )

    def _confirm(self, person: Person, endpoint: Endpoint, act: str) -> Response:
        title, verb, advice = _known_act(act)
        return self._frame.page(
            "confirm",
            person,
            title=title,
            subject=endpoint.url,
            advice=advice,
            refusal=refusal_of(None),
            action=f"{_PATH}/{endpoint.id}/{act}",
            verb=verb,
            keep="Leave it",
            back=f"{_PATH}/{endpoint.id}",
            dangerous=act == "delete",
        )

    def _shown_once(self, person: Person, made: Created, *, title: str) -> Response:
        return self._frame.page(
            "secret",
            person,
            status=201,
            title=title,
            facts=[("URL", made.endpoint.url)],
            called="Signing secret",
            secret=made.secret,
            example="",
            back=f"{_PATH}/{made.endpoint.id}",
        )

    def _form(
        self,
        person: Person,
        form: Form,
        *,
        events: tuple[str, ...],
        error: Exception | None = None,
    ) -> Response:
        return self._frame.page(
            "webhook_new",
            person,
            refusal=refusal_of(error, _FIELDS),
            typed={**form.typed(("url",)), "events": events},
            event_types=EVENT_TYPES,
        )


# What can be done to one: the question, the word on the button, what comes of it.
_ACTS: Final = {
    "rotate": (
        "Rotate the secret?",
        "Rotate secret",
        "You get a new secret, shown once. For 24 hours the old one signs beside it, so that "
        "nothing is refused while you put the new one in its place.",
    ),
    "enable": (
        "Enable this webhook again?",
        "Enable webhook",
        "Sessions that end from now on are sent to it.",
    ),
    "delete": (
        "Delete this webhook?",
        "Delete webhook",
        "Nothing more is sent to it, and its secret is forgotten. This cannot be taken back.",
    ),
}


def _known_act(act: str) -> tuple[str, str, str]:
    if act not in _ACTS:
        raise NotFound
    return _ACTS[act]


def _known(events: tuple[str, ...]) -> tuple[EventType, ...]:
    if any(event not in EVENT_TYPES for event in events):
        raise FieldInvalid("events", f"must be of {', '.join(EVENT_TYPES)}")
    return cast("tuple[EventType, ...]", events)
