"""`/openapi.json`, `/asyncapi.json` and the page at `/docs`: made once, before the doors open.

They say nothing that a secret could be in, and are for everybody who may reach the server.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec
from quart import Blueprint, Response, request
from quart_trio.wrappers import TrioResponse

from api.docs.documents import Documents
from api.docs.reading import make_reading
from api.pages import load_pages, page_headers

AREA: Final = Path(__file__).parent
_JSON: Final = "application/json"
_DOCUMENT_HEADERS: Final = {
    "Cache-Control": "no-cache",  # asked for again, and then mostly a 304
    "X-Content-Type-Options": "nosniff",
    # Public by nature; a tool in a browser may read them from anywhere it is let in from.
    "Cross-Origin-Resource-Policy": "cross-origin",
}


def docs_routes(documents: Documents) -> Blueprint:
    """Return the routes. The page takes the house's own style from `api.pages`, whose routes are
    to be there as well."""
    routes = Blueprint("docs", __name__)
    page = load_pages(AREA).render("docs/docs.html", reading=make_reading(documents)).encode()
    style = (AREA / "static/docs.css").read_bytes()
    of_page = {**page_headers(), "Cache-Control": "no-cache"}
    for path, body, content_type, headers in (
        ("/openapi.json", _encoded(documents.openapi), _JSON, _DOCUMENT_HEADERS),
        ("/asyncapi.json", _encoded(documents.asyncapi), _JSON, _DOCUMENT_HEADERS),
        ("/docs", page, "text/html; charset=utf-8", of_page),
        ("/docs/docs.css", style, "text/css; charset=utf-8", of_page),
    ):
        view = _file(body, content_type, headers)
        name = path.strip("/").replace(".", "_").replace("/", "_")
        routes.add_url_rule(path, name, view, methods=["GET"])
    return routes


def _encoded(document: Mapping[str, object]) -> bytes:
    return msgspec.json.encode(document)


def _file(
    body: bytes, content_type: str, headers: Mapping[str, str]
) -> Callable[[], Awaitable[Response]]:
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {**headers, "ETag": tag}

    async def view() -> Response:
        if tag in request.headers.get("If-None-Match", ""):
            return TrioResponse(status=304, headers=headers)
        return TrioResponse(body, headers=headers, content_type=content_type)

    return view
