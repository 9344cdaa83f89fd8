"""API keys: the list, a new one, which is shown once, and revoking."""

from __future__ import annotations

from typing import Final

from quart import Blueprint, Response, request

from actors.partner import NotFound, PartnerError
from actors.partner.tenants import ENVIRONMENTS, ApiKey, ListKeys, RevokeKey, Tenants
from actors.partner.tenants.keyring import KeyRing, NewKey
from api.dashboard.forms import Form, chosen, read_form
from api.dashboard.frame import Frame, lead_to
from api.dashboard.gate import Person
from api.dashboard.refusal import refusal_of
from api.errors import FieldInvalid as TypedInvalid
from api.partner.requests import environment_of

_PATH: Final = "/dashboard/keys"
_FIELDS: Final = ("name", "environment")
_LONGEST_NAME: Final = 100


def add_key_views(
    routes: Blueprint, frame: Frame, *, tenants: Tenants, keyring: KeyRing, public_url: str
) -> None:
    """Add the pages about keys."""
    views = _KeyViews(frame, tenants, keyring, public_url)
    routes.add_url_rule("/keys", "keys", views.list, methods=["GET"])
    routes.add_url_rule("/keys/new", "key_new", views.show_new, methods=["GET"])
    routes.add_url_rule("/keys/new", "key_generate", views.generate, methods=["POST"])
    path = "/keys/<key_id>/revoke"
    routes.add_url_rule(path, "key_ask_revoke", views.ask_revoke, methods=["GET"])
    routes.add_url_rule(path, "key_revoke", views.revoke, methods=["POST"])


class _KeyViews:
    def __init__(self, frame: Frame, tenants: Tenants, keyring: KeyRing, public_url: str) -> None:
        self._frame = frame
        self._tenants = tenants
        self._keyring = keyring
        self._public_url = public_url

    async def list(self) -> Response:
        person = await self._frame.person()
        return self._frame.page("keys", person, keys=await self._keys(person))

    async def show_new(self) -> Response:
        person = await self._frame.person()
        person.check_may_change()
        return self._form(person, Form(()))

    async def generate(self) -> Response:
        person = await self._frame.person()
        person.check_may_change()
        form = await read_form(request)
        try:
            name = form.text("name", longest=_LONGEST_NAME)
            environment = environment_of(form.raw("environment") or "sandbox")
            made = await self._keyring.generate(
                person.tenant_id, environment, name=name, by=person.user_id
            )
        except (PartnerError, TypedInvalid) as error:
            return self._form(person, form, error)
        return self._shown_once(person, made)

    async def ask_revoke(self, key_id: str) -> Response:
        person = await self._frame.person()
        person.check_may_change()
        key = next((key for key in await self._keys(person) if key.key_id == key_id), None)
        if key is None:
            raise NotFound("API key")
        return self._frame.page(
            "confirm",
            person,
            title="Revoke this key?",
            subject=f"{key.name or 'Unnamed'} · {key.hint}",
            advice="Whatever uses it is refused from the next request on. This cannot be taken "
            "back; make a new key first if something still needs one.",
            refusal=refusal_of(None),
            action=f"{_PATH}/{key_id}/revoke",
            verb="Revoke key",
            keep="Keep it",
            back=_PATH,
            dangerous=True,
        )

    async def revoke(self, key_id: str) -> Response:
        person = await self._frame.person()
        person.check_may_change()
        await self._tenants.ask(person.tenant_id, RevokeKey(key_id=key_id, by=person.user_id))
        return lead_to(_PATH, said="revoked")

    async def _keys(self, person: Person) -> tuple[ApiKey, ...]:
        keys: tuple[ApiKey, ...] = await self._tenants.ask(person.tenant_id, ListKeys())
        return keys

    def _shown_once(self, person: Person, made: NewKey) -> Response:
        key = made.key
        return self._frame.page(
            "secret",
            person,
            status=201,
            title="Key generated",
            facts=[("Name", key.name or "Unnamed"), ("Environment", key.environment.capitalize())],
            called="API key",
            secret=made.text,
            example=_EXAMPLE.format(url=self._public_url, key=made.text),
            back=_PATH,
        )

    def _form(self, person: Person, form: Form, error: Exception | None = None) -> Response:
        typed = form.typed(_FIELDS)
        typed["environment"] = chosen(typed["environment"], ENVIRONMENTS)
        return self._frame.page(
            "key_new",
            person,
            refusal=refusal_of(error, _FIELDS),
            typed=typed,
        )


_EXAMPLE: Final = """\
curl -X POST {url}/api/v1/sessions/create \\
  -H "Authorization: Bearer {key}" \\
  -H "Content-Type: application/json" \\
  -d '{{"return_url": "https://yourapp.com/callback"}}'"""
