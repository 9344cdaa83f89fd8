"""How a test tells the demo portal to be slow, to forget, or to break."""

from __future__ import annotations

from typing import Final

import msgspec
from quart import Blueprint, request

from api.demo.site import Change, Site

CONTROL: Final = "/__control"


def control_routes(site: Site) -> Blueprint:
    """Return `/__control`, which works whatever it has told the portal to do."""
    routes = Blueprint("control", __name__)

    @routes.get(CONTROL)
    async def state() -> dict[str, object]:
        return {
            "logins": dict(site.logins.items()),
            "delay_s": site.delay_s,
            "fail": site.fail,
            "captcha_broken": site.captcha_broken,
            "session_ttl_s": site.sessions.ttl_s,
        }

    @routes.post(CONTROL)
    async def change() -> dict[str, object] | tuple[dict[str, object], int]:
        if request.headers.get("Origin") not in (None, f"http://{request.host}"):
            return {"error": "not from another site's page"}, 403
        try:
            wanted = msgspec.json.decode(await request.get_data(), type=Change)
        except msgspec.DecodeError as error:
            return {"error": str(error)}, 400
        await site.apply(wanted)
        return await state()

    return routes
