"""Static files under addresses that change with what is in them.

Laws of this file: files are read once, at the start. An address names its content, so a browser may
keep what it got for ever; there is no address for anything else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from quart import Blueprint, Response, abort
from quart_trio.wrappers import TrioResponse

ASSETS_PATH: Final = "/pages"

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
_HEADERS: Final = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_HASH_CHARS: Final = 16


class _File(msgspec.Struct, frozen=True, kw_only=True):
    body: bytes
    content_type: str


class Assets:
    """The static files of some areas; `pages/tokens.css` is that file of the area `pages`."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._urls: dict[str, str] = {}
        self._files: dict[str, _File] = {}
        for area, folder in folders.items():
            for path in sorted(folder.iterdir()):
                if path.suffix in _TYPES:
                    self._add(area, path)

    def url(self, name: str) -> str:
        """Return the address of a file.

        Raises:
            KeyError: there is none of that name.
        """
        return self._urls[name]

    def routes(self) -> Blueprint:
        """Return the route of all files. They hold no secret and are for whoever asks."""
        routes = Blueprint("assets", __name__)

        @routes.get(f"{ASSETS_PATH}/<area>/<name>")
        async def asset(area: str, name: str) -> Response:
            file = self._files.get(f"{ASSETS_PATH}/{area}/{name}")
            if file is None:
                abort(404)
            return TrioResponse(file.body, headers=_HEADERS, content_type=file.content_type)

        return routes

    def _add(self, area: str, path: Path) -> None:
        body = path.read_bytes()
        digest = hashlib.sha256(body).hexdigest()[:_HASH_CHARS]
        url = f"{ASSETS_PATH}/{area}/{path.stem}.{digest}{path.suffix}"
        self._urls[f"{area}/{path.name}"] = url
        self._files[url] = _File(body=body, content_type=_TYPES[path.suffix])
