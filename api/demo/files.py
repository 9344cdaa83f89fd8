"""The portal's style sheet and scripts, read once.

Quart's own static files stay open when a browser goes away in the middle of one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from quart import Blueprint, Response, abort
from quart_trio.wrappers import TrioResponse

_FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
_HEADERS: Final = {"Cache-Control": "max-age=3600"}


def file_routes() -> Blueprint:
    """Return the route of the files, as they are now."""
    routes = Blueprint("files", __name__)
    files = {path.name: (path.read_bytes(), _TYPES[path.suffix]) for path in _FOLDER.iterdir()}

    @routes.get("/static/<name>")
    async def static(name: str) -> Response:
        if name not in files:
            abort(404)
        body, content_type = files[name]
        return TrioResponse(body, headers=_HEADERS, content_type=content_type)

    return routes
