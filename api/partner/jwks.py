"""The public keys of receipts: `/.well-known/jwks.json`, for everybody."""

from __future__ import annotations

from typing import Final

from quart import Blueprint, Response

from actors.partner.hosted import SigningKeys
from api.reply import reply

PATH: Final = "/.well-known/jwks.json"
# Shorter than the grace that an old key gets, so that nobody keeps a set without the newest for
# longer than it takes to come back to us.
_MAX_AGE_S: Final = 300


def jwks_routes(keys: SigningKeys) -> Blueprint:
    """Return the route."""
    routes = Blueprint("partner_jwks", __name__)

    @routes.get(PATH)
    async def jwks() -> Response:
        response = reply({"keys": await keys.public()})
        response.headers["Cache-Control"] = f"public, max-age={_MAX_AGE_S}"
        # A JWK set is public by nature, and may be read by a script of any page.
        response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    return routes
