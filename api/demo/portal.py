"""The demo portal: a terminal's web site, in structure like the one that the seed automates."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final

import httpx
from quart import Blueprint, Response, redirect, request
from quart.typing import ResponseTypes
from quart_trio import QuartTrio

from api.demo.control import CONTROL, control_routes
from api.demo.files import file_routes
from api.demo.identity import identity_routes
from api.demo.memory import Memory
from api.demo.rows import row_routes
from api.demo.site import Site
from engine.clock import Clock

_MAX_BODY_BYTES: Final = 64 * 1024


def make_portal(captcha_url: str, clock: Clock, memory: Memory) -> QuartTrio:
    """Return the portal as an app.

    Args:
        captcha_url: base URL of the captcha server, for its pages and for its own checks.
        clock: where its secrets come from.
        memory: what it knows from an earlier run.
    """
    app = QuartTrio(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _MAX_BODY_BYTES
    site = Site(clock, captcha_url.rstrip("/"), memory)
    app.register_blueprint(file_routes())
    app.register_blueprint(identity_routes(site))
    app.register_blueprint(page_routes(site))
    app.register_blueprint(row_routes(site))
    app.register_blueprint(control_routes(site))
    for template in app.jinja_env.list_templates():
        app.jinja_env.get_template(template)  # read before the first request, not on the loop

    @app.while_serving
    async def connected() -> AsyncGenerator[None, None]:
        async with httpx.AsyncClient(trust_env=False) as http:
            await site.serve_with(http)
            yield
            await site.serve_with(None)

    @app.before_request
    async def out_of_order() -> Response | None:
        if site.fail and request.path != CONTROL:
            page = await site.page("broken.html")
            page.status_code = 500
            return page
        return None

    @app.after_request
    async def never_cached(answer: ResponseTypes) -> ResponseTypes:
        answer.headers.setdefault("Cache-Control", "no-store")
        return answer

    return app


def page_routes(site: Site) -> Blueprint:
    """Return what a logged-in person sees, and the nag."""
    routes = Blueprint("pages", __name__)

    @routes.get("/")
    async def root() -> ResponseTypes:
        return redirect("/containers")

    async def shown(template: str, path: str) -> ResponseTypes:
        session = site.session()
        if session is None:
            return redirect(f"/login?returnUrl={path}")
        return await site.page(template, session=session)

    @routes.get("/containers")
    async def containers() -> ResponseTypes:
        return await shown("containers.html", "/containers")

    @routes.get("/myappointments")
    async def appointments() -> ResponseTypes:
        return await shown("appointments.html", "/myappointments")

    @routes.get("/notice")
    async def notice() -> ResponseTypes:
        return await site.page("notice.html")

    return routes
