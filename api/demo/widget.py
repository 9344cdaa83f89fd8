"""reCAPTCHA's side of the demo captcha server: the widget in the page and the site's check.

A person who ticks the box gets a token just as a solver does.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import msgspec
from quart import Response, render_template, request
from quart_trio import QuartTrio

from api.demo.expiring import Expiring
from engine.clock import Clock

# Public values of this demo, as a real site has them in its page (key) and server (secret).
SITE_KEY: Final = "6LdemoHarborTerminalSiteKey0000000000000"
SECRET: Final = "6LdemoHarborTerminalSecret00000000000000"  # noqa: S105 - opens only the demo
_TOKEN_TTL_S: Final = 120.0
_TOKEN_BITS: Final = 256


class _Issued(msgspec.Struct, frozen=True):
    hostname: str
    at: str


class Tokens:
    """The tokens that were issued and not yet used, all for the one site key."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._issued: Expiring[_Issued] = Expiring(ttl_s=_TOKEN_TTL_S)

    def issue(self, page_url: str) -> str:
        token = self.forge()
        hostname = urlsplit(page_url).hostname or ""
        at = self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        self._issued.put(token, _Issued(hostname, at))
        return token

    def forge(self) -> str:
        """Return something that looks like a token and is none."""
        return f"03A{self._clock.random_bits(_TOKEN_BITS):064x}"

    def verify(self, secret: str, token: str) -> dict[str, object]:
        """Return siteverify's answer; a token is spent by it whatever it says."""
        errors = []
        if secret != SECRET:
            errors.append("invalid-input-secret" if secret else "missing-input-secret")
        if not token:
            errors.append("missing-input-response")
        if errors:
            return {"success": False, "error-codes": errors}
        issued = self._issued.take(token)
        if issued is None:
            return {"success": False, "error-codes": ["timeout-or-duplicate"]}
        return {"success": True, "challenge_ts": issued.at, "hostname": issued.hostname}


def add_widget(app: QuartTrio, tokens: Tokens) -> None:
    """Give the captcha server the paths that a browser and a site's server ask for."""
    for name in ("anchor.html", "recaptcha.js"):
        app.jinja_env.get_template(name)  # read before the first request, not on the loop

    async def api_js() -> Response:
        script = await render_template("recaptcha.js", origin=_own_origin())
        return Response(script, content_type="text/javascript; charset=utf-8")

    async def anchor() -> Response | tuple[str, int]:
        if request.args.get("k") != SITE_KEY:
            return "ERROR for site owner: Invalid site key", 400
        page = await render_template("anchor.html", site_key=SITE_KEY)
        return Response(page, content_type="text/html; charset=utf-8")

    async def user_verify() -> dict[str, str] | tuple[dict[str, str], int]:
        form = await request.form
        if form.get("k") != SITE_KEY:
            return {"error": "invalid site key"}, 400
        return {"token": tokens.issue(form.get("co", ""))}

    async def site_verify() -> dict[str, object]:
        form = await request.form
        return tokens.verify(form.get("secret", ""), form.get("response", ""))

    app.add_url_rule("/recaptcha/api.js", view_func=api_js)
    app.add_url_rule("/recaptcha/api2/anchor", view_func=anchor)
    app.add_url_rule("/recaptcha/api2/userverify", view_func=user_verify, methods=["POST"])
    app.add_url_rule("/recaptcha/api/siteverify", view_func=site_verify, methods=["POST"])


def _own_origin() -> str:
    return f"{request.scheme}://{request.host}"
