"""The profile: who visitors are told is asking."""

from __future__ import annotations

from typing import Final

from quart import Blueprint, Response, request

from actors.partner import PartnerError
from actors.partner.tenants import ChangeProfile, Profile, ReadProfile, Tenants
from api.dashboard.forms import read_form
from api.dashboard.frame import Frame, lead_to
from api.dashboard.gate import Person
from api.dashboard.refusal import refusal_of
from api.errors import FieldInvalid as TypedInvalid
from api.partner.requests import check_logo_url

_PATH: Final = "/dashboard/profile"
_FIELDS: Final = ("name", "logo_url")
_LONGEST: Final = 4096


def add_profile_views(routes: Blueprint, frame: Frame, tenants: Tenants) -> None:
    """Add the page about the profile."""

    async def show() -> Response:
        person = await frame.person()
        profile: Profile = await tenants.ask(person.tenant_id, ReadProfile())
        return page(person, {"name": profile.name, "logo_url": profile.logo_url or ""})

    async def change() -> Response:
        person = await frame.person()
        person.check_may_change()
        form = await read_form(request)
        try:
            name = form.text("name", longest=_LONGEST)
            logo_url = form.text("logo_url", longest=_LONGEST) or None
            if logo_url is not None:
                check_logo_url(logo_url)
            command = ChangeProfile(name=name, logo_url=logo_url, by=person.user_id)
            await tenants.ask(person.tenant_id, command)
        except (PartnerError, TypedInvalid) as error:
            return page(person, form.typed(_FIELDS), error)
        return lead_to(_PATH, said="saved")

    def page(person: Person, typed: dict[str, str], error: Exception | None = None) -> Response:
        return frame.page(
            "profile",
            person,
            refusal=refusal_of(error, _FIELDS),
            typed=typed,
        )

    routes.add_url_rule("/profile", "profile", show, methods=["GET"])
    routes.add_url_rule("/profile", "profile_change", change, methods=["POST"])
