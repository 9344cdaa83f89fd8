"""Signing up, logging in and out."""

from __future__ import annotations

from typing import Any, Final

from quart import Blueprint, Response, request

from actors.partner import PartnerError
from api.dashboard.forms import Form, read_form
from api.dashboard.frame import HOME, LOGIN, Frame, lead_to, safe_next
from api.dashboard.refusal import refusal_of

_FIELDS: Final = ("email", "password")


def add_account_views(routes: Blueprint, frame: Frame) -> None:
    """Add the pages that are there for everybody."""
    views = _AccountViews(frame)
    routes.add_url_rule("/login", "login", views.show_login, methods=["GET"])
    routes.add_url_rule("/login", "log_in", views.log_in, methods=["POST"])
    routes.add_url_rule("/signup", "signup", views.show_sign_up, methods=["GET"])
    routes.add_url_rule("/signup", "sign_up", views.sign_up, methods=["POST"])
    routes.add_url_rule("/logout", "log_out", views.log_out, methods=["POST"])


class _AccountViews:
    def __init__(self, frame: Frame) -> None:
        self._pages = frame.pages
        self._gate = frame.gate

    async def show_login(self) -> Response:
        query = request.args
        following = safe_next(query.get("next", HOME))
        return self._page("login", next=following, expired="expired" in query)

    async def log_in(self) -> Response:
        form = await read_form(request)
        following = safe_next(form.raw("next"))
        try:
            login = await self._gate.log_in(form.raw("email").strip(), form.raw("password"))
        except PartnerError as error:
            return self._page("login", form, error, next=following, expired=False)
        response = lead_to(following)
        self._gate.welcome(response, login)
        return response

    async def show_sign_up(self) -> Response:
        return self._page("signup")

    async def sign_up(self) -> Response:
        form = await read_form(request)
        try:
            login = await self._gate.sign_up(form.raw("email").strip(), form.raw("password"))
        except PartnerError as error:
            return self._page("signup", form, error)
        response = lead_to(HOME)
        self._gate.welcome(response, login)
        return response

    async def log_out(self) -> Response:
        response = lead_to(LOGIN)
        await self._gate.log_out(response)
        return response

    def _page(
        self,
        name: str,
        form: Form | None = None,
        error: Exception | None = None,
        **values: Any,
    ) -> Response:
        refusal = refusal_of(error, _FIELDS)
        return self._pages.page(
            f"dashboard/{name}.html",
            status=refusal.status,
            headers=refusal.headers,
            # A password is not sent back: not even to whoever typed it.
            typed=(form or Form(())).typed(("email",), longest=254),
            can_sign_up=self._gate.can_sign_up,
            **refusal.shown,
            **values,
        )
