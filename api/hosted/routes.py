"""The visitor's pages: `/s/<token>`.

Guarantees: GET and HEAD change nothing, whoever opens the link first. A form is taken only from the
browser that it was made for, by its cookie and by a mark that is made from it; the guard has looked
at Origin and Sec-Fetch-Site before. Everything works without a script, save what needs sensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from quart import Blueprint, Response, has_request_context, request, websocket
from quart_trio.wrappers import TrioResponse

from actors.partner.errors import PartnerError
from actors.partner.hosted import (
    Begin,
    Cancel,
    Command,
    Extend,
    GiveAnswer,
    HostedSessions,
    OfferHandOver,
    SessionNotFound,
    TakeOver,
    digest_of,
    is_token,
    new_token,
)
from actors.partner.hosted.errors import AnswerInvalid, LimitOfVisit
from actors.partner.tenants.admission import ReadProfile
from api.app import facts_of
from api.hosted.browser_cookie import Browser, browser_of, give_cookie, life_of_cookie
from api.hosted.forms import Form, read_form
from api.hosted.live import add_live_route
from api.hosted.show import Shown
from api.hosted.visit import Visit
from api.partner.credentials import Reach
from api.streams import Streams
from engine.clock import Clock

AREA: Final = Path(__file__).parent

# Long enough to find the phone and point it at the screen.
HANDOVER_S: Final = 600.0


def hosted_routes(
    desk: HostedSessions, shown: Shown, streams: Streams, *, reach: Reach, clock: Clock
) -> Blueprint:
    """Return the routes of the pages and of their live line."""
    routes = Blueprint("hosted", __name__)
    views = VisitorViews(desk, shown, reach=reach, clock=clock)
    path = "/s/<token>"
    routes.add_url_rule(path, "show", views.show, methods=["GET"])
    for name in ("begin", "answer", "extend", "handover", "cancel"):
        view = partial(views.act, name)
        routes.add_url_rule(f"{path}/{name}", name, view, methods=["POST"])
        # Whoever loads the address of a form again, or shares it, comes to the page.
        routes.add_url_rule(f"{path}/{name}", f"{name}_again", views.back, methods=["GET"])
    routes.add_url_rule(f"{path}/", "slashed", views.back, methods=["GET"])
    for beside in ("/s", "/s/", f"{path}/<path:more>"):
        routes.add_url_rule(beside, "unknown", views.unknown, methods=["GET"])
    add_live_route(routes, desk, streams, views)
    return routes


class VisitorViews:
    """The views, and how a request becomes a `Visit`."""

    def __init__(self, desk: HostedSessions, shown: Shown, *, reach: Reach, clock: Clock) -> None:
        self._desk = desk
        self._shown = shown
        self._reach = reach
        self._clock = clock

    async def show(self, token: str) -> Response:
        visit = await self.visit(token)
        if visit is None:
            return self._shown.unknown()
        return self._given(visit, self._shown.page(visit))

    async def unknown(self, **_: str) -> Response:
        return self._shown.unknown()

    async def back(self, token: str) -> Response:
        # What could be no link of ours might be no header either.
        return _see(f"/s/{token}") if is_token(token) else self._shown.unknown()

    async def act(self, name: str, token: str) -> Response:
        """Do what a form asks for, and lead back to the page, which shows what has come of it."""
        visit = await self.visit(token)
        if visit is None:
            return self._shown.unknown()
        form = await read_form(request)
        if visit.browser.is_new:
            return self._given(visit, self._shown.no_cookie(visit))
        if not visit.browser.has_mark(form.text("mark")):
            return self._shown.not_our_form(visit)
        if name == "handover":
            return await self._hand_over(visit, no_sensors=form.text("why") == "no-sensors")
        return await self._obey(visit, self._command(name, visit, form))

    async def visit(self, token: str) -> Visit | None:
        """Return the visit that the request in hand is; None when the link leads nowhere."""
        session_id = await self._desk.find(token)
        if session_id is None:
            return None
        try:
            state = await self._desk.look(session_id)
        except SessionNotFound:  # it was erased this very moment
            return None
        profile = await self._desk.tenants.ask(state.visit.tenant_id, ReadProfile())
        visit = Visit(
            token=token,
            state=state,
            browser=self._browser(session_id),
            profile=profile,
            handed=state.visit.hand_over(digest_of(token)),
            now=self._clock.now(),
        )
        if not visit.may_have_receipt:
            return visit
        return msgspec.structs.replace(visit, receipt=await self._desk.receipts.of(state))

    def _browser(self, session_id: str) -> Browser:
        facts = facts_of(request if has_request_context() else websocket, self._clock)
        return browser_of(facts, session_id, self._clock, is_https=self._reach.is_https)

    def _given(self, visit: Visit, response: Response) -> Response:
        session_id = visit.state.session.session_id
        give_cookie(
            response,
            visit.browser,
            session_id,
            life_s=life_of_cookie(self._desk.settings.session_ttl_s),
            is_https=self._reach.is_https,
        )
        return response

    async def _obey(self, visit: Visit, command: Command) -> Response:
        try:
            await self._desk.ask(visit.state.session.session_id, command)
        except (AnswerInvalid, LimitOfVisit) as error:
            return self._shown.page(visit, problem=str(error))
        except PartnerError:
            pass  # the page says why better than an error could
        return _see(visit.path)

    async def _hand_over(self, visit: Visit, *, no_sensors: bool) -> Response:
        token = new_token(self._clock)
        command = OfferHandOver(
            browser=visit.browser.digest, digest=digest_of(token), life_s=HANDOVER_S
        )
        try:
            await self._desk.ask(visit.state.session.session_id, command)
        except LimitOfVisit as error:
            return self._shown.page(visit, problem=str(error))
        except PartnerError:
            return _see(visit.path)
        # Shown this once: the token is known to nobody afterwards but to whoever has seen it.
        url = f"{self._desk.public_url}/s/{token}"
        return self._shown.handover(visit, url, no_sensors=no_sensors)

    def _command(self, name: str, visit: Visit, form: Form) -> Command:
        browser = visit.browser.digest
        match name:
            case "begin" if visit.handed is not None:
                return TakeOver(browser=browser, digest=visit.handed.digest)
            case "begin":
                return Begin(browser=browser)
            case "answer":
                answer: Mapping[str, Any] = {"choice": form.text("choice")}
                return GiveAnswer(browser=browser, step=form.text("step"), answer=answer)
            case "extend":
                by_s, until = self._desk.settings.session_ttl_s, form.text("until")
                return Extend(browser=browser, by_s=by_s, until=until)
            case _:
                return Cancel(by="visitor", browser=browser)


def _see(path: str) -> Response:
    return TrioResponse(status=303, headers={"Location": path, "Cache-Control": "no-store"})
